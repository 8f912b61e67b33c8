/* outbox: what the engine is still to be told, while it is away or slow: one value for each group
 * of an endpoint and for each binding, the newest wins; the oldest goes out first. Bounded. */
#ifndef QCC_SUPERVISOR_LINK_OUTBOX_H
#define QCC_SUPERVISOR_LINK_OUTBOX_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "common/ipc/link_record.h"
#include "common/ipc/ipc.h"

enum { OUTBOX_BYTES_MAX = 8 << 20, OUTBOX_SLOTS = 1 << 14, OUTBOX_KEY = 40 };

enum outbox_kind { OUTBOX_PUT, OUTBOX_BIND };

/* A change. */
struct outbox_put {
    char cid[8], group[21], value[257];
    int64_t stamp_ms;
    uint32_t how;
    uint64_t fence;
};

struct outbox_item {
    struct outbox_item *next;  /* in the order they go out */
    struct outbox_item *chain; /* of one slot of the index */
    enum outbox_kind kind;
    uint8_t key[OUTBOX_KEY];
    union {
        struct outbox_put put;
        struct link_bind bind;
    };
};

struct outbox_list {
    struct outbox_item *first, **end;
};

/* Zero bytes and outbox_init make an empty one. */
struct outbox {
    struct outbox_list puts, binds;
    struct outbox_item **slots; /* the index; NULL while empty */
    size_t bytes;
    uint64_t dropped; /* bindings given up for want of room */
};

void outbox_init(struct outbox *o);
void outbox_free(struct outbox *o);

/* Adds a change, or replaces one that waits. A change with a fence waits beside one without. */
void outbox_add_put(struct outbox *o, const struct ipc_link_put *m);
/* Adds a change of a binding, or replaces one that waits, from what that one began with. */
void outbox_add_bind(struct outbox *o, const struct link_bind *b);

/* Takes up to n items of a kind out, the oldest first, as a list, which is the caller's. NULL: none
 * waits. */
struct outbox_item *outbox_take(struct outbox *o, enum outbox_kind kind, size_t n);
/* Puts a list that was taken out back in front, but for items that a newer one has replaced. */
void outbox_return(struct outbox *o, struct outbox_item *list);
/* Frees a list that was taken out. */
void outbox_done(struct outbox_item *list);

#endif
