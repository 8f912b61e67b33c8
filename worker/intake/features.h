/* features: the items of a request that marks are about (common/policy/marks.h): which of those
 * that are marked or suspect somewhere it carries, and which one a refusal names. A request is
 * searched only for the kinds that are in the table; with none there is nothing to do. */
#ifndef QCC_WORKER_INTAKE_FEATURES_H
#define QCC_WORKER_INTAKE_FEATURES_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "common/conf/conf.h"
#include "common/policy/marks.h"
#include "worker/http/http1.h"
#include "worker/json/json_find.h"

/* FEATURES_MAX: marked items of one request that are looked at, and FEATURES_MEMBERS: members of
 * its body; more than requests have. */
enum { FEATURES_MAX = 32, FEATURES_MEMBERS = 512 };

/* Zero bytes: a request that carries none. */
struct features {
    uint64_t v[FEATURES_MAX]; /* marks_hash of the marks and suspects that the request carries */
    unsigned n;
};

/* Whether requests must be searched at all, and their bodies. */
static inline bool features_wanted(const struct marks *t)
{
    return (t->kinds &
            ~(1u << MARK_MODEL | 1u << MARK_PATH | 1u << MARK_CONVERSATION | 1u << MARK_SIZE)) != 0;
}
static inline bool features_wanted_of_body(const struct marks *t)
{
    return (t->kinds & (1u << MARK_FIELD | 1u << MARK_TOOL)) != 0;
}

/* Adds what the head carries. */
void features_of_head(struct features *s, const struct marks *t, const struct http_field *f,
                      size_t nf);

/* The argument of features_of_member. */
struct features_body {
    struct features *s;
    const struct marks *t;
    unsigned members; /* looked at so far */
    struct str outer; /* within: the object's name */
};

/* A json_each_fn that adds what a member of the body carries. ctx: a struct features_body. */
bool features_of_member(void *ctx, struct str name, bool escaped, const struct json_hit *value);

/* Whether the request carries the thing with that hash. */
static inline bool features_carry(const struct features *s, uint64_t hash)
{
    for (unsigned i = 0; i < s->n; i++)
        if (s->v[i] == hash)
            return true;
    return false;
}

/* Finds the one item of a request (its head's fields, its body; affinity.keys of c are none) that
 * the text of a refusal names. Returns its name, written to out; n 0: none, or several. */
struct str features_named(const struct conf *c, const struct http_field *f, size_t nf,
                          struct str body, struct str refusal, enum mark_kind *kind,
                          char out[static MARK_NAME_MAX]);

#endif
