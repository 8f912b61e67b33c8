#include "worker/dialect/model_list.h"

#include "worker/json/json_find.h"

#include <time.h>

/* The last second of the year 9999, which four digits can write. */
#define CREATED_MAX UINT64_C(253402300799)

/* A list that is being written to `out`. first, last: its ids, which borrow. */
struct model_list {
    struct buf *out;
    size_t n;
    struct str first, last;
    bool ok; /* everything fitted */
};

/* Appends one model, as GET /v1/models/ID gives it. False: it does not fit. */
static bool put_model(struct buf *out, struct str id, uint64_t created)
{
    char at[32];
    time_t t = (time_t)(created < CREATED_MAX ? created : 0);
    struct tm tm;
    strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
    return buf_str(out, STR("{\"type\":\"model\",\"id\":\"")) && json_escape(id, out) &&
           buf_str(out, STR("\",\"display_name\":\"")) && json_escape(id, out) &&
           buf_str(out, STR("\",\"created_at\":\"")) && buf_str(out, str_c(at)) &&
           buf_str(out, STR("\"}"));
}

static void list_begin(struct model_list *l, struct buf *out)
{
    *l = (struct model_list){.out = out};
    l->ok = buf_str(out, STR("{\"data\":["));
}

static void list_add(struct model_list *l, struct str id, uint64_t created)
{
    l->ok = l->ok && (l->n == 0 || buf_str(l->out, STR(","))) && put_model(l->out, id, created);
    if (l->n++ == 0)
        l->first = id;
    l->last = id;
}

/* A member with an id, or null. */
static bool put_id(struct buf *out, struct str member, struct str id, bool there)
{
    if (!there)
        return buf_str(out, member) && buf_str(out, STR("null"));
    return buf_str(out, member) && buf_str(out, STR("\"")) && json_escape(id, out) &&
           buf_str(out, STR("\""));
}

static bool list_end(struct model_list *l)
{
    return l->ok && buf_str(l->out, STR("],\"has_more\":false")) &&
           put_id(l->out, STR(",\"first_id\":"), l->first, l->n > 0) &&
           put_id(l->out, STR(",\"last_id\":"), l->last, l->n > 0) && buf_str(l->out, STR("}"));
}

/* Reads a model's id and time. False: it has no id. */
static bool read_model(struct str object, struct str *id, uint64_t *created)
{
    static const struct json_want want[] = {{.name = STR_LIT("id")}, {.name = STR_LIT("created")}};
    struct json_hit hit[COUNT_OF(want)] = {0};
    if (!json_find(object, want, hit, COUNT_OF(want)) || hit[0].kind != JSON_IS_STRING ||
        hit[0].escaped || !hit[0].raw.n)
        return false; /* an id with escapes is none that a client could ask for */
    *id = hit[0].raw;
    if (hit[1].kind != JSON_IS_NUMBER || !str_to_u64(hit[1].raw, CREATED_MAX, created))
        *created = 0;
    return true;
}

static bool add_model(void *ctx, struct str index, bool escaped, const struct json_hit *value)
{
    struct str id;
    uint64_t created;
    (void)index, (void)escaped;
    if (value->kind == JSON_IS_OBJECT && read_model(value->raw, &id, &created))
        list_add(ctx, id, created);
    return true;
}

bool model_list_translate(struct str body, struct buf *out)
{
    static const struct json_want want[] = {{.name = STR_LIT("data")}};
    struct json_hit hit[1] = {0};
    struct model_list l;
    struct str id;
    uint64_t created;
    if (!json_find(body, want, hit, 1))
        return false;
    if (hit[0].kind != JSON_IS_ARRAY)
        return read_model(body, &id, &created) && put_model(out, id, created);
    list_begin(&l, out);
    json_each(hit[0].raw, add_model, &l);
    return list_end(&l);
}
