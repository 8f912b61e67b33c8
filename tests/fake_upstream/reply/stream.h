/* stream: makes the event streams of the simulated endpoint. */
#ifndef QCC_TESTS_FAKE_UPSTREAM_REPLY_STREAM_H
#define QCC_TESTS_FAKE_UPSTREAM_REPLY_STREAM_H

#include "tests/fake_upstream/reply/maker.h"

/* Makes the body of an event stream by m->b, with its framing and end. Dies when it is too
 * large. */
void stream_make(struct maker *m);

#endif
