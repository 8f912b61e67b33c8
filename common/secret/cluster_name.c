#include "common/secret/cluster_name.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

/* Names are filled up to a multiple of this, which is one of 3 too. */
enum { BLOCK = 24 };
_Static_assert(CLUSTER_NAME_MAX % BLOCK == 0 && BLOCK % 3 == 0, "whole groups of base64");

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

uint64_t cluster_name_hash(const struct cluster_keys *k, struct str name)
{
    uint8_t out[32];
    unsigned n = sizeof out;
    uint64_t h = 0;
    HMAC(EVP_sha256(), k->name, sizeof k->name, (const uint8_t *)name.p, name.n, out, &n);
    for (size_t i = 0; i < 8; i++)
        h = h << 8 | out[i];
    return h ? h : 1;
}

/* Encrypts or decrypts: the same with a stream. */
static bool stream(const struct cluster_keys *k, uint64_t h, uint8_t *text, size_t n)
{
    uint8_t iv[16] = {0}, out[CLUSTER_NAME_MAX];
    int got = 0;
    for (size_t i = 0; i < 8; i++)
        iv[i] = (uint8_t)(h >> (56 - 8 * i));
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = ctx && EVP_EncryptInit_ex(ctx, EVP_aes_256_ctr(), NULL, k->cipher, iv) == 1 &&
              EVP_EncryptUpdate(ctx, out, &got, text, (int)n) == 1 && (size_t)got == n;
    EVP_CIPHER_CTX_free(ctx);
    if (ok)
        memcpy(text, out, n);
    return ok;
}

uint64_t cluster_name_seal(const struct cluster_keys *k, struct str name,
                           char out[static CLUSTER_SEALED_MAX + 1])
{
    uint8_t text[CLUSTER_NAME_MAX] = {0};
    size_t n = min_size(name.n, sizeof text), whole = (n + BLOCK - 1) / BLOCK * BLOCK;
    uint64_t h = cluster_name_hash(k, str_make(name.p, n));
    if (n)
        memcpy(text, name.p, n);
    if (!stream(k, h, text, whole))
        whole = 0;
    for (size_t i = 0; i < whole; i += 3) {
        uint32_t v = (uint32_t)text[i] << 16 | (uint32_t)text[i + 1] << 8 | text[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6)
            *out++ = digits[v >> shift & 63];
    }
    *out = '\0';
    return h;
}

bool cluster_name_open(const struct cluster_keys *k, uint64_t h, struct str sealed,
                       char out[static CLUSTER_NAME_MAX + 1])
{
    uint8_t text[CLUSTER_NAME_MAX];
    size_t n = 0;
    if (!sealed.n || sealed.n > CLUSTER_SEALED_MAX || sealed.n % (BLOCK / 3 * 4))
        return false;
    for (size_t i = 0; i < sealed.n; i += 4) {
        uint32_t v = 0;
        for (size_t j = i; j < i + 4; j++) {
            const char *at = sealed.p[j] ? memchr(digits, sealed.p[j], 64) : NULL;
            if (!at)
                return false;
            v = v << 6 | (uint32_t)(at - digits);
        }
        text[n++] = (uint8_t)(v >> 16);
        text[n++] = (uint8_t)(v >> 8);
        text[n++] = (uint8_t)v;
    }
    if (!stream(k, h, text, n))
        return false;
    size_t used = strnlen((const char *)text, n);
    for (size_t i = used; i < n; i++)
        if (text[i])
            return false;
    memcpy(out, text, used);
    out[used] = '\0';
    return cluster_name_hash(k, str_make(out, used)) == h;
}
