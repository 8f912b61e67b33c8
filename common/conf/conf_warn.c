#include "common/conf/conf_warn.h"

#include "common/conf/conf_place.h"
#include "common/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct warn {
    const struct conf *c;
    conf_check_fn *fault;
    void *arg;
};

static void tell(const struct warn *w, const char *path, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void tell(const struct warn *w, const char *path, const char *fmt, ...)
{
    char msg[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    w->fault(w->arg, true, path, msg);
}

/* Whether s is in quotes of its own, as an environment file or a second pair leaves them. */
static bool quoted(struct str s)
{
    return s.n >= 2 && (s.p[0] == '"' || s.p[0] == '\'') && s.p[s.n - 1] == s.p[0];
}

/* ---- one endpoint */

/* Ends of a base_url that are paths of the API: QCC adds the path of each request itself. */
static const char *const api_paths[] = {
    "/v1/messages",      "/v1/chat/completions", "/v1/complete",        "/v1/models",
    "/v1/responses",     "/v1/embeddings",       "/v1/files",           "/messages",
    "/chat/completions", "/count_tokens",        "/v1/messages/batches"};

static void base_url(const struct warn *w, const struct conf_endpoint *ep, size_t i)
{
    struct str path = str_c(ep->base_path);
    if (ep->protocol == PROTOCOL_OPENAI)
        return; /* conf_check knows what is appended there */
    for (size_t j = 0; j < COUNT_OF(api_paths); j++)
        if (str_ends(path, str_c(api_paths[j]))) {
            tell(w, conf_place("endpoints", i, "base_url").text,
                 "ends in %s, a path of the API: requests go to …%s/v1/messages, which is rarely "
                 "meant; leave it out",
                 api_paths[j], api_paths[j]);
            return;
        }
}

/* Whether no name of a model can match the pattern. */
static bool matches_nothing(struct str pattern)
{
    for (size_t i = 0; i < pattern.n; i++)
        if (memchr(" \t,;\"'", pattern.p[i], 6))
            return true;
    return pattern.n == 0;
}

static bool offers(const struct conf_endpoint *ep, struct str model)
{
    for (size_t i = 0; i < ep->allow.n; i++)
        if (str_glob(str_c(ep->allow.v[i]), model))
            return true;
    for (size_t i = 0; i < ep->map.n; i++)
        if (str_eq(str_c(ep->map.v[i].from), model))
            return true;
    return ep->allow.n == 0;
}

static void models(const struct warn *w, const struct conf_endpoint *ep, size_t i)
{
    size_t useless = 0;
    for (size_t j = 0; j < ep->allow.n; j++) {
        char path[96];
        if (!matches_nothing(str_c(ep->allow.v[j])))
            continue;
        useless++;
        snprintf(path, sizeof path, "endpoints[%zu].models.allow[%zu]", i, j);
        tell(w, path,
             "lets nothing through: a model's name has no blank, comma or quote; each name is an "
             "element of its own");
    }
    if (ep->allow.n > 0 && useless == ep->allow.n && ep->map.n == 0)
        return;
    if (w->c->model_override && !offers(ep, str_c(w->c->model_override)))
        tell(w, conf_place("endpoints", i, "models.allow").text,
             "lets nothing through: every request asks for models.override, \"%.64s\"",
             w->c->model_override);
}

static void credentials(const struct warn *w, const struct conf_endpoint *ep, size_t i)
{
    const char *key = ep->api_key_file ? "api_key_file" : "api_key";
    if (quoted(str_c(ep->api_key)))
        tell(w, conf_place("endpoints", i, key).text,
             "the key is in quotes, which are sent as a part of it");
}

/* ---- several endpoints */

static const struct conf *sorted_of; /* for by_key */

/* By key and host, then by their place in the file. */
static int by_key(const void *a, const void *b)
{
    size_t i = *(const size_t *)a, j = *(const size_t *)b;
    const struct conf_endpoint *x = &sorted_of->endpoints[i], *y = &sorted_of->endpoints[j];
    int d = strcmp(x->api_key, y->api_key);
    if (d == 0)
        d = strcmp(x->host, y->host);
    return d ? d : (i > j) - (i < j);
}

/* One key at one host is one account, whatever the paths: limits and bans meet all. */
static void one_account(const struct warn *w)
{
    const struct conf *c = w->c;
    size_t *v = mem_zalloc(c->nendpoints + 1, sizeof *v), n = 0;
    for (size_t i = 0; i < c->nendpoints; i++)
        if (c->endpoints[i].api_key && c->endpoints[i].host && c->endpoints[i].base_path)
            v[n++] = i;
    sorted_of = c;
    if (n)
        qsort(v, n, sizeof *v, by_key);
    for (size_t i = 1, first = 0; i < n; i++) {
        const struct conf_endpoint *x = &c->endpoints[v[first]], *y = &c->endpoints[v[i]];
        if (strcmp(x->api_key, y->api_key) != 0 || strcmp(x->host, y->host) != 0) {
            first = i;
            continue;
        }
        if (strcmp(x->base_path, y->base_path) != 0)
            tell(w, conf_place("endpoints", v[i], "base_url").text,
                 "is with its key the account of endpoints[%zu] (%s) under another path: limits of "
                 "one are limits of both",
                 v[first], x->name ? x->name : "unnamed");
    }
    mem_free(v);
}

static void priorities(const struct warn *w)
{
    const struct conf *c = w->c;
    if (c->balance.use_priority || c->balance.strategy == STRATEGY_PRIORITY_FAILOVER)
        return;
    for (size_t i = 1; i < c->nendpoints; i++)
        if (c->endpoints[i].priority != c->endpoints[0].priority) {
            size_t named = c->endpoints[i].priority == 1 ? 0 : i;
            tell(w, conf_place("endpoints", named, "priority").text,
                 "is not looked at: set balance.strategy: priority_failover, or "
                 "balance.use_priority: true for another strategy");
            return;
        }
}

/* ---- listeners */

static bool beyond_loopback(const char *address)
{
    return !str_starts(str_c(address), STR("unix:")) && !str_starts(str_c(address), STR("127.")) &&
           !str_starts(str_c(address), STR("[::1]"));
}

static void listeners(const struct warn *w)
{
    for (size_t i = 0; i < w->c->nlisten; i++) {
        const struct conf_listen *l = &w->c->listen[i];
        if (l->address && !l->certificate && beyond_loopback(l->address))
            tell(w, conf_place("listen", i, "address").text,
                 "takes tokens and prompts from other machines unencrypted: set tls, or listen on "
                 "loopback behind a server that has it");
    }
}

void conf_warn(const struct conf *c, conf_check_fn *fault, void *arg)
{
    struct warn w = {c, fault, arg};
    listeners(&w);
    priorities(&w);
    for (size_t i = 0; i < c->nendpoints; i++) {
        base_url(&w, &c->endpoints[i], i);
        models(&w, &c->endpoints[i], i);
        credentials(&w, &c->endpoints[i], i);
    }
    one_account(&w);
}
