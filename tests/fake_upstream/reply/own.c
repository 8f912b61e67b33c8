#include "tests/fake_upstream/reply/own.h"

#include "tests/fake_upstream/journal.h"
#include "tests/fake_upstream/listener.h"
#include "tests/fake_upstream/reply/reply.h"

#include <inttypes.h>

enum { STATS_MAX = 16 * 1024 * 1024 };

bool own_is(struct str target)
{
    return str_starts(target, STR("/_"));
}

static struct play *stats(const struct fake *f)
{
    struct buf b;
    buf_init(&b, STATS_MAX);
    bool ok = buf_printf(&b,
                         "{\"connections\":{\"open\":%u,\"accepted\":%" PRIu64
                         ",\"tls_resumed\":%" PRIu64 "},\"sites\":{",
                         f->open, f->accepted, f->tls_resumed) &&
              sites_json(&f->sites, &b) && buf_str(&b, STR("}}\n"));
    struct play *p = ok ? reply_own(200, "application/json", buf_view(&b), true)
                        : reply_own(500, "text/plain", STR("too much to tell\n"), true);
    buf_free(&b);
    return p;
}

struct play *own_answer(struct fake *f, const struct request *r)
{
    struct str target = request_target(r);
    struct str spec = str_trim(buf_view(&r->body));
    struct err e;
    if (str_eq(target, STR("/_stats")))
        return stats(f);
    if (str_eq(target, STR("/_reset"))) {
        sites_reset(&f->sites);
        f->accepted = f->open;
        f->tls_resumed = 0;
    } else if (str_eq(target, STR("/_drop"))) {
        conn_drop_all(f, true);
    } else if (str_eq(target, STR("/_kill"))) {
        conn_drop_all(f, false);
    } else if (str_eq(target, STR("/_bench"))) {
        if (!sites_bench(&f->sites, spec, &e))
            return reply_own(400, "text/plain", str_c(e.msg), true);
    } else if (str_starts(target, STR("/_listen/"))) {
        if (!listener_turn(str_make(target.p + 9, target.n - 9), spec, &e))
            return reply_own(400, "text/plain", str_c(e.msg), true);
        journal_set(f->journal, str_make(target.p + 1, target.n - 1), spec);
    } else if (str_starts(target, STR("/_site/"))) {
        if (!sites_set(&f->sites, str_make(target.p + 7, target.n - 7), spec, &e))
            return reply_own(400, "text/plain", str_c(e.msg), true);
        journal_set(f->journal, str_make(target.p + 7, target.n - 7), spec);
    } else {
        return reply_own(404, "text/plain",
                         STR("/_stats /_reset /_drop /_kill /_site/NAME /_listen/PORT /_bench\n"),
                         true);
    }
    return reply_own(200, "application/json", STR("{}\n"), true);
}
