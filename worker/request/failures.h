/* trail: the failed attempts of a request: what each was, and the replies that may yet be the
 * answer. The request owns it; failures_free ends it. */
#ifndef QCC_WORKER_REQUEST_FAILURES_H
#define QCC_WORKER_REQUEST_FAILURES_H

#include "common/base/buf.h"
#include "common/base/str.h"
#include "common/policy/outcome.h"
#include "common/policy/retry.h"
#include "common/policy/select.h"

struct ep;
struct req;

/* An endpoint was chosen, or none (r->sel). why: select_pick's reasons for the first n endpoints. */
void failures_choice(struct req *r, const uint8_t *why, size_t n);

/* No choice: once more at e. */
void failures_same(struct req *r, const struct ep *e);

/* The attempt at r->ep has failed. */
void failures_add(struct req *r, const struct verdict *v, enum net_fault net);

/* Appends the text with every occurrence of the key masked (a key of under 6 bytes would be found in
 * any text: not looked for). key NULL: none. False: no memory. */
bool failures_mask(struct buf *b, struct str text, const char *key);

/* Whether the key is in the text, as far as failures_mask would look for it. */
bool failures_has_key(struct str text, const char *key);

/* Keeps the reply of the newest failure, and of older ones only what may still be the answer: the
 * first refusal, and rate limits. An endpoint's key in it is masked. hidden: it is an error under status
 * 200, which a client would take for an answer: it is told under the status of its class. */
void failures_keep(struct req *r, struct str body, bool hidden);

/* The most telling reply goes to the client, now that all is over (retry_final). s: the last choice,
 * or NULL when the request ended for want of attempts. */
void failures_answer(struct req *r, const struct retry_conf *c, const struct sel_result *s);

/* Lets go of the replies. */
void failures_free(struct req *r);

#endif
