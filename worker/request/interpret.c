#include "worker/request/interpret.h"

#include "worker/dialect/model_list.h"
#include "worker/request/state/req.h"

/* QUIET_MS: how long usage and [DONE] may follow finish_reason. END_MS: how long the end of the
 * endpoint's body may follow its message; within it the connection can be used again. */
enum { QUIET_MS = 2000, END_MS = 50, MODELS_BODY = 4 << 20 };

bool interpret_wanted(const struct req *r)
{
    return r->attempt.translated;
}

static enum interpret_result fault(struct interpret_out *out, enum net_fault net,
                                   enum evidence_kind kind, struct str body)
{
    bool whole = net == NET_NONE;
    out->fault = (struct attempt_fault){.net = net, .kind = kind, .body = body, .whole = whole};
    return INTERPRET_FAULT;
}

static enum interpret_result event(struct interpret_out *out, struct str bytes, bool end)
{
    out->ev.data = (char *)bytes.p; /* of a buffer of the interpreter's */
    out->ev.n = bytes.n;
    out->ev.end = end;
    return INTERPRET_EVENT;
}

/* The endpoint's own list of models. */
static enum interpret_result models(struct req *r, const struct exchange_event *ev,
                                    struct interpret_out *out)
{
    struct buf *all = &r->attempt.interpreter->body, *list = &r->attempt.interpreter->env->out;
    buf_bound(all, MODELS_BODY);
    buf_bound(list, 2 * MODELS_BODY);
    if (!buf_add(all, ev->data, ev->n))
        return fault(out, NET_NONE, EVIDENCE_BAD_200, STR(""));
    if (!ev->end)
        return INTERPRET_NOTHING;
    buf_drop(list, list->len);
    if (r->in.method != METHOD_HEAD && !model_list_translate(buf_view(all), list))
        return fault(out, NET_NONE, EVIDENCE_BAD_200, buf_view(all));
    return event(out, buf_view(list), true);
}

/* Whether the bytes, the first ones of a stream, make it one with content. */
static bool has_content(struct str bytes)
{
    return str_find(bytes, STR("content_block_start")) >= 0;
}

/* What the interpreter has made of an event. end: it was the exchange's last. */
static enum interpret_result made(struct req *r, const struct interpreted *in, bool end,
                                  struct interpret_out *out)
{
    switch (in->fed) {
    case OPENAI_MORE:
        return in->bytes.n ? event(out, in->bytes, false) : INTERPRET_NOTHING;
    case OPENAI_DONE:
        /* The client has the whole message; the end of the endpoint's body still frees its
         * connection, for which a stream can wait a moment. */
        r->attempt.told = true;
        return event(out, in->bytes,
                     end || !r->in.stream || (r->state == REQ_HOLD && !has_content(in->bytes)));
    case OPENAI_FAILED:
        break;
    }
    out->last = in->bytes;
    return fault(out, in->net, in->kind, in->body);
}

enum interpret_result interpret_event(struct req *r, const struct exchange_event *ev,
                                      struct interpret_out *out)
{
    struct interpreter *i = r->attempt.interpreter;
    *out = (struct interpret_out){.ev = *ev};
    if (r->attempt.told) /* what comes behind the message is not read */
        return ev->end ? event(out, STR(""), true) : INTERPRET_NOTHING;
    if (!interpret_answers(r->reply.status))
        return INTERPRET_EVENT;
    if (r->in.lists_models)
        return models(r, ev, out);
    if (ev->head && !interpreter_begin(i, ev->head, rnd_next(&r->env->rnd),
                                       (size_t)r->conf->limits.max_body_bytes))
        return fault(out, NET_LOCAL, EVIDENCE_HTTP, STR(""));
    struct interpreted in = interpreter_feed(i, ev->data, ev->n, ev->end);
    return made(r, &in, ev->end, out);
}

enum interpret_result interpret_broken(struct req *r, enum net_fault why, struct interpret_out *out)
{
    *out = (struct interpret_out){0};
    if (r->attempt.told)
        return event(out, STR(""), true);
    struct interpreted in = interpreter_broken(r->attempt.interpreter, why);
    return made(r, &in, true, out);
}

bool interpret_over(struct req *r, enum interpret_result *result, struct interpret_out *out)
{
    *out = (struct interpret_out){0};
    if (!r->attempt.translated || !r->attempt.interpreter->reply)
        return false;
    if (r->attempt.told) {
        *result = event(out, STR(""), true);
        return true;
    }
    if (!interpreter_finishing(r->attempt.interpreter))
        return false;
    struct interpreted in = interpreter_quiet(r->attempt.interpreter);
    *result = made(r, &in, true, out);
    return true;
}

bool interpret_has_content(const struct req *r)
{
    const struct interpreter *i = r->attempt.interpreter;
    return interpret_wanted(r) && i && i->reply && openai_reply_content(i->reply);
}

void interpret_watch(struct req *r)
{
    if (r->attempt.told)
        deadline_set(&r->deadline, END_MS);
    else if (interpreter_finishing(r->attempt.interpreter))
        deadline_set(&r->deadline, QUIET_MS);
}
