/* side_path: requests that are no messages: everything but POST /v1/messages, /v1/complete,
 * /v1/chat/completions and /v1/responses. Which paths an endpoint's key may be used for, and what a
 * reply that is no success means there. Pure.
 *
 * Such a reply concerns that path, never the endpoint: it charges, cools, disables and opens
 * nothing. What is remembered is that an endpoint cannot count tokens (SIDE_CANNOT_COUNT), and the
 * form of a path that it has not, or not for this key (SIDE_MARK). */
#ifndef QCC_COMMON_POLICY_SIDE_PATH_H
#define QCC_COMMON_POLICY_SIDE_PATH_H

#include "common/base/str.h"

/* An endpoint that has counted tokens within this time can count: its 401, 403 or 400 has another
 * reason. */
#define SIDE_COUNTED_MS INT64_C(3600000)

/* The path as patterns are compared with it: percent-encoding decoded once, runs of '/' as one.
 * Written to out, which has room for path.n bytes; *plain borrows from it. False for what servers
 * may read in several ways, and which could so evade a pattern: a segment "." or "..", a backslash
 * or ';', an invalid escape, bytes outside printable ASCII, and an escape that stands for one of
 * these or for '/', '%', '?' or '#'. path: without the query; "*" (OPTIONS) is plain. */
bool side_path_plain(struct str path, char *out, struct str *plain) MUST_CHECK;

/* Whether a plain path is let through: a pattern of allow matches and none of deny does. In
 * patterns '*' stands for any run of characters; one that ends in "/" and '*' matches the path
 * above, too ("/v1/files" and all below it). deny folds ASCII case, since some servers do. */
bool side_path_allowed(char *const *allow, size_t nallow, char *const *deny, size_t ndeny,
                       struct str plain);

/* Whether some segment is an id: it holds a digit, or is longer than 24 characters. A version
 * ("v1", "v1beta") is no id. */
bool side_path_has_id(struct str path);

/* The form of a path: each segment that is an id (side_path_has_id) is "*", a run of '/' one. Two
 * paths of one form are served by the same endpoints. Written to out, which has room for path.n
 * bytes; borrows from it. path: plain (side_path_plain), or as it came. */
struct str side_path_form(struct str path, char *out);

/* A reply that is no success, to one attempt. */
struct side_reply {
    unsigned status;  /* below 300: the body is no answer */
    bool count;       /* the request was to count_tokens */
    bool repeatable;  /* the request may be sent again */
    bool has_id;      /* side_path_has_id */
    bool page;        /* the body is a page where JSON was asked for */
    bool about_model; /* the refusal is about the model */
    bool names_field; /* the error names a member of the request's body */
    bool too_long;    /* the error is that the prompt is too long */
    bool counted;     /* the endpoint has counted tokens within SIDE_COUNTED_MS */
    bool clients_key; /* the credentials were the client's, which another endpoint may accept */
};

enum side_next {
    SIDE_BACK,    /* the reply goes to the client as it came */
    SIDE_ANOTHER, /* the next endpoint is asked; nothing is remembered */
    SIDE_MARK,    /* the path's form is marked there; the next endpoint is asked where the request
                     may be sent again, else the reply goes back */
    SIDE_CANNOT_COUNT /* the next endpoint is asked; remember that this one cannot count tokens */
};

/* Decides what is done with the reply. */
enum side_next side_reply_next(const struct side_reply *r);

#endif
