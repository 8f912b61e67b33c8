#include "common/ipc/doc.h"

#include "common/ipc/wire.h"

#include <msgpack.h>
#include <stdio.h>

#define PACK(call, ...)                                                                            \
    do {                                                                                           \
        msgpack_packer pk_;                                                                        \
        msgpack_packer_init(&pk_, &d->b, wire_write);                                              \
        if (msgpack_pack_##call(&pk_, ##__VA_ARGS__) != 0)                                         \
            d->torn = true;                                                                        \
    } while (0)

void doc_init(struct doc *d, size_t max)
{
    buf_init(&d->b, max);
    d->torn = false;
}

void doc_free(struct doc *d)
{
    buf_free(&d->b);
}

void doc_map(struct doc *d, uint32_t n)
{
    PACK(map, n);
}

void doc_array(struct doc *d, uint32_t n)
{
    PACK(array, n);
}

void doc_str(struct doc *d, struct str s)
{
    PACK(str, s.n);
    PACK(str_body, s.p, s.n);
}

void doc_nil(struct doc *d)
{
    PACK(nil);
}

void doc_text(struct doc *d, const char *s)
{
    if (s)
        doc_str(d, str_c(s));
    else
        doc_nil(d);
}

void doc_int(struct doc *d, int64_t v)
{
    PACK(int64, v);
}

void doc_flag(struct doc *d, bool v)
{
    if (v)
        PACK(true);
    else
        PACK(false);
}

void doc_milli(struct doc *d, int64_t thousandths)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%s%lld.%03lld", thousandths < 0 ? "-" : "",
                     (long long)(thousandths < 0 ? -thousandths : thousandths) / 1000,
                     (long long)(thousandths < 0 ? -thousandths : thousandths) % 1000);
    doc_decimal(d, str_make(text, (size_t)n));
}

void doc_decimal(struct doc *d, struct str digits)
{
    PACK(bin, digits.n);
    PACK(bin_body, digits.p, digits.n);
}

void doc_kv_text(struct doc *d, const char *key, const char *s)
{
    doc_text(d, key);
    doc_text(d, s);
}

void doc_kv_str(struct doc *d, const char *key, struct str s)
{
    doc_text(d, key);
    doc_str(d, s);
}

void doc_kv_int(struct doc *d, const char *key, int64_t v)
{
    doc_text(d, key);
    doc_int(d, v);
}

void doc_kv_flag(struct doc *d, const char *key, bool v)
{
    doc_text(d, key);
    doc_flag(d, v);
}

unsigned doc_refuse(struct doc *d, unsigned status, const char *why)
{
    doc_map(d, 1);
    doc_kv_text(d, "error", why);
    return status;
}
