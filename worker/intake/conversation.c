#include "worker/intake/conversation.h"

#include "common/base/buf.h"

#include <openssl/evp.h>

/* Bytes of an id that are hashed; the rest of a longer one is ignored. */
enum { ID_MAX = 4096 };

size_t conversation_wants(const struct conf *c, struct json_want *want)
{
    size_t n = 0;
    for (size_t i = 0; i < c->nkeys && n < CONVERSATION_BODY_KEYS; i++) {
        if (c->keys[i].kind != CONF_KEY_BODY)
            continue;
        struct str name = str_c(c->keys[i].name);
        ptrdiff_t dot = str_find(name, STR("."));
        want[n] = (struct json_want){.name = name};
        if (dot >= 0) {
            want[n].name.n = (size_t)dot;
            want[n].inner = str_make(name.p + dot + 1, name.n - (size_t)dot - 1);
        }
        n++;
    }
    return n;
}

/* The session's part of a metadata.user_id: of a JSON text its "session_id", else what follows the
 * last "_session_"; empty if it has none: a user is no conversation. */
static struct str conversation_session(struct str user_id)
{
    if (user_id.n && user_id.p[0] == '{') {
        struct json_want want = {.name = STR("session_id")};
        struct json_hit hit;
        if (json_find(user_id, &want, &hit, 1) && hit.kind == JSON_IS_STRING)
            return hit.raw;
        return str_make(user_id.p, 0);
    }
    struct str mark = STR("_session_");
    for (size_t i = user_id.n; i >= mark.n; i--)
        if (memcmp(user_id.p + i - mark.n, mark.p, mark.n) == 0)
            return str_make(user_id.p + i, user_id.n - i);
    return str_make(user_id.p, 0);
}

void conversation_hash(const uint8_t secret[32], const char *client, struct str id, uint64_t key[2])
{
    static EVP_MD_CTX *ctx; /* made once: EVP_MD_fetch costs more than the hashing */
    static EVP_MD *md;
    if (!ctx) {
        ctx = EVP_MD_CTX_new();
        md = EVP_MD_fetch(NULL, "SHA256", NULL);
    }
    struct str name = str_c(client);
    uint64_t lengths[2] = {name.n, id.n};
    uint8_t out[32];
    EVP_DigestInit_ex(ctx, md, NULL);
    EVP_DigestUpdate(ctx, secret, 32);
    EVP_DigestUpdate(ctx, lengths, sizeof lengths);
    EVP_DigestUpdate(ctx, name.p, name.n);
    EVP_DigestUpdate(ctx, id.p, id.n);
    EVP_DigestFinal_ex(ctx, out, NULL);
    memcpy(key, out, 2 * sizeof key[0]);
}

bool conversation_find(const struct conf *c, const struct http_field *f, size_t nf,
                       const struct json_hit *hits, const char *client, const uint8_t secret[32],
                       uint64_t key[2])
{
    size_t body_key = 0;
    for (size_t i = 0; i < c->nkeys; i++) {
        struct str id = {0};
        struct buf plain;
        buf_init(&plain, ID_MAX);
        if (c->keys[i].kind == CONF_KEY_HEADER) {
            struct str name = str_c(c->keys[i].name);
            for (size_t k = 0; k < nf && !id.n; k++)
                if (str_eq_nocase(f[k].name, name))
                    id = f[k].value;
        } else if (body_key < CONVERSATION_BODY_KEYS) {
            size_t k = body_key++;
            if (hits && hits[k].kind == JSON_IS_STRING) {
                id = hits[k].raw;
                id.n = min_size(id.n, ID_MAX);
                if (hits[k].escaped && json_unescape(id, &plain))
                    id = buf_view(&plain);
                if (str_ends(str_c(c->keys[i].name), STR("user_id")))
                    id = conversation_session(id);
            }
        }
        bool found = id.n > 0;
        if (found)
            conversation_hash(secret, client, str_make(id.p, min_size(id.n, ID_MAX)), key);
        buf_free(&plain);
        if (found)
            return true;
    }
    return false;
}
