#include "common/conf/conf_value.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/policy/price.h"
#include "common/secret/secret.h"

#include <openssl/sha.h>
#include <stdio.h>

enum { PPM_DECIMALS = 6 };

struct unit {
    const char *name;
    uint64_t factor;
};

/* Units of durations, the largest first, as printing needs them. */
static const struct unit time_units[] = {{"y", .factor = 365 * UINT64_C(86400000)},
                                         {"d", .factor = 86400000},
                                         {"h", .factor = 3600000},
                                         {"m", .factor = 60000},
                                         {"s", .factor = 1000},
                                         {"ms", .factor = 1}};
static const struct unit size_units[] = {{"TiB", .factor = 1ull << 40},
                                         {"GiB", .factor = 1ull << 30},
                                         {"MiB", .factor = 1ull << 20},
                                         {"KiB", .factor = 1ull << 10},
                                         {"", .factor = 1}};

static void unit_text(const struct unit *u, size_t n, uint64_t v, char out[static 32])
{
    size_t i = 0;
    while (i + 1 < n && (v == 0 || v % u[i].factor))
        i++;
    snprintf(out, 32, "%llu%s", (unsigned long long)(v / u[i].factor), u[i].name);
}

void conf_ms_text(int64_t ms, char out[static 32])
{
    if (ms == 0)
        snprintf(out, 32, "0s");
    else
        unit_text(time_units, COUNT_OF(time_units), (uint64_t)ms, out);
}

void conf_bytes_text(uint64_t n, char out[static 32])
{
    unit_text(size_units, COUNT_OF(size_units), n, out);
}

void conf_ppm_text(uint64_t ppm, char out[static 32])
{
    int n = snprintf(out, 32, "%llu.%06llu", (unsigned long long)(ppm / 1000000),
                     (unsigned long long)(ppm % 1000000));
    while (out[n - 1] == '0')
        n--;
    out[out[n - 1] == '.' ? n - 1 : n] = '\0';
}

bool conf_is_null(struct conf_text t)
{
    return !t.quoted && (t.s.n == 0 || str_eq(t.s, STR("~")) || str_eq_nocase(t.s, STR("null")));
}

bool conf_is_off(struct str s)
{
    return str_eq_nocase(s, STR("off")) || str_eq_nocase(s, STR("no")) ||
           str_eq_nocase(s, STR("false"));
}

static bool is_on(struct str s)
{
    return str_eq_nocase(s, STR("on")) || str_eq_nocase(s, STR("yes")) ||
           str_eq_nocase(s, STR("true"));
}

bool conf_text_check(struct str s, struct err *e)
{
    if (s.n == 0)
        return err_set(e, "must not be empty");
    if (s.n > CONF_TEXT_MAX)
        return err_set(e, "is longer than %d bytes", CONF_TEXT_MAX);
    for (size_t i = 0; i < s.n;) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7f)
            return err_set(e, "holds a control character");
        size_t len = str_utf8_len(str_make(s.p + i, s.n - i));
        if (len == 0)
            return err_set(e, "is not UTF-8");
        i += len;
    }
    return true;
}

/* The value for messages: as the user wrote it, cut; empty where it may be a secret. */
static const char *shown(const struct conf_key *k, struct conf_text t, char out[static 48])
{
    struct err ignore;
    if (t.hidden || (k->flags & CONF_SECRET) || t.s.n > 40 || !conf_text_check(t.s, &ignore))
        out[0] = '\0';
    else
        snprintf(out, 48, ", not \"" STR_FMT "\"", STR_ARG(t.s));
    return out;
}

/* Reads DIGITS UNIT. *bare: there was no unit. False: not of that form, or over 2^63. */
static bool parse_unit(struct str s, const struct unit *u, size_t n, bool nocase, uint64_t *v,
                       bool *bare)
{
    size_t digits = 0;
    while (digits < s.n && ascii_digit(s.p[digits]))
        digits++;
    struct str name = str_make(s.p + digits, s.n - digits);
    uint64_t x;
    if (!str_to_u64(str_make(s.p, digits), INT64_MAX, &x))
        return false;
    *bare = name.n == 0;
    for (size_t i = 0; i < n && name.n; i++) {
        struct str unit = str_c(u[i].name);
        if (!(nocase ? str_eq_nocase(name, unit) : str_eq(name, unit)))
            continue;
        /* cut to the largest number, which is over every bound: the caller reports the bound */
        *v = x > INT64_MAX / u[i].factor ? INT64_MAX : x * u[i].factor;
        return true;
    }
    *v = x;
    return name.n == 0;
}

/* Units as people write them, and which they are. */
static const struct unit_word {
    const char *word, *unit;
} time_words[] = {{"msec", "ms"},   {"millis", "ms"}, {"milliseconds", "ms"},
                  {"sec", "s"},     {"secs", "s"},    {"second", "s"},
                  {"seconds", "s"}, {"min", "m"},     {"mins", "m"},
                  {"minute", "m"},  {"minutes", "m"}, {"hr", "h"},
                  {"hrs", "h"},     {"hour", "h"},    {"hours", "h"},
                  {"day", "d"},     {"days", "d"},    {"ms", "ms"},
                  {"s", "s"},       {"m", "m"},       {"h", "h"},
                  {"d", "d"},       {"yr", "y"},      {"year", "y"},
                  {"years", "y"},   {"y", "y"}},
  size_words[] = {{"k", "KiB"},   {"kb", "KiB"}, {"m", "MiB"},  {"mb", "MiB"},  {"g", "GiB"},
                  {"gb", "GiB"},  {"t", "TiB"},  {"tb", "TiB"}, {"kib", "KiB"}, {"mib", "MiB"},
                  {"gib", "GiB"}, {"b", ""},     {"bytes", ""}, {"byte", ""}};

/* "; did you mean \"30s\"?" for "30 sec" and the like, or "". */
static const char *near_unit(struct conf_text t, const struct unit_word *w, size_t n,
                             char out[static 48])
{
    size_t digits = 0;
    while (digits < t.s.n && ascii_digit(t.s.p[digits]))
        digits++;
    struct str unit = str_trim(str_make(t.s.p + digits, t.s.n - digits));
    out[0] = '\0';
    for (size_t i = 0; i < n && digits > 0 && digits < 16 && !t.hidden; i++)
        if (str_eq_nocase(unit, str_c(w[i].word)))
            snprintf(out, 48, "; did you mean \"%.*s%s\"?", (int)digits, t.s.p, w[i].unit);
    return out;
}

static bool set_ms(const struct conf_key *k, int64_t *m, struct conf_text t, struct err *e)
{
    char low[32], high[32], was[48];
    uint64_t v;
    bool bare = false;
    if (k->low == 0 && conf_is_off(t.s)) {
        *m = 0;
        return true;
    }
    char near[48];
    if (!parse_unit(t.s, time_units, COUNT_OF(time_units), false, &v, &bare))
        return err_set(e, "must be a whole number with ms, s, m, h, d or y, like 250ms or 5m%s%s",
                       shown(k, t, was), near_unit(t, time_words, COUNT_OF(time_words), near));
    if (bare && v != 0)
        return err_set(e, "needs a unit: ms, s, m, h, d or y, like 30s%s", shown(k, t, was));
    if (v < (uint64_t)k->low || v > (uint64_t)k->high) {
        conf_ms_text(k->low, low);
        conf_ms_text(k->high, high);
        return err_set(e, "must be between %s and %s%s", low, high, shown(k, t, was));
    }
    *m = (int64_t)v;
    return true;
}

static bool set_bytes(const struct conf_key *k, uint64_t *m, struct conf_text t, struct err *e)
{
    char low[32], high[32], was[48];
    uint64_t v;
    bool bare;
    char near[48];
    if (!parse_unit(t.s, size_units, COUNT_OF(size_units), true, &v, &bare))
        return err_set(e,
                       "must be a whole number of bytes, or with KiB, MiB or GiB, like 64KiB%s%s",
                       shown(k, t, was), near_unit(t, size_words, COUNT_OF(size_words), near));
    if (v < (uint64_t)k->low || v > (uint64_t)k->high) {
        conf_bytes_text((uint64_t)k->low, low);
        conf_bytes_text((uint64_t)k->high, high);
        return err_set(e, "must be between %s and %s%s", low, high, shown(k, t, was));
    }
    *m = v;
    return true;
}

static bool set_u32(const struct conf_key *k, uint32_t *m, struct conf_text t, struct err *e)
{
    char was[48];
    bool has_auto = strcmp(k->dflt, "auto") == 0;
    uint64_t v;
    if (has_auto && str_eq(t.s, STR("auto"))) {
        *m = 0;
        return true;
    }
    bool digits = t.s.n > 0;
    for (size_t i = 0; i < t.s.n; i++)
        digits = digits && ascii_digit(t.s.p[i]);
    if (!digits)
        return err_set(e, "must be a whole number%s%s", has_auto ? " or auto" : "",
                       shown(k, t, was));
    if (!str_to_u64(t.s, UINT32_MAX, &v) || v < (uint64_t)k->low || v > (uint64_t)k->high)
        return err_set(e, "must be between %lld and %lld%s", (long long)k->low, (long long)k->high,
                       shown(k, t, was));
    *m = (uint32_t)v;
    return true;
}

static bool set_flag(const struct conf_key *k, bool *m, struct conf_text t, struct err *e)
{
    char was[48];
    if (!is_on(t.s) && !conf_is_off(t.s)) {
        static const char *const words[] = {"true", "false", "yes", "no", "on", "off"};
        char near[64] = "";
        if (!t.hidden)
            conf_did_you_mean(t.s, words, COUNT_OF(words), "", near);
        return err_set(e, "must be true or false%s%s", shown(k, t, was), near);
    }
    *m = is_on(t.s);
    return true;
}

static bool set_ppm(const struct conf_key *k, uint64_t *m, struct conf_text t, struct err *e)
{
    char low[32], high[32], was[48];
    uint64_t v;
    if (!price_parse(t.s, PPM_DECIMALS, UINT64_MAX, &v))
        return err_set(e, "must be a decimal number with up to %d decimals, like 0.25%s",
                       PPM_DECIMALS, shown(k, t, was));
    if (v < (uint64_t)k->low || v > (uint64_t)k->high) {
        conf_ppm_text((uint64_t)k->low, low);
        conf_ppm_text((uint64_t)k->high, high);
        return err_set(e, "must be between %s and %s%s", low, high, shown(k, t, was));
    }
    *m = v;
    return true;
}

/* The word that is meant by a misspelt one, or by a part of a single one, as "failover" is. */
static const char *near_word(struct str s, const char *const *words, size_t n)
{
    const char *near = conf_nearest(s, words, n), *has = NULL;
    size_t parts = 0;
    for (size_t i = 0; i < n && s.n >= 4; i++)
        if (str_find_nocase(str_c(words[i]), s) >= 0) {
            has = words[i];
            parts++;
        }
    return near ? near : parts == 1 ? has : NULL;
}

static bool set_word(const struct conf_key *k, void *m, struct conf_text t, struct err *e)
{
    size_t n;
    const char *const *words = conf_words(k->kind, &n);
    bool off = conf_is_off(t.s);
    for (unsigned i = 0; i < n; i++) {
        if (str_eq(t.s, str_c(words[i])) || (off && strcmp(words[i], "off") == 0)) {
            memcpy(m, &i, sizeof i);
            return true;
        }
    }
    char list[160], was[48];
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += (size_t)snprintf(list + len, sizeof list - len, "%s%s",
                                i == 0       ? ""
                                : i + 1 == n ? " or "
                                             : ", ",
                                words[i]);
    const char *near = t.hidden ? NULL : near_word(t.s, words, n);
    if (near)
        return err_set(e, "must be %s%s; did you mean \"%s\"?", list, shown(k, t, was), near);
    return err_set(e, "must be %s%s", list, shown(k, t, was));
}

#define ENUM_FITS(kind)                                                                            \
    _Static_assert(sizeof(enum conf_##kind) == sizeof(unsigned), "set_word writes an unsigned")
ENUM_FITS(strategy);
ENUM_FITS(probe);
ENUM_FITS(auth);
ENUM_FITS(loglevel);
ENUM_FITS(logformat);
ENUM_FITS(historyon);
ENUM_FITS(historyrows);

static bool set_str(const struct conf_key *k, char **m, struct conf_text t, struct err *e)
{
    bool none = conf_is_null(t) || ((k->flags & CONF_OFF) && conf_is_off(t.s));
    if (none && strcmp(k->dflt, "null") != 0 && !(k->flags & CONF_OFF))
        return err_set(e, "must not be empty; leave the key out for its default, %s", k->dflt);
    if (!none && !conf_text_check(t.s, e))
        return false;
    if (*m && (k->flags & CONF_SECRET))
        secret_wipe(*m, strlen(*m));
    mem_free(*m);
    *m = none ? NULL : mem_strndup(t.s.p, t.s.n);
    return true;
}

/* Sets the digest of a token. A token must be visible ASCII: clients send it in a header. */
static bool set_token(uint8_t m[32], struct conf_text t, struct err *e)
{
    if (conf_is_null(t))
        return err_set(e, "must not be empty");
    if (!conf_text_check(t.s, e))
        return false;
    for (size_t i = 0; i < t.s.n; i++)
        if ((unsigned char)t.s.p[i] <= 0x20 || (unsigned char)t.s.p[i] >= 0x7f)
            return err_set(e, "may hold visible ASCII characters only");
    SHA256((const unsigned char *)t.s.p, t.s.n, m);
    return true;
}

static bool set_digest(uint8_t m[32], struct conf_text t, struct err *e)
{
    uint8_t v[32];
    bool ok = t.s.n == 2 * sizeof v;
    for (size_t i = 0; ok && i < sizeof v; i++) {
        int hi = ascii_hex(t.s.p[2 * i]), lo = ascii_hex(t.s.p[2 * i + 1]);
        ok = hi >= 0 && lo >= 0;
        v[i] = (uint8_t)(ok ? hi << 4 | lo : 0);
    }
    if (!ok)
        return err_set(e, "must be 64 hex digits, the SHA-256 of the token");
    memcpy(m, v, sizeof v);
    return true;
}

bool conf_value_set(const struct conf_key *k, void *member, struct conf_text t, struct err *e)
{
    if (conf_is_null(t) && conf_value_open(k)) {
        conf_value_default(k, member);
        return true;
    }
    if (conf_is_null(t) && k->kind < CONF_K_strs && k->kind != CONF_K_str)
        return err_set(e, "must not be empty; leave the key out for its default, %s", k->dflt);
    switch (k->kind) {
    case CONF_K_ms:
        return set_ms(k, member, t, e);
    case CONF_K_bytes:
        return set_bytes(k, member, t, e);
    case CONF_K_u32:
        return set_u32(k, member, t, e);
    case CONF_K_flag:
        return set_flag(k, member, t, e);
    case CONF_K_ppm:
        return set_ppm(k, member, t, e);
    case CONF_K_str:
        return set_str(k, member, t, e);
    CONF_CASE_WORD:
        return set_word(k, member, t, e);
    case CONF_K_token:
        return set_token(member, t, e);
    case CONF_K_digest:
        return set_digest(member, t, e);
    case CONF_K_strs:
    case CONF_K_map:
    CONF_CASE_LIST:
        break;
    }
    die("configuration key %s is not a scalar", k->name);
}

bool conf_value_open(const struct conf_key *k)
{
    return (k->kind == CONF_K_u32 || k->kind == CONF_K_ms) && strcmp(k->dflt, "null") == 0;
}

void conf_value_default(const struct conf_key *k, void *member)
{
    struct err e;
    if (conf_value_open(k)) {
        memset(member, 0, k->kind == CONF_K_u32 ? sizeof(uint32_t) : sizeof(int64_t));
        return;
    }
    if (k->kind < CONF_K_strs &&
        !conf_value_set(k, member, (struct conf_text){.s = str_c(k->dflt)}, &e))
        die("default of configuration key %s: %s", k->name, e.msg);
}

void conf_strs_add(struct conf_strs *l, struct str s)
{
    l->v = mem_realloc(l->v, l->n + 1, sizeof *l->v);
    l->v[l->n++] = mem_strndup(s.p, s.n);
}

void conf_map_add(struct conf_map *m, struct str from, struct str to)
{
    m->v = mem_realloc(m->v, m->n + 1, sizeof *m->v);
    m->v[m->n++] = (struct conf_pair){mem_strndup(from.p, from.n), mem_strndup(to.p, to.n)};
}

enum { WORD_MAX = 40 };

/* The distance by optimal string alignment: insertions, deletions, substitutions, swaps of
 * neighbours. */
static size_t distance(struct str a, struct str b)
{
    size_t row[3][WORD_MAX + 1];
    size_t *before = row[0], *last = row[1], *now = row[2];
    for (size_t j = 0; j <= b.n; j++)
        last[j] = before[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            bool same = ascii_lower(a.p[i - 1]) == ascii_lower(b.p[j - 1]);
            now[j] = min_size(last[j - 1] + !same, min_size(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
                now[j] = min_size(now[j], before[j - 2] + 1);
        }
        size_t *t = before;
        before = last;
        last = now;
        now = t;
    }
    return last[b.n];
}

const char *conf_nearest(struct str word, const char *const *words, size_t n)
{
    const char *best = NULL;
    size_t least = 3;
    for (size_t i = 0; i < n; i++) {
        struct str w = str_c(words[i]);
        if (word.n > WORD_MAX || w.n > WORD_MAX)
            continue;
        size_t d = distance(word, w);
        if (d < least && 2 * d < max_size(word.n, w.n)) {
            least = d;
            best = words[i];
        }
    }
    return best;
}

const char *conf_did_you_mean(struct str word, const char *const *words, size_t n,
                              const char *suffix, char out[static 64])
{
    const char *near = conf_nearest(word, words, n);
    out[0] = '\0';
    if (near)
        snprintf(out, 64, "; did you mean \"%s%s\"?", near, suffix);
    return out;
}
