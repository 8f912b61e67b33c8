#include "worker/admin/assets.h"

#define ASSET(n, path, type, bytes, zbytes, tag, ztag)                                             \
    extern const char dashboard_plain_##n[], dashboard_gzip_##n[];
#include "dashboard.inc"
#undef ASSET

static const struct asset assets[] = {
#define ASSET(n, path, type, bytes, zbytes, tag, ztag)                                             \
    {STR_LIT(path),                                                                                \
     type,                                                                                         \
     {{dashboard_plain_##n, bytes}, STR_LIT("\"" tag "\""), false},                                \
     {{dashboard_gzip_##n, zbytes}, STR_LIT("\"" ztag "\""), true}},
#include "dashboard.inc"
#undef ASSET
};

const struct asset *asset_find(struct str path)
{
    for (size_t i = 0; i < COUNT_OF(assets); i++)
        if (str_eq(assets[i].path, path))
            return &assets[i];
    return NULL;
}

/* Whether an element of Accept-Encoding has the weight 0: "gzip;q=0" refuses. */
static bool weighs_nothing(struct str params)
{
    ptrdiff_t at = str_find_nocase(params, STR("q="));
    if (at < 0)
        return false;
    struct str q = str_trim(str_make(params.p + at + 2, params.n - (size_t)at - 2));
    for (size_t i = 0; i < q.n; i++)
        if (q.p[i] >= '1' && q.p[i] <= '9')
            return false;
    return q.n > 0 && q.p[0] == '0';
}

const struct asset_form *asset_choose(const struct asset *a, const struct http_field *f, size_t nf)
{
    bool named = false, gzip = false, any = false;
    for (size_t i = 0; i < nf; i++) {
        struct str list = f[i].value, e;
        if (f[i].id != HDR_ACCEPT_ENCODING)
            continue;
        while (str_next_elem(&list, &e)) {
            const char *semicolon = memchr(e.p, ';', e.n);
            size_t n = semicolon ? (size_t)(semicolon - e.p) : e.n;
            struct str coding = str_trim(str_make(e.p, n));
            bool wanted = !weighs_nothing(str_make(e.p + n, e.n - n));
            if (str_eq_nocase(coding, STR("gzip")) || str_eq_nocase(coding, STR("x-gzip"))) {
                named = true;
                gzip = wanted;
            } else if (str_eq(coding, STR("*"))) {
                any = wanted;
            }
        }
    }
    return (named ? gzip : any) ? &a->gzip : &a->plain;
}

bool asset_held(const struct asset_form *form, const struct http_field *f, size_t nf)
{
    for (size_t i = 0; i < nf; i++) {
        struct str list = f[i].value, e;
        if (!str_eq_nocase(f[i].name, STR("if-none-match")))
            continue;
        while (str_next_elem(&list, &e)) {
            if (str_starts(e, STR("W/")))
                e = str_make(e.p + 2, e.n - 2);
            if (str_eq(e, STR("*")) || str_eq(e, form->etag))
                return true;
        }
    }
    return false;
}
