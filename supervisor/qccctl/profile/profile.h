/* profile: turns a v0.6 file (~/.fastcc) into a configuration of QCC. Reads every form that v0.6
 * wrote: one profile or many, by name or in a list, each with endpoints or being one. Members that
 * are not understood give a warning with their place. Pure: JSON in, text out. */
#ifndef QCC_SUPERVISOR_QCCCTL_PROFILE_PROFILE_H
#define QCC_SUPERVISOR_QCCCTL_PROFILE_PROFILE_H

#include "common/base/buf.h"
#include "common/base/err.h"

#include <jansson.h>

enum { PROFILE_NAME = 64, PROFILE_ENDPOINTS = 1000 };

struct profile_endpoint {
    char name[PROFILE_NAME + 1]; /* a valid and unique name for QCC */
    char *url, *key;             /* key NULL: none */
    int64_t weight, priority;    /* -1: not set */
    bool enabled, bearer;
    const char *off_because; /* comment why the import disables it; NULL: it does not */
};

struct profile {
    struct profile_endpoint *v;
    size_t n;
    int64_t max_failures; /* the smallest of all endpoints; -1: not set */
    bool failures_differ;
    int64_t timeout_ms; /* the largest of all endpoints; -1: not set */
    bool timeouts_differ;
    char *listen;        /* NULL: not set */
    struct buf warnings; /* one line each */
};

/* Reads the document. only: the profile to import; NULL: all, with the active one enabled and the
 * others not, or all enabled when none is active. False: *e says why there is nothing to import.
 * profile_free in both cases. */
bool profile_read(struct profile *p, const json_t *doc, const char *only, struct err *e) MUST_CHECK;
/* Frees what profile_read has filled. */
void profile_free(struct profile *p);

/* Appends the configuration to out. from: the file's name, for a comment. False: over out's
 * ceiling. */
bool profile_write(const struct profile *p, const char *from, struct buf *out) MUST_CHECK;

/* Appends s as a YAML scalar in double quotes that the configuration reads as exactly s. False:
 * over out's ceiling. */
bool profile_quote(struct str s, struct buf *out) MUST_CHECK;

#endif
