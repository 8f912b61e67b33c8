#include "tests/fake_upstream/journal.h"

#include "common/base/clock.h"
#include "tests/fake_upstream/reply/maker.h"
#include "tests/fake_upstream/site.h"

#include <inttypes.h>

enum { LINE_MAX_BYTES = 64 * 1024 };

static void put(FILE *f, const struct buf *line)
{
    fwrite(buf_view(line).p, 1, line->len, f);
    fflush(f); /* a reader sees it at once, also of a program that is killed */
}

void journal_exchange(FILE *f, const struct journal_entry *e)
{
    if (!f)
        return;
    struct buf b;
    buf_init(&b, LINE_MAX_BYTES);
    struct str id;
    if (!request_header(e->r, STR("x-chaos-id"), &id))
        id = STR("");
    maker_need(buf_printf(&b, "{\"what\":\"%s\",\"t\":%" PRId64 ",\"n\":%" PRIu64 ",\"site\":",
                          e->what, clock_mono_us(), e->r->id) &&
               json_text(&b, str_c(e->site)) && buf_str(&b, STR(",\"id\":")) && json_text(&b, id) &&
               buf_str(&b, STR(",\"method\":")) && json_text(&b, request_method(e->r)) &&
               buf_str(&b, STR(",\"target\":")) && json_text(&b, request_target(e->r)) &&
               buf_str(&b, STR(",\"model\":")) && json_text(&b, str_c(e->r->model)) &&
               buf_printf(&b,
                          ",\"stream\":%s,\"sha256\":\"%s\",\"conn\":%" PRIu64 ",\"head\":%" PRId64
                          ",\"status\":%u,\"fails\":%s,\"whole\":%s,\"sent\":%" PRIu64
                          ",\"content\":%" PRId64 "}\n",
                          e->r->stream ? "true" : "false", e->r->sha256, e->conn, e->head_us,
                          e->status, e->fails ? "true" : "false", e->whole ? "true" : "false",
                          e->sent, e->content_us));
    put(f, &b);
    buf_free(&b);
}

void journal_set(FILE *f, struct str name, struct str spec)
{
    if (!f)
        return;
    struct buf b, site;
    buf_init(&b, LINE_MAX_BYTES);
    buf_init(&site, LINE_MAX_BYTES);
    maker_need(buf_printf(&b, "{\"what\":\"set\",\"t\":%" PRId64 ",\"site\":", clock_mono_us()) &&
               buf_printf(&site, "/n/" STR_FMT, STR_ARG(name)) && json_text(&b, buf_view(&site)) &&
               buf_str(&b, STR(",\"spec\":")) && json_text(&b, spec) && buf_str(&b, STR("}\n")));
    put(f, &b);
    buf_free(&b);
    buf_free(&site);
}
