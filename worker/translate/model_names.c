#include "worker/translate/model_names.h"

#include "common/base/mem.h"
#include "common/conf/conf_models.h"
#include "common/ipc/model_pack.h"
#include "common/policy/model_name.h"
#include "worker/json/json_find.h"

#include <time.h>

/* Names of one answer, and of all lists that are looked at: bounds on memory and time. */
enum { NAMES_MAX = 10000, LOOKED_MAX = 200000, PLACES = 1 << 15 };

struct names {
    struct model_listed v[NAMES_MAX]; /* they borrow from the lists and the configuration */
    size_t n, looked;
    uint16_t at[PLACES]; /* by hash of the id: index + 1; 0: free */
};

/* ---- which there are */

static void add(struct names *l, const struct model_listed *m)
{
    size_t place = model_hash(m->id) & (PLACES - 1);
    if (!m->id.n || l->n == NAMES_MAX)
        return;
    for (; l->at[place]; place = (place + 1) & (PLACES - 1))
        if (str_eq(l->v[l->at[place] - 1].id, m->id))
            return;
    l->v[l->n++] = *m;
    l->at[place] = (uint16_t)l->n;
}

static void add_name(struct names *l, const char *name)
{
    struct model_listed m = {.id = str_c(name)};
    if (!conf_is_pattern(m.id))
        add(l, &m);
}

static void add_keys(struct names *l, const struct conf_map *m)
{
    for (size_t i = 0; i < m->n; i++)
        add_name(l, m->v[i].from);
}

static void add_list(struct names *l, const struct conf_endpoint *ce, struct str list)
{
    struct model_listed m;
    while (l->looked < LOOKED_MAX && model_pack_next(&list, &m)) {
        l->looked++;
        if (conf_model_offered(ce, m.id))
            add(l, &m);
    }
}

static void collect(struct names *l, const struct conf *c, const struct str *lists)
{
    for (size_t i = 0; lists && i < c->nendpoints; i++)
        add_list(l, &c->endpoints[i], lists[i]);
    add_keys(l, &c->model_map);
    for (size_t i = 0; i < c->nendpoints; i++) {
        const struct conf_endpoint *ce = &c->endpoints[i];
        add_keys(l, &ce->map);
        for (size_t k = 0; k < ce->allow.n; k++)
            add_name(l, ce->allow.v[k]);
    }
}

/* ---- the answer */

static bool put_one(const struct model_listed *m, struct buf *out)
{
    char at[32];
    time_t t = (time_t)m->created;
    struct tm tm;
    strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
    return buf_str(out, STR("{\"type\":\"model\",\"id\":\"")) && json_escape(m->id, out) &&
           buf_str(out, STR("\",\"display_name\":\"")) &&
           json_escape(m->shown.n ? m->shown : m->id, out) &&
           buf_printf(out, "\",\"created_at\":\"%s\",\"object\":\"model\",\"created\":%llu}", at,
                      (unsigned long long)m->created);
}

/* A member with an id, or null. */
static bool put_id(struct buf *out, const char *member, const struct model_listed *m)
{
    if (!m)
        return buf_printf(out, ",\"%s\":null", member);
    return buf_printf(out, ",\"%s\":\"", member) && json_escape(m->id, out) &&
           buf_str(out, STR("\""));
}

static bool put_page(const struct names *l, size_t from, size_t to, bool more, struct buf *out)
{
    bool ok = buf_str(out, STR("{\"object\":\"list\",\"data\":["));
    for (size_t i = from; ok && i < to; i++)
        ok = (i == from || buf_str(out, STR(","))) && put_one(&l->v[i], out);
    return ok && buf_printf(out, "],\"has_more\":%s", more ? "true" : "false") &&
           put_id(out, "first_id", from < to ? &l->v[from] : NULL) &&
           put_id(out, "last_id", from < to ? &l->v[to - 1] : NULL) && buf_str(out, STR("}"));
}

/* The index of an id; l->n: there is none. */
static size_t find(const struct names *l, struct str id)
{
    size_t i = 0;
    while (i < l->n && !str_eq(l->v[i].id, id))
        i++;
    return i;
}

static enum model_names_result put(const struct names *l, const struct model_names_page *page,
                                   struct buf *out)
{
    size_t at, from = 0, to = l->n;
    if (l->n == 0)
        return MODEL_NAMES_NONE;
    if (page->id.n) {
        at = find(l, page->id);
        return at < l->n && put_one(&l->v[at], out) ? MODEL_NAMES_PUT : MODEL_NAMES_UNKNOWN;
    }
    if (page->after.n && (from = find(l, page->after) + 1) > l->n)
        return MODEL_NAMES_BAD;
    if (page->before.n && (to = find(l, page->before)) == l->n)
        return MODEL_NAMES_BAD;
    if (from > to)
        from = to;
    bool more = to - from > page->limit;
    if (more && page->before.n) /* those right before it */
        from = to - page->limit;
    else if (more)
        to = from + page->limit;
    return put_page(l, from, to, more, out) ? MODEL_NAMES_PUT : MODEL_NAMES_NONE;
}

enum model_names_result model_names_put(const struct conf *c, const struct str *lists,
                                        const struct model_names_page *page, struct buf *out)
{
    struct names *l = mem_zalloc(1, sizeof *l);
    collect(l, c, lists);
    enum model_names_result res = put(l, page, out);
    mem_free(l);
    return res;
}

/* ---- the question */

/* Decodes percent-encoding, and with `form` '+', to `to`. */
static struct str decode(struct str s, bool form, char *to)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        int high = i + 2 < s.n && s.p[i] == '%' ? ascii_hex(s.p[i + 1]) : -1;
        int low = high >= 0 ? ascii_hex(s.p[i + 2]) : -1;
        if (low >= 0)
            i += 2;
        char c = s.p[i];
        if (low >= 0)
            c = (char)(high << 4 | low);
        else if (form && c == '+')
            c = ' ';
        to[n++] = c;
    }
    return str_make(to, n);
}

struct str model_names_id(struct str id, char *room)
{
    return decode(id, false, room);
}

bool model_names_query(struct str query, char *room, struct model_names_page *page)
{
    uint64_t limit = MODEL_NAMES_PAGE;
    while (query.n) {
        ptrdiff_t amp = str_find(query, STR("&"));
        struct str one = str_make(query.p, amp < 0 ? query.n : (size_t)amp);
        ptrdiff_t is = str_find(one, STR("="));
        struct str name = str_make(one.p, is < 0 ? one.n : (size_t)is), value = STR("");
        if (is >= 0)
            value = decode(str_make(one.p + is + 1, one.n - (size_t)is - 1), true, room);
        room += value.n;
        if (str_eq(name, STR("after_id")))
            page->after = value;
        else if (str_eq(name, STR("before_id")))
            page->before = value;
        else if (str_eq(name, STR("limit")) &&
                 (!str_to_u64(value, MODEL_NAMES_PAGE, &limit) || limit == 0))
            return false;
        size_t used = one.n + (amp >= 0);
        query = str_make(query.p + used, query.n - used);
    }
    page->limit = (size_t)limit;
    return true;
}
