#include "worker/verify/list_reply.h"

#include "common/ipc/ipc.h"
#include "common/ipc/model_pack.h"
#include "worker/json/json_find.h"

#include <stdio.h>
#include <time.h>

#define CREATED_MAX UINT64_C(253402300799) /* the last second that four digits of a year can have  \
                                            */

struct reading {
    struct buf *out;
    size_t n;
    bool ok;
};

/* The text of a string; empty: it is none, or is longer than a name may be. */
static struct str text_of(const struct json_hit *h, struct buf *room)
{
    if (h->kind != JSON_IS_STRING || h->raw.n > 6 * IPC_MODEL_MAX)
        return STR("");
    if (!h->escaped)
        return h->raw;
    return json_unescape(h->raw, room) ? buf_view(room) : STR("");
}

/* Unix time of "2025-02-19T00:00:00Z", with or without a fraction; 0: it is no such time. */
static uint64_t time_of(struct str s)
{
    char text[40];
    struct tm tm = {0};
    int used = 0;
    snprintf(text, sizeof text, STR_FMT, STR_ARG(s));
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec, &used) != 6)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    time_t t = timegm(&tm);
    return t > 0 && (uint64_t)t < CREATED_MAX ? (uint64_t)t : 0;
}

static bool on_model(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    enum { ID, SHOWN, CREATED_AT, CREATED, WANTS };
    static const struct json_want want[WANTS] = {[ID] = {STR_LIT("id"), {0}},
                                                 [SHOWN] = {STR_LIT("display_name"), {0}},
                                                 [CREATED_AT] = {STR_LIT("created_at"), {0}},
                                                 [CREATED] = {STR_LIT("created"), {0}}};
    struct reading *r = ctx;
    struct json_hit h[WANTS];
    struct buf id, shown;
    (void)name, (void)escaped;
    if (v->kind != JSON_IS_OBJECT || !json_find(v->raw, want, h, WANTS))
        return r->ok;
    buf_init(&id, 6 * IPC_MODEL_MAX);
    buf_init(&shown, 6 * IPC_MODEL_MAX);
    struct model_listed m = {.id = text_of(&h[ID], &id), .shown = text_of(&h[SHOWN], &shown)};
    if (h[CREATED_AT].kind == JSON_IS_STRING)
        m.created = time_of(h[CREATED_AT].raw);
    if (!m.created &&
        (h[CREATED].kind != JSON_IS_NUMBER || !str_to_u64(h[CREATED].raw, CREATED_MAX, &m.created)))
        m.created = 0;
    if (m.id.n && m.id.n <= IPC_MODEL_MAX) {
        r->ok = model_pack_add(r->out, &m);
        r->n++;
    }
    buf_free(&id);
    buf_free(&shown);
    return r->ok && r->n < MODELS_LISTED;
}

bool list_reply_read(struct str body, struct buf *out)
{
    static const struct json_want want[] = {{.name = STR_LIT("data")}};
    struct json_hit h[1];
    struct reading r = {.out = out, .ok = true};
    if (!json_find(body, want, h, 1) || h[0].kind != JSON_IS_ARRAY)
        return false;
    json_each(h[0].raw, on_model, &r);
    return r.ok;
}
