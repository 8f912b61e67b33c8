/* stream: the scan of the event stream that a request's reply is (r->sse). */
#ifndef QCC_WORKER_REQUEST_STATE_STREAM_H
#define QCC_WORKER_REQUEST_STATE_STREAM_H

#include "common/base/base.h"

struct req;

/* Scans bytes of a stream that is passed on, or is about to be. */
void stream_scan(struct req *r, const char *p, size_t n);

/* Ends the scan of a stream whose transport ended without a fault. Returns whether the stream is
 * complete; text that it lacks is left in r->tail, which is written with the end of the reply. */
bool stream_close(struct req *r) MUST_CHECK;

/* Whether the stream has carried nothing but pings and comments for so long that they do not hold
 * off upstream.idle_timeout any more. */
bool stream_pings_alone(struct req *r);

#endif
