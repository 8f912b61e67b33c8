/* words: an endpoint's own words for a failure, for operators: the message of its error, or the
 * title of its page. They may quote the client: they are kept in memory alone, in no log and no
 * history, and are shown with the trail of that one request only. */
#ifndef QCC_WORKER_REQUEST_FAILED_WORDS_H
#define QCC_WORKER_REQUEST_FAILED_WORDS_H

#include "common/base/str.h"

/* Bytes of them at most. */
enum { WORDS_MAX = 160 };

struct req;

/* The words in what is seen of the body of a failed reply, or in the data of its error event: one
 * line of UTF-8, in r->mem. The endpoint's key, the client's credentials and what looks like a key
 * are masked. Empty: it says nothing, or memory is used up. */
struct str words_of_reply(struct req *r, struct str seen);

#endif
