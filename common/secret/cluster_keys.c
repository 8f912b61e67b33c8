#include "common/secret/cluster_keys.h"

#include "common/secret/secret.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

enum { HASH = 32 };

/* HMAC-SHA256 of up to three texts behind each other. */
static void mac(const void *key, size_t size, const struct str *part, size_t n, uint8_t out[HASH])
{
    uint8_t text[2 * 8192 + 2];
    size_t used = 0;
    unsigned len = HASH;
    for (size_t i = 0; i < n; i++) {
        size_t take = min_size(part[i].n, sizeof text - used);
        if (take)
            memcpy(text + used, part[i].p, take);
        used += take;
    }
    HMAC(EVP_sha256(), key, (int)size, text, used, out, &len);
    secret_wipe(text, used);
}

/* RFC 5869 2.3, of one block: T(1) = HMAC(PRK, info | 0x01). */
static void expand(const uint8_t prk[HASH], struct str info, uint8_t out[HASH])
{
    const struct str part[] = {info, STR("\1")};
    mac(prk, HASH, part, COUNT_OF(part), out);
}

void cluster_keys_make(struct cluster_keys *k, struct str secret)
{
    static const struct str salt = STR_LIT("qcc cluster 1");
    uint8_t prk[HASH], print[HASH];
    mac(salt.p, salt.n, &secret, 1, prk);
    expand(prk, STR("endpoint"), k->endpoint);
    expand(prk, STR("conversation"), k->conversation);
    expand(prk, STR("name"), k->name);
    expand(prk, STR("cipher"), k->cipher);
    expand(prk, STR("print"), print);
    for (size_t i = 0; i < 16; i++)
        snprintf(k->print + 2 * i, 3, "%02x", print[i]);
    secret_wipe(prk, sizeof prk);
}

void cluster_keys_wipe(struct cluster_keys *k)
{
    secret_wipe(k, sizeof *k);
}

void cluster_keys_endpoint(const struct cluster_keys *k, struct str base_url, struct str api_key,
                           char cid[static 8])
{
    const struct str part[] = {base_url, STR("|"), api_key};
    uint8_t out[HASH];
    mac(k->endpoint, HASH, part, COUNT_OF(part), out);
    memcpy(cid, out, 8);
}
