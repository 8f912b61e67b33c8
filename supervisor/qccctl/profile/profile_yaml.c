/* The functions of profile.h that write a configuration of QCC. */
#include "supervisor/qccctl/print/human.h"
#include "supervisor/qccctl/profile/profile.h"

#include <string.h>

/* Appends the character at the front of s for double quotes (YAML 1.2, 7.3.1); one that a reader
 * might fold, strip or refuse is written by its number. "${" becomes "$${", which a configuration
 * reads as "${". */
static bool quote_char(struct str s, size_t *used, struct buf *out)
{
    unsigned char c = (unsigned char)s.p[0];
    size_t n = str_utf8_len(s);
    *used = n ? n : 1;
    if (c == '"' || c == '\\')
        return buf_printf(out, "\\%c", c);
    if (c < 0x20 || c == 0x7f)
        return buf_printf(out, "\\x%02X", c);
    if (c == '$' && s.n > 1 && s.p[1] == '{')
        return buf_str(out, STR("$$"));
    if (n == 0)
        return buf_str(out, STR("?"));
    /* C1 controls, NEL, line and paragraph separators, the byte order mark, non-characters */
    bool odd =
        (n == 2 && c == 0xc2 && (unsigned char)s.p[1] < 0xa0) ||
        (n == 3 && (memcmp(s.p, "\xe2\x80\xa8", 3) == 0 || memcmp(s.p, "\xe2\x80\xa9", 3) == 0 ||
                    memcmp(s.p, "\xef\xbb\xbf", 3) == 0 || memcmp(s.p, "\xef\xbf\xbe", 3) == 0 ||
                    memcmp(s.p, "\xef\xbf\xbf", 3) == 0));
    if (!odd)
        return buf_add(out, s.p, n);
    unsigned v = n == 2 ? (c & 0x1fu) << 6 | ((unsigned char)s.p[1] & 0x3fu)
                        : (c & 0x0fu) << 12 | ((unsigned char)s.p[1] & 0x3fu) << 6 |
                              ((unsigned char)s.p[2] & 0x3fu);
    return buf_printf(out, "\\u%04X", v);
}

bool profile_quote(struct str s, struct buf *out)
{
    bool ok = buf_str(out, STR("\""));
    for (size_t i = 0, used; ok && i < s.n; i += used)
        ok = quote_char(str_make(s.p + i, s.n - i), &used, out);
    return ok && buf_str(out, STR("\""));
}

static bool put(struct buf *out, const char *indent, const char *key, const char *value)
{
    return buf_printf(out, "%s%s: ", indent, key) && profile_quote(str_c(value), out) &&
           buf_str(out, STR("\n"));
}

/* Appends a duration in the largest unit that divides it. */
static bool put_time(struct buf *out, const char *key, int64_t ms, const char *comment)
{
    long long v = ms;
    const char *unit = "ms";
    if (ms % 1000 == 0) {
        v = ms / 1000;
        unit = "s";
    }
    return buf_printf(out, "  %s: %lld%s%s\n", key, v, unit, comment);
}

static bool priorities_differ(const struct profile *p)
{
    for (size_t i = 1; i < p->n; i++)
        if (p->v[i].priority != p->v[0].priority)
            return true;
    return false;
}

static bool put_endpoint(const struct profile_endpoint *e, struct buf *out)
{
    ptrdiff_t at = str_find_nocase(str_c(e->url), STR("anthropic.com"));
    bool ok = put(out, "  - ", "name", e->name) && put(out, "    ", "base_url", e->url);
    if (ok && e->key)
        ok = put(out, "    ", "api_key", e->key);
    if (ok && e->key && e->bearer && at >= 0) /* for other hosts a key is sent in both headers */
        ok = buf_str(out, STR("    auth: bearer\n"));
    if (ok && e->weight >= 0)
        ok = buf_printf(out, "    weight: %lld\n", (long long)e->weight);
    if (ok && e->priority >= 0)
        ok = buf_printf(out, "    priority: %lld\n", (long long)e->priority);
    if (ok && !e->enabled)
        ok = buf_printf(out, "    enabled: false%s%s\n", e->off_because ? " # " : "",
                        e->off_because ? e->off_because : "");
    return ok;
}

bool profile_write(const struct profile *p, const char *from, struct buf *out)
{
    struct buf name;
    buf_init(&name, 4096);
    human_text(&name, str_c(from));
    bool ok = buf_printf(out,
                         "# Made by qccctl import from %.*s. All other keys have their defaults:\n"
                         "# qcc-supervisor --print-reference lists them.\n",
                         (int)name.len, buf_view(&name).p);
    buf_free(&name);
    if (ok && p->listen)
        ok = put(out, "", "listen", p->listen);
    if (ok && p->timeout_ms >= 0)
        ok = buf_str(out, STR("upstream:\n")) &&
             put_time(out, "first_byte_timeout", p->timeout_ms,
                      p->timeouts_differ ? " # the largest timeout of several" : "");
    if (ok && p->max_failures >= 0)
        ok = buf_printf(out, "breaker:\n  failure_threshold: %lld%s\n", (long long)p->max_failures,
                        p->failures_differ ? " # the smallest max_failures of several" : "");
    if (ok && priorities_differ(p))
        ok = buf_str(out, STR("balance:\n  use_priority: true # the smallest priority first\n"));
    ok = ok && buf_str(out, STR("endpoints:\n"));
    for (size_t i = 0; ok && i < p->n; i++)
        ok = put_endpoint(&p->v[i], out);
    return ok;
}
