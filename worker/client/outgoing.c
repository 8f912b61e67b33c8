#include "worker/client/outgoing.h"

#include "common/conf/conf.h"
#include "worker/request/env/client.h"
#include "worker/request/state/req.h"

/* Bytes whose copy costs less than the wake-up that it may save: a small reply, some events. */
enum { SMALL = 8192 };

bool outgoing_waits(const struct turn *t, const struct iovec *iov, int n)
{
    if (!turn_has_more(t))
        return false;
    size_t size = 0;
    for (int i = 0; i < n; i++)
        size += iov[i].iov_len;
    return size <= SMALL;
}

bool outgoing_add(struct buf *out, const struct iovec *iov, int n, size_t skip)
{
    for (int i = 0; i < n; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        if (!buf_add(out, (const char *)iov[i].iov_base + skip, iov[i].iov_len - skip))
            return false;
        skip = 0;
    }
    return true;
}

size_t outgoing_bound(const struct req_env *env, const struct service *service)
{
    if (service->reply_max)
        return service->reply_max;
    const struct conf *cf = env->conf;
    size_t bound = max_size((size_t)cf->retry.hold_reply, REQ_STREAM_HOLD) +
                   2 * (size_t)cf->upstream.max_response_header_bytes + 8 * TURN_READ;
    if (UNLIKELY(env->replica->nopenai)) /* their answers are given all at once */
        bound += 2 * (size_t)cf->limits.max_body_bytes + INTERPRETER_OUT_SLACK;
    return bound;
}
