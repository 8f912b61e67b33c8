/* outcome: how an attempt at an endpoint ended, as everybody speaks of it: the five classes of a
 * failure, whose fault it was, and what the transport saw. Words for logs, metrics and frames stand
 * in one table each. */
#ifndef QCC_POLICY_OUTCOME_H
#define QCC_POLICY_OUTCOME_H

#include "common/base/base.h"

enum outcome {
    OUTCOME_OK,
    OUTCOME_TRANSIENT,
    OUTCOME_RATE_LIMIT,
    OUTCOME_AUTH,
    OUTCOME_PERMANENT,
    OUTCOME_UNKNOWN,
    OUTCOME__COUNT
};

enum fault { FAULT_NONE, FAULT_REQUEST, FAULT_ENDPOINT, FAULT_UNCLEAR, FAULT__COUNT };

/* What went wrong below HTTP; NET_NONE when an HTTP reply was there. */
enum net_fault {
    NET_NONE,
    NET_RESOLVE,            /* name not found */
    NET_REFUSED,            /* connection refused */
    NET_CONNECT,            /* any other failure to connect */
    NET_CONNECT_TIMEOUT,
    NET_PROXY,              /* our own outgoing proxy refused or failed */
    NET_TLS,                /* handshake failed */
    NET_CERT,               /* certificate not accepted */
    NET_SEND,               /* broke while the request was written */
    NET_RESET,              /* reset before the reply was complete */
    NET_EMPTY,              /* closed without a byte of reply (or an empty 200) */
    NET_PARTIAL,            /* closed in the middle of the reply */
    NET_GARBAGE,            /* not HTTP, or framing that is not beyond doubt */
    NET_FIRST_BYTE_TIMEOUT,
    NET_IDLE_TIMEOUT,
    NET_LOCAL,              /* our own descriptors, memory or configuration */
    NET__COUNT
};

/* How much of an exchange an outcome speaks of. A reply counts as a success when it begins to be
 * passed on; whether it comes to its end is told later. */
enum outcome_part {
    PART_WHOLE,  /* all of it: a failure before anything was passed on, or a reply that was complete */
    PART_BEGUN,  /* a success whose reply goes on */
    PART_ENDED,  /* that reply was complete */
    PART_BROKEN, /* it was not: a failure after the commit point */
    PART__COUNT
};

/* What the classifier says of one failure. */
struct verdict {
    enum outcome cls;
    enum fault fault;
    int64_t retry_after_ms; /* as read, not yet bounded by policy; -1: told nothing */
    const char *rule;       /* name of the table row that decided; static */
    bool overloaded;        /* 529 or overloaded_error: a longer pause before the repeat */
    bool about_model;       /* the refusal was about the model: unknown, no channel for it */
    bool beyond_doubt;      /* permanent, and surely the request's fault: no second opinion */
    bool no_opinion;        /* permanent, but a page or a redirect: it does not speak of the request */
};

/* "ok" "transient" "rate_limit" "auth" "permanent" "unknown" */
const char *outcome_name(enum outcome o);
/* "none" "request" "endpoint" "unclear" */
const char *fault_name(enum fault f);
/* "connection refused", "first byte timeout", …: for messages to people */
const char *net_fault_text(enum net_fault n);
/* Whether the failure proves that the endpoint did not get the request. */
bool net_fault_unsent(enum net_fault n);
/* Whether a final failure of this kind is answered with 504 instead of 502. */
bool net_fault_timeout(enum net_fault n);

#endif
