#include "worker/request/account/access_line.h"

#include "common/base/log.h"
#include "worker/request/state/req.h"

#include <stdio.h>
#include <string.h>

static const char *failures_text(const struct req *r, char *p, size_t n)
{
    size_t at = 0;
    p[0] = '\0';
    for (unsigned i = 0; i < r->failed.n && at < n; i++) {
        const struct failure *a = &r->failed.v[i];
        int k = snprintf(p + at, n - at, "%s%s:%s", i ? "," : "", a->endpoint,
                         outcome_name(a->fail.cls));
        at += k > 0 ? (size_t)k : 0;
    }
    return p;
}

void access_line(const struct req *r, unsigned status, const char *end)
{
    bool failed = strcmp(end, "failed") == 0;
    enum log_level level = r->c && r->c->service->operators ? LOG_L_DEBUG
                           : failed                         ? LOG_L_WARNING
                                                            : LOG_L_INFO;
    if (!r->conf->log.access || !log_enabled(level))
        return;
    double now = ev_now(r->env->loop);
    char failures[512];
    const struct sse_usage *u = &r->reply.sse.usage;
    struct log_field f[18];
    size_t n = 0;
#define PUT(...) (n < COUNT_OF(f) ? (void)(f[n++] = (struct log_field){__VA_ARGS__}) : (void)0)
#define S(k, v) PUT(.key = k, .kind = LOG_V_STR, .str = v)
#define I(k, v) PUT(.key = k, .kind = LOG_V_INT, .num = (int64_t)(v))
#define MS(k, v) PUT(.key = k, .kind = LOG_V_MS, .num = (int64_t)((v)*1e6))
    S("method", r->in.head.method);
    S("path", r->in.path);
    if (r->in.client)
        S("client", str_c(r->in.client->name));
    if (r->model.named)
        S("model", r->model.name);
    S("endpoint", r->attempt.ep        ? str_c(r->attempt.ep->ce->name)
                  : r->out.answered_by ? str_c(r->out.answered_by)
                                       : STR("-"));
    I("attempts", r->attempt.begun);
    if (r->failed.n)
        S("failures", str_c(failures_text(r, failures, sizeof failures)));
    I("status", status);
    if (r->reply.first_byte_at > 0)
        MS("first_byte_ms", r->reply.first_byte_at - r->began);
    MS("total_ms", now - r->began);
    I("bytes_in", r->in.body_len);
    I("bytes_out", r->out.bytes);
    if (u->input >= 0)
        I("tokens_in", u->input);
    if (u->output >= 0)
        I("tokens_out", u->output);
    if (u->cache_read > 0)
        I("tokens_cache_read", u->cache_read);
    if (u->cache_write > 0)
        I("tokens_cache_write", u->cache_write);
    S("end", str_c(end));
#undef S
#undef I
#undef MS
#undef PUT
    log_fields(level, str_c(r->id), "request", f, n);
}
