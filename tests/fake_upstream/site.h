/* site: one simulated endpoint, found by the base path of its requests; its behaviour and counters.
 * Lives as long as the program. */
#ifndef QCC_TESTS_FAKE_UPSTREAM_SITE_H
#define QCC_TESTS_FAKE_UPSTREAM_SITE_H

#include "common/base/buf.h"
#include "common/base/list.h"
#include "tests/fake_upstream/behave.h"
#include "tests/fake_upstream/play.h"
#include "tests/fake_upstream/request.h"

enum { SITE_WINDOW = 64 };

struct site {
    struct list node;
    char *key; /* "/good", "/s/status=503"; "" for requests without a base path */
    size_t key_n;
    struct behave *b;
    struct behave *well; /* b without what makes it fail */
    struct play *canned; /* /bench sites: the one reply they ever give */
    uint64_t requests;   /* heads that came in */
    uint64_t failed;     /* replies that were meant to fail */
    uint64_t completed;  /* replies sent to their meant end */
    uint64_t aborted;    /* the peer went away in between */
    uint64_t body_bytes;
    uint64_t count_tokens;
    uint32_t open, streams; /* being answered now; event streams among them */
    uint64_t turn;          /* requests since the last reset, for fail_first, fail_every, flaky */
    unsigned flaky_turn;
    int64_t window[SITE_WINDOW]; /* times of the last served requests, for limit */
    uint64_t window_n;
    struct request last; /* its head only */
    int64_t last_us;     /* CLOCK_MONOTONIC */
};

struct sites {
    struct list all;
    struct site *bench; /* answers what has no base path, or NULL */
    /* what flaky, limit, key and model answer with */
    struct behave *f503, *f529, *freset, *fsse, *flimit, *fauth, *fmodel;
};

void sites_start(struct sites *s);
void sites_stop(struct sites *s);

/* The base path of a target: "/s/SPEC", "/n/NAME", "/bench/SPEC", "/WORD", or "" before /v1 or
 * /api. */
struct str site_key(struct str target);

/* The site of that key, made when it is new. NULL with *e set: no such place, or a bad spec. */
struct site *sites_get(struct sites *s, struct str key, struct err *e) MUST_CHECK;

/* Gives /n/NAME a new behaviour, which holds from the next request on. */
bool sites_set(struct sites *s, struct str name, struct str spec, struct err *e) MUST_CHECK;

/* Requests without a base path get the canned reply of /bench/SPEC from now on; an empty spec ends
 * that. */
bool sites_bench(struct sites *s, struct str spec, struct err *e) MUST_CHECK;

/* Counters and turns back to zero; what is open stays counted. */
void sites_reset(struct sites *s);

/* Whose turn is it: the behaviour to answer this request with, borrowed from the site or from *s.
 * `own` is the behaviour that the request itself asked for, or NULL. retry_after is filled when a
 * limit holds. */
struct behave *sites_judge(struct sites *s, struct site *site, struct behave *own,
                           const struct request *r, int64_t now_us, char retry_after[static 24]);

/* Remembers the request as the last one. */
void site_remember(struct site *site, const struct request *r, int64_t now_us);

/* Adds a JSON member for each site. */
bool sites_json(const struct sites *s, struct buf *out) MUST_CHECK;

/* Adds a JSON string of s, or the list of a head's headers as [[name, value], …]. */
bool json_text(struct buf *out, struct str s) MUST_CHECK;
bool json_headers(struct buf *out, const struct request *r) MUST_CHECK;

#endif
