#include "common/ipc/event_doc.h"

#include "common/base/clock.h"
#include "common/ipc/ipc.h"
#include "common/ipc/params.h"

#include <string.h>

enum { LIMIT_DEFAULT = 50, NUMBER = 24 };

bool event_ask_read(struct str arg, struct event_ask *a, struct err *why)
{
    static const struct str names[] = {STR_LIT("before"), STR_LIT("limit"), STR_LIT("endpoint")};
    char room[NUMBER];
    struct str v, odd = params_unknown(arg, names, COUNT_OF(names));
    uint64_t n = 0;
    *a = (struct event_ask){.before = INT64_MAX, .limit = LIMIT_DEFAULT};
    if (odd.n)
        return err_set(why, "there is no parameter %.*s", (int)min_size(odd.n, 40), odd.p);
    enum param got = params_get(arg, STR("before"), room, sizeof room, &v);
    if (got != PARAM_NONE && (got == PARAM_BAD || !str_to_u64(v, INT64_MAX, &n)))
        return err_set(why, "before is the next of an earlier answer");
    if (got == PARAM_GIVEN)
        a->before = (int64_t)n;
    got = params_get(arg, STR("limit"), room, sizeof room, &v);
    if (got != PARAM_NONE && (got == PARAM_BAD || !str_to_u64(v, EVENTS_LIMIT, &n) || n == 0))
        return err_set(why, "limit is a number from 1 to %d", EVENTS_LIMIT);
    if (got == PARAM_GIVEN)
        a->limit = (size_t)n;
    got = params_get(arg, STR("endpoint"), a->endpoint, EVENT_ENDPOINT, &v);
    if (got == PARAM_BAD || (got == PARAM_GIVEN && v.n == 0))
        return err_set(why, "endpoint is the name of an endpoint");
    if (got == PARAM_GIVEN)
        a->endpoint[v.n] = '\0';
    return true;
}

void event_doc_init(struct event_doc *e)
{
    *e = (struct event_doc){0};
    doc_init(&e->list, IPC_ANSWER_MAX);
}

static void put_time(struct doc *d, const char *name, int64_t k)
{
    char text[25];
    clock_format(k >> EVENT_K_BITS, text);
    doc_kv_text(d, name, text);
}

void event_doc_put(struct event_doc *e, int64_t k, struct str endpoint, struct str kind,
                   struct str text)
{
    const char *mark = text.n ? memchr(text.p, EVENT_BY, text.n) : NULL;
    size_t n = mark ? (size_t)(mark - text.p) : text.n;
    doc_map(&e->list, 6);
    put_time(&e->list, "time", k);
    doc_kv_int(&e->list, "k", k);
    if (endpoint.n)
        doc_kv_str(&e->list, "endpoint", endpoint);
    else
        doc_kv_text(&e->list, "endpoint", NULL);
    doc_kv_str(&e->list, "kind", kind);
    doc_kv_str(&e->list, "text", str_make(text.p, n));
    if (mark)
        doc_kv_str(&e->list, "who", str_make(mark + 1, text.n - n - 1));
    else
        doc_kv_text(&e->list, "who", NULL);
    e->n++;
    e->last = k;
}

void event_doc_end(struct event_doc *e, struct doc *d, bool more, int64_t oldest)
{
    doc_map(d, 3);
    doc_text(d, "events");
    doc_array(d, e->n);
    d->torn |= e->list.torn || !buf_str(&d->b, buf_view(&e->list.b));
    if (more && e->n) {
        doc_kv_int(d, "next", e->last);
    } else {
        doc_text(d, "next");
        doc_nil(d);
    }
    if (oldest)
        put_time(d, "oldest", oldest);
    else
        doc_kv_text(d, "oldest", NULL);
    doc_free(&e->list);
}
