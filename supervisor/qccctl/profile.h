/* profile: what a v0.6 file (~/.fastcc) says, read as liberally as its writers were: one profile or many,
 * by name or in a list, each with endpoints or being one; then told as a configuration of QCC. What was
 * not understood is said, with its place. Pure: JSON in, text out. */
#ifndef QCC_SUPERVISOR_QCCCTL_PROFILE_H
#define QCC_SUPERVISOR_QCCCTL_PROFILE_H

#include "common/base/buf.h"
#include "common/base/err.h"

#include <jansson.h>

enum { PROFILE_NAME = 64, PROFILE_ENDPOINTS = 1000 };

struct profile_endpoint {
    char name[PROFILE_NAME + 1]; /* valid and unique */
    char *url, *key;             /* key NULL: none */
    int64_t weight, priority;    /* -1: not said */
    bool enabled, bearer;
    const char *off_because;     /* a comment, when it is not enabled for our own reasons */
};

struct profile {
    struct profile_endpoint *v;
    size_t n;
    int64_t max_failures;  /* the smallest; -1: not said */
    bool failures_differ;
    int64_t timeout_ms;    /* the largest; -1: not said */
    bool timeouts_differ;
    char *listen;          /* NULL: not said */
    struct buf warnings;   /* lines */
};

/* Reads the document. only: the profile to take, NULL: the active one enabled and the others not, or all
 * where none is active. False: *e says why there is nothing to import. profile_free in both cases. */
bool profile_read(struct profile *p, const json_t *doc, const char *only, struct err *e) MUST_CHECK;
void profile_free(struct profile *p);

/* Appends the configuration. from: the file's name, for a comment. False: over out's ceiling. */
bool profile_write(const struct profile *p, const char *from, struct buf *out) MUST_CHECK;

/* A YAML scalar in double quotes that a configuration of QCC reads as exactly that text. */
bool profile_quote(struct str s, struct buf *out) MUST_CHECK;

#endif
