#include "tests/fake_upstream/reply/maker.h"

#include "common/base/log.h"
#include "tests/fake_upstream/site.h"

#include <inttypes.h>

void maker_need(bool ok)
{
    if (!ok)
        die("a reply's text is too large");
}

struct str maker_model(const struct maker *m)
{
    return m->r && m->r->model[0] ? str_c(m->r->model) : STR("claude-fake-1");
}

struct str maker_said(const struct maker *m)
{
    if (m->b->mute)
        return STR("I would rather not say.");
    return m->r && m->r->text ? str_c(m->r->text) : STR("Hello from the simulated upstream.");
}

const char *or_else(const char *given, const char *other)
{
    return given ? given : other;
}

bool maker_error_json(struct buf *out, const char *type, const char *message)
{
    return buf_str(out, STR("{\"type\":\"error\",\"error\":{\"type\":")) &&
           json_text(out, str_c(type)) && buf_str(out, STR(",\"message\":")) &&
           json_text(out, str_c(message)) && buf_str(out, STR("}}"));
}

bool maker_echo_json(struct buf *out, const struct request *r)
{
    return buf_str(out, STR(",\"echo\":{\"method\":")) && json_text(out, request_method(r)) &&
           buf_str(out, STR(",\"target\":")) && json_text(out, request_target(r)) &&
           buf_str(out, STR(",\"model\":")) && json_text(out, str_c(r->model)) &&
           buf_printf(out, ",\"body_bytes\":%" PRIu64 ",\"body_sha256\":\"%s\",\"headers\":",
                      r->body_bytes, r->sha256) &&
           json_headers(out, r) && buf_str(out, STR("}"));
}
