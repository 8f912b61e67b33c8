/* hold: a reply before the commit point, held back from the client: an error, a whole reply, or an
 * event stream without content yet. Tells the conductor what is to be done with it. */
#ifndef QCC_WORKER_REQUEST_HOLD_H
#define QCC_WORKER_REQUEST_HOLD_H

#include "common/base/str.h"
#include "worker/request/attempt.h"

struct exchange_event;
struct req;

enum hold_result {
    HOLD_MORE,   /* it is held back until more of it comes */
    HOLD_COMMIT, /* it is a success: what is held back and hold_out.piece are the client's */
    HOLD_FAILED  /* it is none: hold_out.fault */
};

/* What belongs to a hold_result. Its texts borrow from the event and from r->held. */
struct hold_out {
    struct attempt_fault fault;
    struct str piece; /* of the event */
    bool end;         /* the reply is complete with it */
};

/* Takes the first event of a reply, which has its head. */
enum hold_result hold_begin(struct req *r, const struct exchange_event *ev, struct hold_out *out);

/* Takes a further piece of a reply that is held back. */
enum hold_result hold_take(struct req *r, const struct exchange_event *ev, struct hold_out *out);

/* The deadline of REQ_HOLD has passed. */
enum hold_result hold_over(struct req *r, struct hold_out *out);

/* The exchange broke while the reply was held back. */
struct attempt_fault hold_broke(struct req *r, enum net_fault why);

#endif
