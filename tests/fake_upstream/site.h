/* site: one simulated endpoint, found by the base path of its requests; its behaviour and counters.
 * Lives as long as the program. */
#ifndef QCC_TESTS_FAKE_UPSTREAM_SITE_H
#define QCC_TESTS_FAKE_UPSTREAM_SITE_H

#include "common/base/buf.h"
#include "common/base/list.h"
#include "tests/fake_upstream/behave.h"
#include "tests/fake_upstream/reply/play.h"
#include "tests/fake_upstream/request.h"

enum { SITE_WINDOW = 64 };

struct site {
    struct list node;
    char *key; /* "/good", "/s/status=503"; "" for requests without a base path */
    size_t key_n;
    struct behave *b;
    struct behave *well; /* b without the keys that make it fail */
    struct play *canned; /* the only reply of a /bench site; otherwise NULL */
    uint64_t requests;   /* heads received */
    uint64_t failed;     /* replies that failed by intent */
    uint64_t completed;  /* replies sent to their intended end */
    uint64_t aborted;    /* replies during which the peer closed */
    uint64_t body_bytes;
    uint64_t count_tokens;
    uint32_t open, streams; /* requests being answered now; event streams among them */
    uint64_t turn;          /* requests since the last reset, for fail_first, fail_every, flaky */
    unsigned flaky_turn;
    int64_t window[SITE_WINDOW]; /* ring of the times of the last served requests, for limit */
    uint64_t window_n;           /* times written to the ring */
    struct request last;         /* the last request, its head only */
    int64_t last_us;             /* time of the last request (CLOCK_MONOTONIC) */
};

struct sites {
    struct list all;
    struct site *bench; /* answers requests without a base path; NULL: they behave well */
    /* behaviours of the failures of flaky (f503 to fsse), limit, key and model */
    struct behave *f503, *f529, *freset, *fsse, *flimit, *fauth, *fmodel;
};

/* Initializes s with the behaviours of failures. */
void sites_start(struct sites *s);

/* Frees all sites and behaviours. */
void sites_stop(struct sites *s);

/* The base path of a target: "/s/SPEC", "/n/NAME", "/bench/SPEC", "/WORD", or "" before /v1 or
 * /api. */
struct str site_key(struct str target);

/* Finds the site of that key; makes it when it is new. NULL with *e set: unknown key or bad
 * SPEC. */
struct site *sites_get(struct sites *s, struct str key, struct err *e) MUST_CHECK;

/* Gives /n/NAME a new behaviour, from the next request on. False with *e set: bad spec. */
bool sites_set(struct sites *s, struct str name, struct str spec, struct err *e) MUST_CHECK;

/* Has requests without a base path answered with the canned reply of /bench/SPEC from now on; an
 * empty spec ends that. False with *e set: bad spec. */
bool sites_bench(struct sites *s, struct str spec, struct err *e) MUST_CHECK;

/* Sets counters and turns to zero; open exchanges stay counted. */
void sites_reset(struct sites *s);

/* Chooses the behaviour to answer the request with; borrowed from site, s or own. own: the
 * behaviour that the request itself asks for, or NULL. retry_after: filled when the limit is
 * exceeded. */
struct behave *sites_judge(struct sites *s, struct site *site, struct behave *own,
                           const struct request *r, int64_t now_us, char retry_after[static 24]);

/* Keeps the request's head as site->last. */
void site_remember(struct site *site, const struct request *r, int64_t now_us);

/* Appends a JSON member for each site. False: over out's ceiling. */
bool sites_json(const struct sites *s, struct buf *out) MUST_CHECK;

/* Appends s as a JSON string. False: over out's ceiling. */
bool json_text(struct buf *out, struct str s) MUST_CHECK;

/* Appends the request's headers as [[name, value], …]. False: over out's ceiling. */
bool json_headers(struct buf *out, const struct request *r) MUST_CHECK;

#endif
