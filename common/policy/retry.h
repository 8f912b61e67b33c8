/* retry: what is done with a request after an attempt at an endpoint has failed, and which reply
 * the client gets when nothing more is done. Pure; the request remembers, this decides.
 *
 * Second opinion: the first permanent refusal is remembered by the caller (RETRY_SECOND_OPINION)
 * and one other endpoint is asked. While it is open, `opinion` is RETRY_OPINION_OPEN: another
 * refusal       the request is at fault: the first refusal goes back, nobody is charged; success
 * the first endpoint was at fault: the caller reports that one now; no verdict            charged
 * by class, the next one is asked; none left: the first refusal goes back, and nobody is charged
 * for it. A refusal is an HTTP reply. A permanent failure below HTTP (a certificate that is not
 * accepted) cannot be the request's fault and is handled like class unknown. */
#ifndef QCC_POLICY_RETRY_H
#define QCC_POLICY_RETRY_H

#include "common/base/base.h"
#include "common/policy/outcome.h"
#include "common/policy/select.h"

/* Overloaded: a longer pause before the repeat. */
#define RETRY_OVERLOADED_MS 750
/* After so long neither Claude Code (600 s without an event) nor the SDKs (600 s to the head) wait
 * any more: no further attempt is begun. */
#define RETRY_MAX_ELAPSED_MS 600000
/* A request waits at least so long for a place at an endpoint that is full. */
#define RETRY_FULL_WAIT_MS 1000
/* And at most so long for another request's verdict on a circuit_open endpoint. */
#define RETRY_TRIAL_WAIT_MS 2000
/* Attempts of one request at most, those with them that do not count for max_attempts. */
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
    bool reused;        /* on a connection from the pool */
    bool got_bytes;     /* some byte of a reply came */
    bool got_head;      /* the whole head of one */
    bool trial;         /* it was the trial of a circuit_open endpoint: never repeated there (the
                           caller sets used_up) */
    bool committed;     /* the client has seen the first byte of a reply */
    bool client_gone;
    bool repeatable;        /* method and path may be sent again (retry_repeatable) */
    bool bad_request;       /* QCC itself sees that the request is faulty: body is not JSON */
    uint32_t begun;         /* attempts of this request, this one included */
    uint32_t unsent;        /* of those before, the ones that do not count (retry_out.unsent) */
    uint32_t attempts_here; /* attempts at this endpoint, this one included */
    struct sel_others others;
    enum retry_opinion opinion;
    bool first_no_opinion; /* with an open opinion: the first refusal was a page or a redirect */
    int64_t elapsed_ms; /* since the request was read */
    int64_t waited_ms;  /* of these, for endpoints that cooled (retry_wait) */
    uint64_t rnd;       /* for the jitter */
};

enum retry_action {
    RETRY_SAME,           /* the same endpoint after delay_ms */
    RETRY_OTHER,          /* select again after delay_ms */
    RETRY_SECOND_OPINION, /* keep this refusal as the first, opinion becomes OPEN, select again */
    RETRY_GIVE_UP
};

/* What the client gets at RETRY_GIVE_UP. */
enum retry_reply {
    RETRY_REPLY_NONE,  /* nothing: it is gone */
    RETRY_REPLY_BREAK, /* committed: the SSE error event, or a cut */
    RETRY_REPLY_THIS,  /* this attempt's reply as it came */
    RETRY_REPLY_FIRST, /* the first refusal as it came */
    RETRY_REPLY_FINAL  /* what retry_final says */
};

struct retry_out {
    enum retry_action action;
    enum retry_reply reply; /* with RETRY_GIVE_UP */
    int64_t delay_ms;       /* with RETRY_SAME, and with RETRY_OTHER when all were tried once */
    bool uncounted;  /* a stale or spoilt pooled connection: no attempt, nobody is charged, no outcome is
                        reported, and the repeat takes a new connection */
    bool unsent;     /* does not count for max_attempts: the request was not sent, and there is an
                        endpoint that was not asked yet */
    bool charge;     /* the endpoint is charged by class: report it now. False: nobody is, or not
                        before the second opinion is in */
    const char *why; /* for the log; static */
};

/* Decides. */
void retry_next(const struct retry_conf *c, const struct retry_in *in, struct retry_out *out);

/* Whether this request may not go to that endpoint again after such a failure (sel_ep.used_up; else
 * sel_ep.tried). After a rate limit its cooldown keeps it away. */
bool retry_uses_up(const struct retry_conf *c, const struct verdict *v, enum net_fault net,
                   uint32_t attempts_here);

/* Whether a request may be sent again whatever happened to the attempt. `path` without query. */
bool retry_repeatable(const char *method, size_t nmethod, const char *path, size_t npath);

/* How long to wait on before selecting again, after a select that chose nothing: milliseconds, or
 * -1 to answer now. `waited_ms`: what the request has waited for this already. */
int64_t retry_wait(const struct retry_conf *c, const struct sel_result *s, int64_t waited_ms);

/* One failed attempt as retry_final sees it, in the order of time. */
struct retry_fail {
    enum outcome cls;
    enum net_fault net;
    uint32_t status;        /* 0: no HTTP reply */
    int64_t retry_after_ms; /* of a rate limit; -1: told nothing */
    bool kept;              /* its reply is still there to be sent as it came */
};

enum retry_final_kind {
    RETRY_FINAL_UPSTREAM,   /* the reply of fails[at] as it came */
    RETRY_FINAL_RATE_LIMIT, /* 429 with retry_after_s; body of fails[at] if at is not -1, else ours
                             */
    RETRY_FINAL_OWN         /* ours, with `status` */
};

struct retry_final {
    enum retry_final_kind kind;
    int at;
    uint32_t status;        /* 429, 502, 503 or 504; with RETRY_FINAL_UPSTREAM that reply's */
    uint32_t retry_after_s; /* 0: send none */
};

/* The most telling reply when all is over. `first_refusal`: index of the refusal that a second
 * opinion was wanted for and never came, or -1. `s`: the last select, or NULL when the request
 * ended for want of attempts. `cool_ms`: the shortest cooldown left of endpoints that were passed over
 * because they cool by their own word; -1: none. */
void retry_final(const struct retry_conf *c, const struct retry_fail *fails, size_t n,
                 int first_refusal, const struct sel_result *s, int64_t cool_ms,
                 struct retry_final *out);

#endif
