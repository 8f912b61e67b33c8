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
    HOLD_FAILED, /* it is none: hold_out.fault */
    HOLD_PING    /* it is held back, and the client is to get a ping of QCC's own */
};

/* What belongs to a hold_result. Its texts borrow from the event and from r->held. */
struct hold_out {
    struct attempt_fault fault;
    struct str piece; /* of the event */
    bool end;         /* the reply is complete with it */
};

/* Reads the head of a reply, which the event has. False: it is too long, in *out. */
bool hold_head(struct req *r, const struct exchange_event *ev, struct hold_out *out) MUST_CHECK;

/* Takes the first event of a reply, which has its head: hold_head and hold_take. */
enum hold_result hold_begin(struct req *r, const struct exchange_event *ev, struct hold_out *out);

/* Takes a further piece of a reply that is held back. */
enum hold_result hold_take(struct req *r, const struct exchange_event *ev, struct hold_out *out);

/* The deadline of REQ_HOLD has passed. pings: the reply to the client may begin with a ping. */
enum hold_result hold_over(struct req *r, bool pings, struct hold_out *out);

/* The exchange broke while the reply was held back. */
struct attempt_fault hold_broke(struct req *r, enum net_fault why);

#endif
