/* verify_answer: whether a reply to a verification repeats the code that was asked for. Pure. */
#ifndef QCC_WORKER_VERIFY_VERIFY_ANSWER_H
#define QCC_WORKER_VERIFY_VERIFY_ANSWER_H

#include "common/base/str.h"

/* Bytes of a reply that are looked at; it should have six characters of text. */
enum { VERIFY_REPLY_MAX = 256 << 10 };

/* Whether a reply with status 200 has the code: in a JSON message, or in the joined text of an
 * event stream. */
bool verify_answered(struct str body, struct str code);

#endif
