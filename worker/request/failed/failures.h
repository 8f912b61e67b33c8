/* failures: the failed attempts of a request: what each was, and the replies that may still become
 * the answer. Stored in the request (req.h); freed by failures_free. */
#ifndef QCC_WORKER_REQUEST_FAILED_FAILURES_H
#define QCC_WORKER_REQUEST_FAILED_FAILURES_H

#include "common/base/buf.h"
#include "common/base/str.h"
#include "common/policy/outcome.h"
#include "common/policy/retry.h"
#include "common/policy/select.h"

struct choice_skip;
struct ep;
struct kept_reply;
struct req;

/* Records a choice, the one in r->sel. why: select_pick's reasons for the first n endpoints. */
void failures_choice(struct req *r, const uint8_t *why, size_t n);

/* The same; v: the reasons of `listed` endpoints that were not taken. */
void failures_choice_listed(struct req *r, const struct choice_skip *v, size_t listed);

/* Whether the reason (enum sel_skip) is more than the strategy's preference for another endpoint.
 */
bool failures_telling(uint8_t why);

/* Records that the attempt is repeated at e, without a choice. */
void failures_same(struct req *r, const struct ep *e);

/* Records that the attempt at r->ep has failed: v, and the transport's fault or NET_NONE. words:
 * the endpoint's own words (words.h), in r->mem. marked: it is a refusal by an endpoint that is
 * marked for the request. */
void failures_add(struct req *r, const struct verdict *v, enum net_fault net, struct str words,
                  bool marked);

/* Appends the text with each occurrence of the key masked. Keys shorter than 6 bytes are not
 * masked. key NULL: none. False: out of memory. */
bool failures_mask(struct buf *b, struct str text, const char *key);

/* Whether failures_mask would mask the key in the text. */
bool failures_has_key(struct str text, const char *key);

/* Keeps the reply of the newest failure, which was received to its end, and drops older ones except
 * the first refusal and rate limits, which may still become the answer. The endpoint's key is
 * masked. hidden: an error under status 200, which is sent to the client under the status of its
 * class. */
void failures_keep(struct req *r, struct str body, bool hidden);

/* The answer to a request that no endpoint served. */
struct failures_answer {
    struct kept_reply *kept; /* a reply that was kept, to be sent under `status`; NULL: QCC's own */
    unsigned status, retry_after_s; /* retry_after_s 0: none */
    bool for_good;                  /* QCC's own: trying again does not help */
    char message[2048];             /* of QCC's own */
};

/* Chooses the answer, as retry_final says. s: the last choice, or NULL when no attempt was left. */
void failures_answer(struct req *r, const struct sel_result *s, struct failures_answer *out);

/* Frees the replies that were kept. */
void failures_free(struct req *r);

#endif
