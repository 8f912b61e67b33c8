/* attempt: one attempt of a request at an endpoint: begun, failed, or passed on to the client; what
 * follows a failure. */
#ifndef QCC_WORKER_REQUEST_ATTEMPT_H
#define QCC_WORKER_REQUEST_ATTEMPT_H

#include "common/base/str.h"
#include "common/policy/classify/classify.h"
#include "common/policy/outcome.h"

struct ep;
struct exchange_ops;
struct kept_reply;
struct req;

/* What has failed before the commit point. */
struct attempt_fault {
    enum net_fault net;      /* NET_NONE: the reply is classified by `kind` and `body` */
    enum evidence_kind kind; /* of `body` */
    struct str body;         /* as much of it as there is; borrowed */
    bool whole;              /* the reply was received to its end: the client may get it */
    bool stalled;            /* an error whose end was waited for in vain: it is not asked again */
    bool no_answer;          /* a 2xx that is not what was asked for, and no error either */
    bool stale;              /* the failure is of a pooled connection: closed, broken or spoilt */
};

enum attempt_step {
    ATTEMPT_CHOOSE, /* an endpoint is to be chosen */
    ATTEMPT_PAUSE,  /* after a pause the endpoint r->same, or where that is NULL one is chosen */
    ATTEMPT_OVER    /* no attempt is left: the client is to be answered */
};

/* What follows a failure. */
struct attempt_next {
    enum attempt_step step;
    int64_t ms;              /* of ATTEMPT_PAUSE */
    struct kept_reply *kept; /* of ATTEMPT_OVER: the answer; NULL: failures_answer decides */
};

/* Starts an attempt at e, which has a place for it. trial: the attempt uses this worker's trial.
 * The exchange is r->exchange, its callbacks are `ops`. False: it could not be started, which is a
 * failure of the attempt (NET_LOCAL). */
bool attempt_start(struct req *r, struct ep *e, bool trial,
                   const struct exchange_ops *ops) MUST_CHECK;

/* The attempt has failed before the commit point: judges, reports and records it, and drops the
 * reply and the exchange. */
struct attempt_next attempt_fail(struct req *r, const struct attempt_fault *f);

/* Whether another endpoint could serve the request now, should this attempt be given up. */
bool attempt_another(struct req *r);

/* How many milliseconds the stream may still be without content until the attempt is given up for
 * another endpoint; 0: none. INT64_MAX: any number. */
int64_t attempt_patience(const struct req *r);

/* The reply is a success: settles a second opinion, counts, reports. Called once, at the commit
 * point. whole: the reply is complete. */
void attempt_served(struct req *r, bool whole);

/* A committed reply is complete. */
void attempt_ended(struct req *r);

/* After the commit point the reply broke: charged by class. */
void attempt_broke(struct req *r, enum net_fault net, struct str error_event);

/* Releases all that the attempts hold: trial, references, kept replies. */
void attempt_forget(struct req *r);

#endif
