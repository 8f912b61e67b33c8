/* request: a lenient parser for one request: what a proxy sent is shown to the tests (echo,
 * /_stats), not judged. */
#ifndef QCC_TESTS_FAKE_UPSTREAM_REQUEST_H
#define QCC_TESTS_FAKE_UPSTREAM_REQUEST_H

#include "common/base/buf.h"
#include "tests/net/chunks.h"

enum { REQUEST_HEAD_MAX = 256 * 1024, REQUEST_BODY_MAX = 80 * 1024 * 1024 };

struct request {
    struct buf head; /* a copy of the head, kept for echo and statistics */
    size_t method_n; /* bytes of the method, which is at the front of head */
    size_t target_at, target_n;
    bool keep_alive;
    bool expect; /* Expect: 100-continue */
    bool chunked;
    bool keep_body; /* the body is kept; otherwise only counted */
    uint64_t left;  /* bytes of a counted body to come */
    struct chunks chunks;
    uint64_t body_bytes;
    struct buf body;
    uint64_t id; /* set by the caller; part of the reply's request-id */
    /* stream, answered, model, sha256, text: set by request_read */
    bool stream;
    bool answered; /* the last message is the result of a tool, as OpenAI's API has it */
    char model[128];
    char sha256[65];
    char *text; /* owned; the last user text, cut at 4 KB; NULL: none */
};

/* Initializes r, without a request. */
void request_init(struct request *r);

/* Frees what r holds. */
void request_fini(struct request *r);

/* Parses and copies the head p[0..n), which ends with an empty line. The content of r is replaced.
 * False: not a request. */
bool request_head(struct request *r, const char *p, size_t n) MUST_CHECK;

/* The method; borrowed from r. */
struct str request_method(const struct request *r);

/* The request target; borrowed from r. */
struct str request_target(const struct request *r);

/* Finds the first header of that name; *value is trimmed and borrowed from r. False: none. */
bool request_header(const struct request *r, struct str name, struct str *value);

/* Reads the header line at *pos (0 at first) and moves *pos behind it. False: no more. */
bool request_next_header(const struct request *r, size_t *pos, struct str *name, struct str *value);

enum request_body { REQUEST_MORE, REQUEST_DONE, REQUEST_BAD };

/* Takes body bytes; *used: how many belong to this request. */
enum request_body request_feed(struct request *r, const char *p, size_t n, size_t *used) MUST_CHECK;

/* Reads stream, model and the last user text from a kept body, and makes its hash. */
void request_read(struct request *r);

#endif
