/* answer: whether a reply of 2xx to a message path is what was asked: one JSON object of the API's
 * kind, or an event stream that begins with an event of the API's kind. What is not recognised as
 * an answer is none, whatever it is. Pure over buffers. */
#ifndef QCC_WORKER_EVIDENCE_ANSWER_H
#define QCC_WORKER_EVIDENCE_ANSWER_H

#include "common/base/str.h"
#include "worker/http/sse.h"

enum answer {
    ANSWER_GOOD,
    ANSWER_EMPTY, /* not a byte */
    ANSWER_CUT,   /* a JSON object that is not closed, and nothing says that it is no answer */
    ANSWER_ERROR, /* an error in JSON (evidence_is_error_body) */
    ANSWER_OTHER  /* something else: blanks, text, a page, JSON of another kind */
};

/* What a complete body is to a request that asked for JSON of that API. Reads its usage. */
enum answer answer_of_body(struct str body, enum sse_api wanted, struct sse_usage *u);

/* What the beginning of a body is, that is too long to be held as a whole: ANSWER_GOOD unless what
 * is seen says otherwise. */
enum answer answer_of_front(struct str front, enum sse_api wanted);

/* Whether a stream whose first event (s->first) is there is one of that API. An error as first
 * event is not asked about. */
bool answer_of_stream(const struct sse *s, enum sse_api wanted);

/* Whether the body is a JSON object that is not closed. Transport does not show all cuts: a reply
 * may end with its connection, and a relay may end properly what it received in part. */
bool answer_is_cut(struct str body);

#endif
