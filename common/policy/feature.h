/* feature: which one item of a refused request the refusal names. A request's items are entries of
 * anthropic-beta, anthropic-version, other headers, content-encoding, members of the body at most
 * one level below the top, and types of tools. What counts is that the item stands as a whole word
 * in the refusal, and that it is the only one: else nothing is named. Pure, and linear in the text
 * and in the items, whoever wrote them.
 *
 *   feature_read      the refusal's text
 *   feature_…         the items of the request, one after the other
 *   feature_named     what came of it */
#ifndef QCC_COMMON_POLICY_FEATURE_H
#define QCC_COMMON_POLICY_FEATURE_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "common/policy/marks.h"

enum {
    FEATURE_TEXT_MAX = 16384, /* bytes of a refusal that are read */
    FEATURE_SLOTS = 16384,    /* a power of two, at least two for each word of such a text */
    FEATURE_VALUE_MAX = 64,   /* bytes of a member's value that belong to its name */
    FEATURE_FOUND = 8
};

struct feature_item {
    uint8_t kind;    /* enum mark_kind */
    uint8_t n, path; /* bytes of name; of a field those of its path, behind the prefix */
    char name[MARK_NAME_MAX];
};

struct feature {
    struct str text;
    uint16_t at[FEATURE_SLOTS]; /* 1 + where a word begins; 0: free */
    uint8_t len[FEATURE_SLOTS];
    struct feature_item found[FEATURE_FOUND];
    unsigned nfound;
    bool crowded; /* more than FEATURE_FOUND */
};

/* Reads the text of a refusal, which must stay where it is: JSON (of which the strings count that
 * are no members' names), an SSE event with JSON, or anything else. */
void feature_read(struct feature *f, struct str refusal);

/* Whether a header is an item at all, as beta, version, coding or by its own name: not so are
 * credentials, user-agent, x-app, what concerns the connection, and names that are a word of plain
 * English (without a hyphen). */
bool feature_is_header(struct str name);

/* Offers a header of the request. The caller leaves out what identifies conversations. */
void feature_header(struct feature *f, struct str name, struct str value);

/* Offers a member of the request's body; of an object in it with `outer`, its name, else n is 0.
 * value: the bytes of a scalar, a string's without quotes; p NULL: no scalar, or a string with
 * escapes. */
void feature_member(struct feature *f, struct str outer, struct str name, struct str value);

/* Offers the type of one of the request's tools. */
void feature_tool(struct feature *f, struct str type);

/* The name (as mark_name) of the item that the refusal names; n 0: none, or more than one. Borrowed
 * from f. */
struct str feature_named(const struct feature *f, enum mark_kind *kind);

/* The name of the mark of a member with that value (as feature_member); n 0: it is no item. */
struct str feature_member_name(struct str outer, struct str name, struct str value,
                               char out[static MARK_NAME_MAX]);

/* The path of a MARK_FIELD's name, without prefix and value; *outer: its first part, n 0 where it
 * has one alone; *name: its last. */
void feature_path_of(struct str mark, struct str *outer, struct str *name);

#endif
