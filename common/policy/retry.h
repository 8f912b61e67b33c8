/* retry: what is done with a request after an attempt at an endpoint has failed, and which reply
 * the client gets when nothing more is done. Pure: the caller keeps all state.
 *
 * Second opinion: the first permanent refusal is remembered by the caller (RETRY_SECOND_OPINION)
 * and one other endpoint is asked. While it is open, `opinion` is RETRY_OPINION_OPEN:
 *   another refusal   the request is at fault: the client gets the first refusal, no charge
 *   success           the first endpoint was at fault: the caller reports its refusal now
 *   no verdict        charged by class, the next endpoint is asked
 *   none left         the client gets the first refusal, for which no endpoint is charged
 * A page, and a refusal by an endpoint that is marked for the request, are no verdict either: the
 * next one is asked. When none is left after the latter, waiting for an unmarked one that cools
 * comes before the first refusal (retry_final).
 * A refusal is an HTTP reply. A permanent failure below HTTP (a certificate that is not accepted)
 * cannot be the request's fault and is handled like class unknown. */
#ifndef QCC_COMMON_POLICY_RETRY_H
#define QCC_COMMON_POLICY_RETRY_H

#include "common/base/base.h"
#include "common/policy/outcome.h"
#include "common/policy/select.h"

/* The pause before a repeat at an overloaded endpoint, longer than the usual one. */
#define RETRY_OVERLOADED_MS 750
/* No attempt is begun after so long: neither Claude Code (600 s without an event) nor the SDKs (600
 * s to the head) wait longer. */
#define RETRY_MAX_ELAPSED_MS 600000
/* A request waits at least so long for a place at an endpoint that is full. */
#define RETRY_FULL_WAIT_MS 1000
/* A request waits at most so long for another request's verdict on a circuit_open endpoint. */
#define RETRY_TRIAL_WAIT_MS 2000
/* Attempts of one request at most, including those that do not count for max_attempts. */
#define RETRY_BEGUN_MAX 100

struct retry_conf {
    uint32_t max_attempts, max_attempts_per_endpoint;
    int64_t transient_delay_ms, max_wait_ms, max_retry_after_ms;
};

enum retry_opinion { RETRY_OPINION_NONE, RETRY_OPINION_OPEN };

/* The attempt that just failed, and the request it belongs to. */
struct retry_in {
    const struct verdict *v;
    enum net_fault net; /* NET_NONE: there was an HTTP reply */
    bool reused;        /* the connection came from the pool */
    bool got_bytes;     /* some byte of a reply came */
    bool stalled;       /* the end of an error reply was waited for in vain */
    bool got_head;      /* the head of a reply came, or what begins like one */
    bool trial;         /* the attempt was the trial of a circuit_open endpoint: never repeated
                           there (the caller sets used_up) */
    bool committed;     /* the client has seen the first byte of a reply */
    bool client_gone;
    bool repeatable;        /* method and path may be sent again (retry_repeatable) */
    bool bad_request;       /* the request is faulty by QCC's own check: its body is not JSON */
    uint32_t begun;         /* attempts of this request, this one included */
    uint32_t unsent;        /* earlier attempts that do not count (retry_out.unsent) */
    uint32_t attempts_here; /* attempts at this endpoint, this one included */
    struct sel_others others;
    enum retry_opinion opinion;
    bool marked;           /* the endpoint is marked for this request: its refusal is no verdict */
    bool first_no_opinion; /* with an open opinion: the first refusal was a page or a redirect */
    bool first_marked;     /* with an open opinion: the first refusal was by a marked endpoint */
    int64_t elapsed_ms;    /* since the request was read */
    int64_t waited_ms; /* part of elapsed_ms that was waited for cooling endpoints (retry_wait) */
    uint64_t rnd;      /* for the jitter */
};

enum retry_action {
    RETRY_SAME,           /* the same endpoint after delay_ms */
    RETRY_OTHER,          /* select again after delay_ms */
    RETRY_SECOND_OPINION, /* keep this refusal as the first, opinion becomes OPEN, select again */
    RETRY_GIVE_UP
};

/* What the client gets at RETRY_GIVE_UP. */
enum retry_reply {
    RETRY_REPLY_NONE,  /* nothing: the client has left */
    RETRY_REPLY_BREAK, /* after the commit point: the SSE error event, or a cut */
    RETRY_REPLY_THIS,  /* this attempt's reply as it came */
    RETRY_REPLY_FIRST, /* the first refusal as it came */
    RETRY_REPLY_FINAL  /* what retry_final says */
};

struct retry_out {
    enum retry_action action;
    enum retry_reply reply; /* with RETRY_GIVE_UP */
    int64_t delay_ms;       /* with RETRY_SAME, and with RETRY_OTHER when all were tried once */
    bool uncounted;  /* the pooled connection was stale: no attempt is counted, nothing charged, no
                        outcome reported, and the repeat takes a new connection */
    bool unsent;     /* does not count for max_attempts: the request was not sent */
    bool charge;     /* the endpoint is charged by class: report it now. False: no charge, or not
                        before the second opinion is in */
    const char *why; /* for the log; static */
};

/* Decides what is done after the failed attempt `in`. */
void retry_next(const struct retry_conf *c, const struct retry_in *in, struct retry_out *out);

/* Whether this request may not go to that endpoint again after such a failure (sel_ep.used_up; else
 * sel_ep.tried). After a rate limit its cooldown keeps it away. */
bool retry_uses_up(const struct retry_conf *c, const struct verdict *v, enum net_fault net,
                   uint32_t attempts_here);

/* Whether a request may be sent again whatever became of the attempt. `path` without query. */
bool retry_repeatable(const char *method, size_t nmethod, const char *path, size_t npath);

/* How many milliseconds to wait before selecting again, after a select that chose nothing; -1:
 * answer now. `waited_ms`: how long the request has waited in this way already. */
int64_t retry_wait(const struct retry_conf *c, const struct sel_result *s, int64_t waited_ms);

/* One failed attempt as retry_final sees it, in the order of time. */
struct retry_fail {
    enum outcome cls;
    enum net_fault net;
    uint32_t status;        /* 0: no HTTP reply */
    int64_t retry_after_ms; /* with a rate limit; -1: none named */
    bool kept;              /* its reply is kept and can be sent as it came */
    bool marked;            /* a refusal by an endpoint that was marked for the request */
};

enum retry_final_kind {
    RETRY_FINAL_UPSTREAM,   /* the reply of fails[at] as it came */
    RETRY_FINAL_RATE_LIMIT, /* 429 with retry_after_s; body of fails[at], with at -1 QCC's own */
    RETRY_FINAL_OWN         /* QCC's own reply, with `status` */
};

struct retry_final {
    enum retry_final_kind kind;
    int at;
    uint32_t status;        /* 429, 502, 503 or 504; with RETRY_FINAL_UPSTREAM that of the reply */
    uint32_t retry_after_s; /* 0: no retry-after header */
};

/* Chooses the most telling reply when no attempt is left. `first_refusal`: index of the refusal
 * whose second opinion never came, or -1. `s`: the last select, or NULL when the request ended for
 * want of attempts. `cool_ms`: the shortest cooldown left of endpoints that were passed over
 * because they cool by their own word, cool_unmarked_ms: of those alone that are not marked for the
 * request; -1: none. */
void retry_final(const struct retry_conf *c, const struct retry_fail *fails, size_t n,
                 int first_refusal, const struct sel_result *s, int64_t cool_ms,
                 int64_t cool_unmarked_ms, struct retry_final *out);

#endif
