#include "worker/intake/auth.h"

#include "common/secret/secret.h"

#include <openssl/sha.h>

static const struct conf_client *owner(const struct conf *c, struct str token)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)token.p, token.n, hash);
    const struct conf_client *hit = NULL;
    for (size_t i = 0; i < c->nclients; i++)
        if (secret_eq(hash, c->clients[i].token_sha256, sizeof hash))
            hit = &c->clients[i];
    return hit;
}

const struct conf_client *auth_check(const struct conf *c, struct http_field *f, size_t nf)
{
    const struct conf_client *who = NULL;
    for (size_t i = 0; i < nf; i++) {
        struct str token;
        if (f[i].id == HDR_X_API_KEY)
            token = f[i].value;
        else if (f[i].id == HDR_AUTHORIZATION && str_starts_nocase(f[i].value, STR("bearer ")))
            token = str_trim(str_make(f[i].value.p + 7, f[i].value.n - 7));
        else
            continue;
        const struct conf_client *hit = token.n ? owner(c, token) : NULL;
        if (!hit)
            continue;
        f[i].hop = true;
        if (!who)
            who = hit;
    }
    return who;
}
