/* marks: single things that endpoints refuse while others serve them: an exact model, a feature of
 * the request, a path's form, a conversation. An endpoint with a mark that a request carries comes
 * behind those without. One table for all endpoints, in the supervisor (the truth) and in each
 * worker (a copy). Pure: `now_ms` of one clock in all calls.
 *
 * A mark's name shows what it is:
 *   MARK_MODEL         claude-opus-4-8                the exact name as the endpoint got it
 *   MARK_BETA          beta=context-1m-2025-08-07     an entry of anthropic-beta
 *   MARK_VERSION       version=2023-06-01             anthropic-version
 *   MARK_HEADER        header=x-tenant: blue          another header with its whole value
 *   MARK_FIELD         field=thinking.type: adaptive  a member of the body, with a short value
 *   MARK_TOOL          tool=web_search_20250305       tools[].type
 *   MARK_CODING        coding=gzip                    the request's content-encoding
 *   MARK_SIZE          size=1048576                   bodies of so many bytes and more
 *   MARK_PATH          /v1/files/                     a path's form (without a prefix)
 *   MARK_CONVERSATION  32 hex digits                  the hash of a conversation
 *
 * Models, paths and conversations are marked at once. Of a feature the first refusal makes a
 * suspect, and a second one of other bytes the mark, unless a request with it was served there in
 * between. */
#ifndef QCC_COMMON_POLICY_MARKS_H
#define QCC_COMMON_POLICY_MARKS_H

#include "common/base/base.h"
#include "common/base/mem.h"
#include "common/base/str.h"

enum mark_kind {
    MARK_MODEL,
    MARK_BETA,
    MARK_VERSION,
    MARK_HEADER,
    MARK_FIELD,
    MARK_TOOL,
    MARK_CODING,
    MARK_SIZE,
    MARK_PATH,
    MARK_CONVERSATION,
    MARK__COUNT
};

enum {
    MARK_ITEM_MAX = 128, /* bytes of what is marked, without the prefix of its name */
    MARK_NAME_MAX = MARK_ITEM_MAX + 8,
    /* How many there are at most: models, features and paths at an endpoint, conversations in all.
     * Suspects count as features. */
    MARKS_MODELS = 32,
    MARKS_FEATURES = 16,
    MARKS_PATHS = 64,
    MARKS_CONVERSATIONS = 256,
    MARKS_AN_ENDPOINT = MARKS_MODELS + MARKS_FEATURES + MARKS_PATHS,
    MARKS_SUSPECT_MS = 3600000 /* how long a suspect lasts */
};

struct mark {
    uint64_t endpoint; /* hash of its id, or any number that tells endpoints apart */
    uint64_t hash;     /* of kind and name: marks_hash */
    uint64_t message;  /* of the refusal that made the suspect; 0: not known */
    uint64_t size;     /* MARK_SIZE: its number */
    int64_t until_ms;
    int64_t used_ms; /* when it was last refused or passed over; the longest unused goes first */
    uint8_t kind;    /* enum mark_kind */
    bool suspect;
    uint8_t n; /* bytes of name */
    char name[MARK_NAME_MAX];
};

/* What has become of a mark. */
enum marks_news {
    MARKS_SUSPECTED, /* a new suspect */
    MARKS_MARKED,    /* marked from now on */
    MARKS_AGAIN,     /* refused again: it lasts longer */
    MARKS_SERVED,    /* ended: a request with it was served there */
    MARKS_OVER,      /* ended: its time is over */
    MARKS_CROWDED,   /* ended: another one needs its place */
    MARKS_RESET,     /* ended: by an operator, or its endpoint is gone */
    MARKS_NEWS__COUNT
};

/* Is told each change. The mark is valid during the call. */
typedef void marks_tell(void *ctx, const struct mark *m, enum marks_news news);

/* Zero bytes, with `mem` and `tell`: an empty table. */
struct marks {
    const struct mem_source *mem;
    struct mark *v; /* owned; grows to what the limits allow */
    uint32_t n, cap;
    uint32_t kinds;   /* bit 1 << kind: some endpoint has a mark or suspect of that kind; never a
                         bit too few */
    marks_tell *tell; /* NULL: nobody is told */
    void *ctx;
};

/* Frees the table's memory. */
void marks_free(struct marks *t);

/* The word of a kind: "model" "beta" "version" "header" "field" "tool" "coding" "size" "path"
 * "conversation". */
const char *mark_kind_name(enum mark_kind k);
/* Whether the kind is a feature of a request: its first refusal makes a suspect. */
bool mark_is_feature(enum mark_kind k);

/* The name of a mark, written to out: prefix, name, and value where value.p is set (header, field).
 * Empty: the item is empty, over MARK_ITEM_MAX bytes, or has control characters. */
struct str mark_name(enum mark_kind k, struct str name, struct str value,
                     char out[static MARK_NAME_MAX]);
/* The name of a MARK_SIZE. */
struct str mark_size_name(uint64_t bytes, char out[static MARK_NAME_MAX]);
/* The name of a MARK_CONVERSATION. */
struct str mark_conversation_name(const uint64_t key[2], char out[static MARK_NAME_MAX]);
/* The mark's name. */
static inline struct str mark_text(const struct mark *m)
{
    return str_make(m->name, m->n);
}

/* The hash by which marks are found: of a kind and a name. */
uint64_t marks_hash(enum mark_kind k, struct str name);

/* The endpoint refused a request that another one served, because of the thing of that name (as
 * mark_name). message: hash of the request's body; 0: not known. mark_ms: how long marks last.
 * Nothing happens if the name is none of that kind. */
void marks_refused(struct marks *t, uint64_t endpoint, enum mark_kind k, struct str name,
                   uint64_t message, int64_t mark_ms, int64_t now_ms);

/* The endpoint has served a request with that thing: neither mark nor suspect any more. Of a size:
 * the name is that of the mark, or of a body at least so long. */
void marks_served(struct marks *t, uint64_t endpoint, enum mark_kind k, struct str name,
                  int64_t now_ms);

/* Sets a mark as another process has it; until_ms in the past: it is none any more. False: the name
 * is none of that kind, of paths there are enough, or there is no memory. */
bool marks_put(struct marks *t, uint64_t endpoint, enum mark_kind k, struct str name, bool suspect,
               int64_t until_ms, int64_t now_ms);

/* Ends an endpoint's mark of that name, whatever its kind; without a name (n 0) all of the
 * endpoint's. Returns how many. */
uint32_t marks_reset(struct marks *t, uint64_t endpoint, struct str name);

/* Ends the marks, not the suspects, that were last put or refused before since_ms. */
void marks_end_unused(struct marks *t, int64_t since_ms);

/* Ends those whose time is over. */
void marks_tick(struct marks *t, int64_t now_ms);
/* When the next one ends; INT64_MAX: there is none. */
int64_t marks_next_ms(const struct marks *t);

#endif
