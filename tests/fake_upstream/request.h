/* request: one request as it comes in. Lenient where it may be: what a proxy sent is shown to the
 * tests (echo, /_stats), not judged. */
#ifndef QCC_TESTS_FAKE_UPSTREAM_REQUEST_H
#define QCC_TESTS_FAKE_UPSTREAM_REQUEST_H

#include "common/base/buf.h"

enum { REQUEST_HEAD_MAX = 256 * 1024, REQUEST_BODY_MAX = 80 * 1024 * 1024 };

struct request {
    struct buf head; /* a copy of the head, kept for echo and statistics */
    size_t method_n; /* method: head[0, method_n) */
    size_t target_at, target_n;
    bool keep_alive;
    bool expect; /* Expect: 100-continue */
    bool chunked;
    bool keep_body; /* else only counted */
    uint64_t left;  /* of the body or of the present chunk */
    unsigned chunk_state;
    uint64_t body_bytes;
    struct buf body;
    uint64_t id; /* set by the caller; shows in the reply's request-id */
    /* from a kept body, by request_read; empty when it is no JSON */
    bool stream;
    char model[128];
    char sha256[65];
    char *text; /* the last user text, cut at 4 KB */
};

void request_init(struct request *r);
void request_fini(struct request *r);

/* Takes the head p[0..n), which ends with an empty line. False: not a request. The old content is
 * dropped. */
bool request_head(struct request *r, const char *p, size_t n) MUST_CHECK;

struct str request_method(const struct request *r);
struct str request_target(const struct request *r);

/* The value of the first header of that name, trimmed. False: none. */
bool request_header(const struct request *r, struct str name, struct str *value);

/* Takes the next header line of the head at *pos (0 at first). False: no more. */
bool request_next_header(const struct request *r, size_t *pos, struct str *name, struct str *value);

enum request_body { REQUEST_MORE, REQUEST_DONE, REQUEST_BAD };

/* Takes body bytes; *used of them belong to this request. */
enum request_body request_feed(struct request *r, const char *p, size_t n, size_t *used) MUST_CHECK;

/* Reads stream, model and the last user text from a kept body, and makes its hash. */
void request_read(struct request *r);

#endif
