#include "worker/request/state/compose.h"

#include "worker/json/json_find.h"
#include "worker/request/state/req.h"

/* The head without content-encoding, for a body that goes on inflated. False: no memory. */
static bool plain_head(struct req *r, struct forward_request *h)
{
    struct http_field *f = arena_alloc(&r->mem, h->nf * sizeof *f);
    size_t n = 0;
    for (size_t i = 0; f && i < h->nf; i++)
        if (h->f[i].id != HDR_CONTENT_ENCODING)
            f[n++] = h->f[i];
    h->f = f;
    h->nf = n;
    return f != NULL;
}

int compose_request(struct req *r, const struct conf_endpoint *ce, struct iovec iov[4])
{
    struct str body = body_view(&r->in.body);
    struct forward_request head = r->in.head;
    const char *name = r->model.named ? ep_model_there(ce, r->model.name) : NULL;
    struct str model = name ? str_c(name) : r->model.name;
    uint64_t length = body.n;
    /* A copy: the endpoint's configuration may go before the request ends. */
    const char *sent = name ? arena_strndup(&r->mem, model.p, model.n) : NULL;
    r->model.sent = sent ? str_make(sent, model.n) : model;
    bool splice = r->model.named && (name || r->model.changed);
    if (splice && r->in.inflated) {
        body = req_text(r);
        if (!plain_head(r, &head))
            return 0;
    }
    buf_free(&r->attempt.model_sent);
    if (splice) {
        if (!json_escape(model, &r->attempt.model_sent))
            return 0;
        length = body.n - r->model.raw.n + r->attempt.model_sent.len;
    }
    buf_drop(&r->attempt.send, r->attempt.send.len);
    if (!forward_to_endpoint(&r->attempt.send, &head, ce, length))
        return 0;
    int n = 0;
    iov[n++] = (struct iovec){buf_data(&r->attempt.send), r->attempt.send.len};
    if (!splice) {
        if (body.n)
            iov[n++] = iov_of(body);
        return n;
    }
    size_t before = (size_t)(r->model.raw.p - body.p), after = before + r->model.raw.n;
    iov[n++] = iov_of(str_make(body.p, before));
    iov[n++] = (struct iovec){buf_data(&r->attempt.model_sent), r->attempt.model_sent.len};
    iov[n++] = iov_of(str_make(body.p + after, body.n - after));
    return n;
}
