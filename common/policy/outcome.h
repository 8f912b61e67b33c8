/* outcome: how an attempt at an endpoint ended: the five classes of a failure, whose fault it was,
 * and the transport's failure. Names for logs, metrics and frames stand in one table each. */
#ifndef QCC_COMMON_POLICY_OUTCOME_H
#define QCC_COMMON_POLICY_OUTCOME_H

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
    NET_RESOLVE, /* the host name was not found */
    NET_REFUSED, /* connection refused */
    NET_CONNECT, /* any other failure to connect */
    NET_CONNECT_TIMEOUT,
    NET_PROXY,   /* the proxy that QCC connects through refused or failed */
    NET_TLS,     /* handshake failed */
    NET_CERT,    /* certificate not accepted */
    NET_SEND,    /* the connection broke while the request was written */
    NET_RESET,   /* reset before the reply was complete */
    NET_EMPTY,   /* closed without a byte of reply (or an empty 200) */
    NET_PARTIAL, /* closed in the middle of the reply */
    NET_GARBAGE, /* not HTTP, or ambiguous framing */
    NET_FIRST_BYTE_TIMEOUT,
    NET_IDLE_TIMEOUT,
    NET_LOCAL, /* descriptors, memory or configuration of QCC itself */
    /* a stream without content: given up for another endpoint, or until it timed out */
    NET_SILENT,
    NET__COUNT
};

/* What a failure concerns at its endpoint, from the narrowest to the widest; what lies outside goes
 * on as if nothing had been. */
enum scope {
    SCOPE_NONE,         /* no failure */
    SCOPE_REQUEST,      /* the request alone: nothing is remembered */
    SCOPE_CONVERSATION, /* its conversation there */
    SCOPE_FEATURE,      /* one item of the request: a header, a field, a beta, its size */
    SCOPE_NAME,         /* the exact name of the model */
    SCOPE_MODEL,        /* the family of the model: its cell */
    SCOPE_ENDPOINT,     /* all of it */
    SCOPE__COUNT
};

/* The part of an exchange that an outcome covers. A reply counts as a success when it begins to be
 * passed on; whether it comes to its end is reported later. */
enum outcome_part {
    PART_WHOLE,  /* all: a failure before anything was passed on, or a complete reply */
    PART_BEGUN,  /* a success whose reply goes on */
    PART_ENDED,  /* the reply of a PART_BEGUN was complete */
    PART_BROKEN, /* the reply of a PART_BEGUN broke off: a failure after the commit point */
    PART__COUNT
};

/* Values of retry_after_ms that are no wait. RETRY_UNTOLD: the reply names none. RETRY_UNPAID: it
 * names none, and money or a spending limit is used up: nothing changes before a payment or a new
 * month. */
enum { RETRY_UNTOLD = -1, RETRY_UNPAID = -2 };

/* The classifier's verdict on one failure. */
struct verdict {
    enum outcome cls;
    enum fault fault;
    enum scope scope; /* of a permanent refusal: what another endpoint's success would prove */
    int64_t retry_after_ms; /* as read, not yet bounded by policy; or RETRY_UNTOLD, RETRY_UNPAID */
    const char *rule;       /* name of the table row that decided; static */
    bool overloaded;        /* 529 or overloaded_error: a longer pause before the repeat */
    bool about_model;       /* the refusal was about the model: unknown, no channel for it */
    bool beyond_doubt;      /* permanent, and surely the request's fault: no second opinion */
    bool no_opinion; /* permanent, but a page or a redirect: it does not speak of the request */
};

/* The name of a class: "ok" "transient" "rate_limit" "auth" "permanent" "unknown". */
const char *outcome_name(enum outcome o);
/* The name of a fault: "none" "request" "endpoint" "unclear". */
const char *fault_name(enum fault f);
/* The name of a scope: "none" "request" "conversation" "feature" "name" "model" "endpoint". */
const char *scope_name(enum scope s);
/* A transport's failure in words for people: "connection refused", "first byte timeout", …. */
const char *net_fault_text(enum net_fault n);
/* Whether the failure proves that the endpoint did not get the request. */
bool net_fault_unsent(enum net_fault n);
/* Whether a final failure of this kind is answered with 504 instead of 502. */
bool net_fault_timeout(enum net_fault n);

#endif
