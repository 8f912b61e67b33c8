#include "supervisor/qccctl/profile/profile.h"

#include "common/base/mem.h"
#include "supervisor/qccctl/print/human.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { PATH = 256, WARNINGS_MAX = 256 << 10, TEXT_MAX = 4096 };

static void warn(struct profile *p, const char *path, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void warn(struct profile *p, const char *path, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    human_text(&p->warnings, str_c(path));
    (void)!buf_printf(&p->warnings, "%s", *path ? ": " : "");
    human_text(&p->warnings, str_c(text));
    (void)!buf_str(&p->warnings, STR("\n"));
}

/* Writes the place of a member, such as "profiles.work.endpoints[2]". */
static void path_key(char out[PATH], const char *path, const char *key)
{
    snprintf(out, PATH, "%.180s%s%.60s", path, *path ? "." : "", key);
}

static void path_at(char out[PATH], const char *path, size_t i)
{
    snprintf(out, PATH, "%.220s[%zu]", path, i);
}

/* ---- names of members */

/* Names of members with the same meaning; the first one present counts. */
static const char *const urls[] = {
    "base_url", "url", "baseUrl", "baseURL", "endpoint", "api_base", "ANTHROPIC_BASE_URL", NULL};
static const char *const keys[] = {"api_key", "key", "apiKey", "ANTHROPIC_API_KEY", NULL};
static const char *const tokens[] = {"auth_token", "token", "authToken", "ANTHROPIC_AUTH_TOKEN",
                                     NULL};
static const char *const weights[] = {"weight", NULL};
static const char *const priorities[] = {"priority", NULL};
static const char *const switches[] = {"enabled", "active", NULL};
static const char *const failures[] = {"max_failures", "maxFailures", NULL};
static const char *const timeouts[] = {"timeout", "timeout_seconds", NULL};
static const char *const names[] = {"name", "id", NULL};
static const char *const actives[] = {
    "default_profile", "active_profile", "current_profile", "default", "active", "current", NULL};
static const char *const hosts[] = {"host", NULL};
static const char *const ports[] = {"port", NULL};
static const char *const lists[] = {"endpoints", NULL};
static const char *const others[] = {"env", "profiles", "version", "description", "comment", NULL};

static bool is_in(const char *key, const char *const *v)
{
    for (; *v; v++)
        if (strcmp(*v, key) == 0)
            return true;
    return false;
}

static const json_t *member(const json_t *o, const char *const *v, const char **key)
{
    for (; *v; v++) {
        const json_t *m = json_object_get(o, *v);
        if (m && !json_is_null(m)) {
            *key = *v;
            return m;
        }
    }
    return NULL;
}

static struct str text_of(const json_t *v)
{
    return json_is_string(v) ? str_make(json_string_value(v), json_string_length(v)) : STR("");
}

/* Reads a text. A value of another kind, or too long, gives a warning. */
static struct str text(struct profile *p, const json_t *o, const char *const *v, const char *path)
{
    const char *key = "";
    char at[PATH];
    const json_t *m = member(o, v, &key);
    struct str s = str_trim(text_of(m));
    path_key(at, path, key);
    if (m && !json_is_string(m))
        warn(p, at, "a text was expected");
    else if (s.n > TEXT_MAX) {
        warn(p, at, "is longer than %d bytes", TEXT_MAX);
        s = STR("");
    }
    return s;
}

/* Reads a whole number, also from a text ("30", "30s"); -1: there is none. */
static int64_t number(struct profile *p, const json_t *o, const char *const *v, const char *path,
                      int64_t scale, int64_t low, int64_t high)
{
    const char *key = "";
    char at[PATH];
    const json_t *m = member(o, v, &key);
    double x = -1;
    uint64_t u;
    if (!m)
        return -1;
    path_key(at, path, key);
    struct str s = str_trim(text_of(m));
    if (s.n && (s.p[s.n - 1] == 's' || s.p[s.n - 1] == 'S'))
        s = str_trim(str_make(s.p, s.n - 1));
    if (json_is_number(m))
        x = json_number_value(m);
    else if (str_to_u64(s, INT32_MAX, &u))
        x = (double)u;
    if (!(x >= 0 && x <= 1e12)) {
        warn(p, at, "no number that can be used");
        return -1;
    }
    int64_t n = (int64_t)(x * (double)scale + 0.5);
    if (n < low || n > high) {
        warn(p, at, "%.15g is out of range: %lld is taken", x,
             (long long)(n < low ? low : high) / scale);
        n = n < low ? low : high;
    }
    return n;
}

static bool flag(struct profile *p, const json_t *o, const char *const *v, const char *path,
                 bool otherwise)
{
    const char *key = "";
    char at[PATH];
    const json_t *m = member(o, v, &key);
    struct str s = text_of(m);
    if (json_is_boolean(m))
        return json_is_true(m);
    if (json_is_integer(m))
        return json_integer_value(m) != 0;
    if (str_eq_nocase(s, STR("true")) || str_eq_nocase(s, STR("yes")) ||
        str_eq_nocase(s, STR("on")))
        return true;
    if (str_eq_nocase(s, STR("false")) || str_eq_nocase(s, STR("no")) ||
        str_eq_nocase(s, STR("off")))
        return false;
    path_key(at, path, key);
    if (m)
        warn(p, at, "neither true nor false: %s is taken", otherwise ? "true" : "false");
    return otherwise;
}

/* Warns of members that are not imported. */
static void tell_unknown(struct profile *p, const json_t *o, const char *path, bool top)
{
    const char *const *const known[] = {urls,     keys,     tokens,   weights, priorities,
                                        switches, failures, timeouts, names,   actives,
                                        hosts,    ports,    lists,    others};
    const char *key;
    const json_t *v;
    json_object_foreach((json_t *)(uintptr_t)o, key, v)
    {
        bool found = false;
        for (size_t i = 0; i < COUNT_OF(known); i++) {
            bool only_top = known[i] == hosts || known[i] == ports;
            found |= is_in(key, known[i]) && (top || !only_top);
        }
        char at[PATH];
        path_key(at, path, key);
        if (!found)
            warn(p, at, "not understood, left out");
    }
}

/* ---- endpoints */

static void name_put(struct profile *p, struct profile_endpoint *e, struct str wanted,
                     const char *path)
{
    char made[PROFILE_NAME + 1];
    size_t n = 0;
    for (size_t i = 0; i < wanted.n && n < PROFILE_NAME; i++) {
        char c = wanted.p[i];
        bool good = ascii_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') ||
                    c == '.' || c == '_' || c == '-';
        if (good)
            made[n++] = c;
        else if (n == 0 || made[n - 1] != '-')
            made[n++] = '-';
    }
    while (n && made[n - 1] == '-' && wanted.p[wanted.n - 1] != '-')
        n--;
    made[n] = '\0';
    if (n == 0)
        snprintf(made, sizeof made, "endpoint");
    snprintf(e->name, sizeof e->name, "%s", made);
    for (unsigned k = 2; k <= PROFILE_ENDPOINTS + 1; k++) {
        bool taken = false;
        for (size_t i = 0; i < p->n && !taken; i++)
            taken = &p->v[i] != e && strcmp(p->v[i].name, e->name) == 0;
        if (!taken)
            break;
        snprintf(e->name, sizeof e->name, "%.58s-%u", made, k);
    }
    if (wanted.n && !str_eq(str_c(e->name), wanted))
        warn(p, path, "the name %.*s becomes %s", (int)min_size(wanted.n, 100), wanted.p, e->name);
}

/* The host of a URL, for an endpoint without a name. */
static struct str host_of(struct str url)
{
    ptrdiff_t at = str_find(url, STR("://"));
    if (at >= 0)
        url = str_make(url.p + at + 3, url.n - (size_t)at - 3);
    size_t n = 0;
    while (n < url.n && url.p[n] != '/' && url.p[n] != ':')
        n++;
    return str_make(url.p, n);
}

static char *copy(struct str s)
{
    char *c = mem_zalloc(s.n + 1, 1);
    if (s.n)
        memcpy(c, s.p, s.n);
    return c;
}

/* Values that a profile sets for all its endpoints. */
struct common {
    struct str name, key;
    bool bearer, enabled;
    const char *off_because;
    int64_t weight, priority;
};

static void note_limits(struct profile *p, const json_t *o, const char *path)
{
    int64_t f = number(p, o, failures, path, 1, 1, 1000);
    int64_t t = number(p, o, timeouts, path, 1000, 10, 86400000);
    if (f >= 0) {
        p->failures_differ |= p->max_failures >= 0 && p->max_failures != f;
        p->max_failures = p->max_failures < 0 || f < p->max_failures ? f : p->max_failures;
    }
    if (t >= 0) {
        p->timeouts_differ |= p->timeout_ms >= 0 && p->timeout_ms != t;
        p->timeout_ms = t > p->timeout_ms ? t : p->timeout_ms;
    }
}

/* The key of the object or its "env"; *bearer: it is a bearer token. */
static struct str credentials(struct profile *p, const json_t *o, const char *path, bool *bearer)
{
    char at[PATH];
    const json_t *env = json_object_get(o, "env");
    path_key(at, path, "env");
    struct str key = text(p, o, keys, path), token = text(p, o, tokens, path);
    if (!key.n)
        key = text(p, env, keys, at);
    if (!token.n)
        token = text(p, env, tokens, at);
    if (key.n && token.n && !str_eq(key, token))
        warn(p, path, "has a key and a token: the key is taken");
    *bearer = !key.n && token.n;
    return key.n ? key : token;
}

static struct str url_of(struct profile *p, const json_t *o, const char *path)
{
    char at[PATH];
    struct str url = text(p, o, urls, path);
    path_key(at, path, "env");
    if (!url.n)
        url = text(p, json_object_get(o, "env"), urls, at);
    while (url.n && url.p[url.n - 1] == '/')
        url.n--;
    if (str_ends(url, STR("/v1"))) {
        warn(p, path, "the URL's /v1 is left out: requests bring it along");
        url.n -= 3;
    }
    return url;
}

static void add(struct profile *p, const json_t *o, const char *path, const struct common *c)
{
    struct str url = url_of(p, o, path), name = text(p, o, names, path);
    bool bearer;
    struct str key = credentials(p, o, path, &bearer);
    if (!url.n) {
        if (*path) /* else the whole file has no endpoint, which profile_read reports */
            warn(p, path, "has no base_url: left out");
        return;
    }
    if (!str_starts_nocase(url, STR("http://")) && !str_starts_nocase(url, STR("https://"))) {
        warn(p, path, "%.*s is not an http or https URL: left out", (int)min_size(url.n, 100),
             url.p);
        return;
    }
    if (!key.n) {
        key = c->key;
        bearer = c->bearer;
    }
    for (size_t i = 0; i < p->n; i++)
        if (str_eq(str_c(p->v[i].url), url) && str_eq(str_c(p->v[i].key), key)) {
            warn(p, path, "is the same endpoint as %s: left out", p->v[i].name);
            if (!p->v[i].enabled && p->v[i].off_because && !c->off_because) {
                p->v[i].enabled = flag(p, o, switches, path, c->enabled);
                p->v[i].off_because = NULL;
            }
            return;
        }
    if (p->n == PROFILE_ENDPOINTS) {
        warn(p, path, "more than %d endpoints: left out", PROFILE_ENDPOINTS);
        return;
    }
    p->v = mem_realloc(p->v, p->n + 1, sizeof *p->v);
    struct profile_endpoint *e = &p->v[p->n++];
    *e = (struct profile_endpoint){
        .url = copy(url), .key = key.n ? copy(key) : NULL, .bearer = bearer};
    name_put(p, e, name.n ? name : c->name.n ? c->name : host_of(url), path);
    e->weight = number(p, o, weights, path, 1, 0, 1000000);
    e->priority = number(p, o, priorities, path, 1, 1, 1000);
    if (e->weight < 0)
        e->weight = c->weight;
    if (e->priority < 0)
        e->priority = c->priority;
    e->enabled = flag(p, o, switches, path, true) && c->enabled;
    if (e->enabled && c->off_because) {
        e->enabled = false;
        e->off_because = c->off_because;
    }
    if (!key.n)
        warn(p, path, "has no key: the clients' own credentials will be passed on");
}

static void add_element(struct profile *p, const json_t *e, const char *at, struct common *c)
{
    if (!json_is_object(e)) {
        warn(p, at, "not understood, left out");
        return;
    }
    tell_unknown(p, e, at, false);
    note_limits(p, e, at);
    add(p, e, at, c);
}

/* Adds the endpoints of a list, or of a mapping from their names. */
static void add_list(struct profile *p, const json_t *list, const char *path, struct common *c)
{
    const json_t *e;
    const char *key;
    size_t i;
    char at[PATH];
    struct str outer = c->name;
    if (!json_is_array(list) && !json_is_object(list)) {
        warn(p, path, "a list of endpoints was expected");
        return;
    }
    json_array_foreach(list, i, e)
    {
        path_at(at, path, i);
        c->name = json_array_size(list) == 1 ? outer : STR("");
        add_element(p, e, at, c);
    }
    if (json_is_object(list))
        json_object_foreach((json_t *)(uintptr_t)list, key, e)
        {
            path_key(at, path, key);
            c->name = str_c(key);
            add_element(p, e, at, c);
        }
}

/* ---- profiles */

static void add_profile(struct profile *p, const json_t *o, const char *path, struct str name,
                        bool active, bool top)
{
    struct common c = {.name = name,
                       .enabled = true,
                       .off_because = active ? NULL : "not of the active profile",
                       .weight = -1,
                       .priority = -1};
    const json_t *list = json_object_get(o, "endpoints");
    char at[PATH];
    if (!json_is_object(o)) {
        warn(p, path, "not understood, left out");
        return;
    }
    tell_unknown(p, o, path, top);
    note_limits(p, o, path);
    if (!list) {
        add(p, o, path, &c);
        return;
    }
    c.key = credentials(p, o, path, &c.bearer);
    c.weight = number(p, o, weights, path, 1, 0, 1000000);
    c.priority = number(p, o, priorities, path, 1, 1, 1000);
    c.enabled = top || flag(p, o, switches, path, true);
    path_key(at, path, "endpoints");
    struct str url = url_of(p, o, path);
    if (url.n) { /* the profile is an endpoint itself, beside its list */
        struct common own = c;
        own.weight = own.priority = -1;
        add(p, o, path, &own);
    }
    add_list(p, list, at, &c);
}

struct choice_of {
    struct str only, active;
    bool found;
};

static bool is_active(struct choice_of *c, struct str name)
{
    bool is = c->only.n ? str_eq(c->only, name) : !c->active.n || str_eq(c->active, name);
    c->found |= is;
    return is;
}

static void add_profiles(struct profile *p, const json_t *list, struct choice_of *c)
{
    const json_t *o;
    const char *key;
    size_t i;
    char at[PATH];
    json_array_foreach(list, i, o)
    {
        snprintf(at, sizeof at, "profiles[%zu]", i);
        struct str name = json_is_object(o) ? text(p, o, names, at) : STR("");
        bool active = is_active(c, name);
        if (active || !c->only.n)
            add_profile(p, o, at, name, active, false);
    }
    if (json_is_object(list))
        json_object_foreach((json_t *)(uintptr_t)list, key, o)
        {
            path_key(at, "profiles", key);
            bool active = is_active(c, str_c(key));
            if (active || !c->only.n)
                add_profile(p, o, at, str_c(key), active, false);
        }
}

/* The name of the profile that the file marks as active, if it exists. */
static struct str active_of(struct profile *p, const json_t *doc, const json_t *list)
{
    const char *key = "";
    const json_t *m = member(doc, actives, &key), *o;
    struct str name = text_of(m);
    bool there = json_object_get(list, name.n ? name.p : "") != NULL;
    size_t i;
    json_array_foreach(list, i, o)
    {
        there |= str_eq(text_of(json_object_get(o, "name")), name);
    }
    if (m && !there)
        warn(p, key, "names no profile of the file: all are taken");
    return there ? name : STR("");
}

/* Reads the address that v0.6 listened on. QCC requires `clients` before it listens to other
 * machines. */
static void read_listen(struct profile *p, const json_t *doc)
{
    struct str host = text(p, doc, hosts, "");
    int64_t port = number(p, doc, ports, "", 1, 1, 65535);
    struct buf b;
    if (!host.n && port < 0)
        return;
    if (host.n && !str_eq_nocase(host, STR("localhost")) && !str_starts(host, STR("127.")) &&
        !str_eq(host, STR("::1")) && !str_eq(host, STR("[::1]"))) {
        warn(p, "host", "%.*s is open to others, for which QCC wants `clients`: 127.0.0.1 is taken",
             (int)min_size(host.n, 100), host.p);
        host = STR("127.0.0.1");
    }
    bool v6 = host.n && memchr(host.p, ':', host.n) && host.p[0] != '[';
    buf_init(&b, 512);
    if (buf_printf(&b, v6 ? "[%.*s]:%lld" : "%.*s:%lld", host.n ? (int)min_size(host.n, 255) : 9,
                   host.n ? host.p : "127.0.0.1", (long long)(port < 0 ? 7860 : port)))
        p->listen = copy(buf_view(&b));
    buf_free(&b);
}

bool profile_read(struct profile *p, const json_t *doc, const char *only, struct err *e)
{
    *p = (struct profile){.max_failures = -1, .timeout_ms = -1};
    buf_init(&p->warnings, WARNINGS_MAX);
    const json_t *list = json_object_get(doc, "profiles");
    struct choice_of c = {.only = str_c(only)};
    struct common all = {.enabled = true, .weight = -1, .priority = -1};
    if (json_is_array(doc)) {
        add_list(p, doc, "", &all);
    } else if (!json_is_object(doc)) {
        return err_set(e, "neither a profile nor a list of endpoints");
    } else if (list) {
        c.active = active_of(p, doc, list);
        tell_unknown(p, doc, "", true);
        note_limits(p, doc, "");
        read_listen(p, doc);
        if (!json_is_array(list) && !json_is_object(list))
            warn(p, "profiles", "a mapping or a list was expected");
        add_profiles(p, list, &c);
        if (json_object_get(doc, "endpoints"))
            add_list(p, json_object_get(doc, "endpoints"), "endpoints", &all);
    } else {
        read_listen(p, doc);
        add_profile(p, doc, "", text(p, doc, names, ""), true, true);
    }
    if (only && list && !c.found)
        return err_set(e, "there is no profile %.100s", only);
    if (p->n == 0)
        return err_set(
            e, "no endpoint is in it: a profile has base_url and api_key, or endpoints that do");
    bool any = false;
    for (size_t i = 0; i < p->n; i++)
        any |= p->v[i].enabled;
    if (!any)
        warn(p, "", "no endpoint is enabled: requests will be refused until one is");
    return true;
}

void profile_free(struct profile *p)
{
    for (size_t i = 0; i < p->n; i++) {
        mem_free(p->v[i].url);
        mem_free(p->v[i].key);
    }
    mem_free(p->v);
    mem_free(p->listen);
    buf_free(&p->warnings);
    *p = (struct profile){0};
}
