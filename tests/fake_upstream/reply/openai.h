/* openai: replies of endpoints that speak Chat Completions, in the dialects of their makers. */
#ifndef QCC_TESTS_FAKE_UPSTREAM_REPLY_OPENAI_H
#define QCC_TESTS_FAKE_UPSTREAM_REPLY_OPENAI_H

#include "tests/fake_upstream/reply/maker.h"

/* Whether the request has the member that b refuses. */
bool openai_refuses(const struct behave *b, const struct request *r);

/* Makes the body of an event stream: all chunks and [DONE], each with its framing, as far as
 * m->stop allows. */
void openai_stream(struct maker *m);

/* Makes the body of a whole answer. */
void openai_whole(struct maker *m);

/* Makes an error body. */
void openai_error_body(struct maker *m, unsigned status, const char *type, const char *message);

/* The message of a refusal, in m->text's memory. */
const char *openai_refusal(const struct behave *b, char room[static 256]);

#endif
