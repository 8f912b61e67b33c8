/* interpret: the events of an exchange with an endpoint that speaks OpenAI's protocol, turned into
 * events as an endpoint of the Messages API would have caused them. Stands between the exchange and
 * hold and relay; error replies pass as they came, as the classifier knows them. */
#ifndef QCC_WORKER_REQUEST_INTERPRET_H
#define QCC_WORKER_REQUEST_INTERPRET_H

#include "common/base/str.h"
#include "worker/request/attempt.h"
#include "worker/upstream/exchange.h"

struct req;

enum interpret_result {
    INTERPRET_NOTHING, /* nothing for the client yet */
    INTERPRET_EVENT,   /* interpret_out.ev is to be handled in place of what came */
    INTERPRET_FAULT    /* the reply is none: interpret_out.fault */
};

struct interpret_out {
    struct exchange_event ev;
    struct attempt_fault fault;
    struct str last; /* of INTERPRET_FAULT: the error event, if the reply is committed; borrowed */
};

/* Whether the events of the present attempt are to be interpreted. */
bool interpret_wanted(const struct req *r);

/* Takes an event of the exchange; the head is read already (hold_head). */
enum interpret_result interpret_event(struct req *r, const struct exchange_event *ev,
                                      struct interpret_out *out);

/* The exchange has ended without a complete reply, for the reason `why`. */
enum interpret_result interpret_broken(struct req *r, enum net_fault why,
                                       struct interpret_out *out);

/* The deadline of interpret_watch has passed. False: it was another deadline. */
bool interpret_over(struct req *r, enum interpret_result *result, struct interpret_out *out);

/* Sets the request's deadline where the message is complete but for what may not come. Called after
 * each event that the request has survived. */
void interpret_watch(struct req *r);

/* Whether the endpoint has sent content, though perhaps none that the client gets: it is not
 * silent. */
bool interpret_has_content(const struct req *r);

/* Whether a reply of such an endpoint may be an answer, by its status. */
static inline bool interpret_answers(unsigned status)
{
    return status / 100 == 2 && status != 204 && status != 205;
}

#endif
