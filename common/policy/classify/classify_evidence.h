/* classify_evidence: what a reader of replies (worker/evidence) gathered from a failed one, in the
 * plain form that classify and retry_after judge. */
#ifndef QCC_COMMON_POLICY_CLASSIFY_CLASSIFY_EVIDENCE_H
#define QCC_COMMON_POLICY_CLASSIFY_CLASSIFY_EVIDENCE_H

#include "common/base/str.h"

enum evidence_kind {
    EVIDENCE_HTTP,      /* a status that is no success, or a 2xx that is no answer */
    EVIDENCE_SSE_ERROR, /* an error event inside a stream of status 200 */
    EVIDENCE_BAD_200    /* status 200 whose body is an error, or no message at all */
};

enum { EVIDENCE_CODES = 40, EVIDENCE_TEXTS = 8, EVIDENCE_FIELDS = 32, EVIDENCE_WAITS = 12 };

/* One symbol of the error: its type, code, status or reason, an AWS type, a word of a header.
 * Lower-case letters and digits only, so that RateLimitExceeded, rate_limit_exceeded and
 * rate-limit-exceeded are one; a bare number has its member's name before it ("code1113"). */
struct evidence_code {
    struct str value;
    bool type; /* from a member `type`, which says more than a `code` where both are there */
};

/* A header, or a JSON member that names a wait. */
struct evidence_field {
    struct str name;  /* header: lower case; member: lower-case letters and digits only */
    struct str value; /* as it came, trimmed */
};

/* All strings are borrowed from the reader's arena, or from the reply. */
struct evidence {
    enum evidence_kind kind;
    unsigned status;       /* the HTTP status */
    unsigned inner_status; /* 400..599, named by the JSON error; 0: none */
    bool empty;            /* there is no body, or only blanks */
    bool json;             /* a JSON error was read */
    bool error_object;     /* the body is a JSON object with `error`, `code` or `message` */
    bool page;             /* the body is HTML */
    bool rich_page;        /* the body is HTML of more than a server's standard few lines */
    bool to_login;         /* a redirect to a login page */
    size_t ncode, ntext, nfield, nwait;
    struct evidence_code code[EVIDENCE_CODES];
    /* Messages, outermost first: ASCII lower case, blanks collapsed. `bare` is the same with what
     * stands in quotes taken out: a validator quotes the client's own words. */
    struct str text[EVIDENCE_TEXTS], bare[EVIDENCE_TEXTS];
    struct str markup; /* the body of a page with its tags, lower case */
    struct str
        model; /* name that the endpoint was asked for, set by the caller; empty: not known */
    struct str param; /* the error's `param`: the member of the request that is at fault */
    struct evidence_field field[EVIDENCE_FIELDS]; /* retry-after, date, *rate?limit* */
    struct evidence_field wait[EVIDENCE_WAITS];   /* JSON members such as retryafterms */
};

#endif
