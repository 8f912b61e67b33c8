/* stream: the event streams of the simulated upstream. */
#ifndef FAKE_STREAM_H
#define FAKE_STREAM_H

#include "tests/fake_upstream/maker.h"

/* Makes the body of an event stream as the behaviour wants it, with its framing and its end. */
void stream_make(struct maker *m);

#endif
