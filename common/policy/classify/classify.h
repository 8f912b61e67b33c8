/* classify: what a failed attempt means: one of the classes of outcome.h, whose fault it was, and
 * how long to wait. Structure first (transport, status, the JSON error's type, code and status,
 * headers), words only where structure is general or known to mislead, bare digits in a text never.
 * Pure.
 *
 * The evidence is what a reader of replies (worker/evidence) gathered, already in a plain form; the
 * rules are rows of classify_rules; the wait is read by retry_after. */
#ifndef QCC_POLICY_CLASSIFY_H
#define QCC_POLICY_CLASSIFY_H

#include "common/base/str.h"
#include "common/policy/outcome.h"

enum evidence_kind {
    EVIDENCE_HTTP,      /* a status that is no success, or a 2xx that is no answer */
    EVIDENCE_SSE_ERROR, /* an error event inside a stream of status 200 */
    EVIDENCE_BAD_200    /* status 200 whose body is an error, or no message at all */
};

enum { EVIDENCE_CODES = 40, EVIDENCE_TEXTS = 8, EVIDENCE_FIELDS = 32, EVIDENCE_WAITS = 12 };

/* One symbol of the error: an error's type, code, status or reason, a type of AWS, a header's word.
 * Lower-case letters and digits only, so that RateLimitExceeded, rate_limit_exceeded and
 * rate-limit-exceeded are one; a bare number has its member's name before it ("code1113"). */
struct evidence_code {
    struct str value;
    bool type; /* it stood in a `type`, which says more than a `code` where both are there */
};

/* A header, or a JSON member that tells when to come back. */
struct evidence_field {
    struct str name;  /* header: lower case; member: lower-case letters and digits only */
    struct str value; /* as it came, trimmed */
};

/* All strings are borrowed from the reader's arena, or from the reply. */
struct evidence {
    enum evidence_kind kind;
    unsigned status;       /* of HTTP */
    unsigned inner_status; /* 400..599 told by the JSON error itself; 0: none */
    bool empty;            /* no body, or blanks */
    bool json;             /* a JSON error was read */
    bool page;             /* HTML */
    bool rich_page;        /* HTML that is more than a server's few lines */
    bool to_login;         /* a redirect to a place where people log in */
    size_t ncode, ntext, nfield, nwait;
    struct evidence_code code[EVIDENCE_CODES];
    /* Messages, outermost first: ASCII lower case, blanks collapsed. `bare` is the same with what
     * stands in quotes taken out: a validator quotes the client's own words. */
    struct str text[EVIDENCE_TEXTS], bare[EVIDENCE_TEXTS];
    struct str markup; /* a page with its tags, lower case */
    struct str param;  /* the error's `param`: the member of the request it speaks of */
    struct evidence_field field[EVIDENCE_FIELDS]; /* retry-after, date, *rate?limit* */
    struct evidence_field wait[EVIDENCE_WAITS];   /* JSON members such as retryafterms */
};

/* The verdict on a reply. wall_now_ms: when it was received, against which dates are measured;
 * negative: not known, then only waits that need no clock are read. retry_after_ms is at most
 * RETRY_AFTER_MAX_MS of retry_after.h. */
void classify(const struct evidence *ev, int64_t wall_now_ms, struct verdict *out);

/* Whether the error names a member of the request's body ("messages.0.content: field required",
 * "max_tokens: …", param). */
bool classify_names_field(const struct evidence *ev);

/* The verdict on a failure below HTTP. */
void classify_net(enum net_fault n, struct verdict *out);

#endif
