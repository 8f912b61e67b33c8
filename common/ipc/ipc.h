/* ipc: the messages of messages.def as structs, with encoders, decoders and names, all generated
 * from the table. Decoded text and blob fields borrow from the frame. */
#ifndef QCC_COMMON_IPC_IPC_H
#define QCC_COMMON_IPC_IPC_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/str.h"

/* Raised with every change of messages.def; both sides check it in HELLO and READY. */
enum { IPC_VERSION = 18 };

/* Bytes of the largest configuration body and of the largest frame. 2,000 endpoints with long keys
 * are about 1 MiB. */
enum {
    IPC_CONF_MAX = 8 << 20,
    IPC_FRAME_MAX = IPC_CONF_MAX + 4096,
    IPC_ANSWER_MAX = 4 << 20,
    IPC_LIBRARIES_MAX = 256,
    IPC_BINDINGS_MAX = 64 << 10,
    IPC_RECENT_MAX = 384 << 10,
    IPC_STATS_MAX = 64 << 10,
    IPC_PRICES_MAX = 1 << 20,
    IPC_LIST_MAX = 512 << 10,
    IPC_QUERY_MAX = 1024, /* bytes of a query's argument */
    IPC_ADDRESS_MAX = 63
};

/* Most worker processes at one time, twice the most that may be configured: old ones may still
 * drain while new ones serve. */
enum { SLOTS_MAX = 512 };

/* Exit codes of a worker. After CANNOT_START and NO_EXEC another start would end the same way. */
enum worker_exit {
    WORKER_EXIT_DONE = 0,         /* drained, or its supervisor has ended */
    WORKER_EXIT_BAD_PEER = 3,     /* the supervisor violated the protocol */
    WORKER_EXIT_CANNOT_START = 4, /* the system refuses what a worker needs */
    WORKER_EXIT_NO_EXEC = 127     /* the program cannot be executed, or its libraries are missing
                                     (ld.so(8)) */
};

/* What the recorder does. Numbers of frames between processes of one build. */
enum history_state {
    HISTORY_STARTING, /* opens its file */
    HISTORY_STORING,
    HISTORY_PAUSED, /* the disk is full, or has less than history.min_free */
    HISTORY_LOCKED, /* another process holds a lock on the file */
    HISTORY_NEWER,  /* the file is of a newer QCC, and stays untouched */
    HISTORY_BROKEN, /* a damaged file that cannot be set aside either */
    HISTORY_CLOCK,  /* the clock says a time before 2020 or beyond 2100 */
    HISTORY_FAILED, /* the file cannot be opened: it is no regular file, or there is no permission
                     */
    HISTORY__COUNT
};

/* What becomes of the oldest rows. */
enum history_retention {
    HISTORY_KEEPS, /* none is too old */
    HISTORY_DROPS, /* some are deleted, or will be within the hour */
    HISTORY_YOUNG, /* nothing is deleted yet: the recorder has just been started */
    HISTORY_HELD,  /* nothing is deleted: the clock was set */
    HISTORY_FULL,  /* the file is at history.max_size: only sums are stored */
    HISTORY_RETENTION__COUNT
};

/* IPC_MODEL_MAX: bytes of the longest model name in a frame. IPC_BLOCKS_MAX: bytes of an endpoint's
 * blocked models. IPC_ITEM_MAX: bytes of what a mark names. IPC_NAMES_MAX: bytes of the hashes of
 * an endpoint's names of models. */
enum { IPC_MODEL_MAX = 128, IPC_BLOCKS_MAX = 16 * 16, IPC_ITEM_MAX = 300, IPC_NAMES_MAX = 128 * 8 };

/* IPC_PEM_MAX: bytes of a PEM text. IPC_URL_MAX: of an address. IPC_CIDS_MAX: of the ids of 2,000
 * endpoints. IPC_HELD_MAX: of what a session restates. */
enum {
    IPC_PEM_MAX = 2 << 20,
    IPC_URL_MAX = 8192,
    IPC_CIDS_MAX = 2000 * 8,
    IPC_HELD_MAX = 64 << 10
};

/* What the link does. Numbers of frames between processes of one build. */
enum link_state {
    LINK_CONNECTING,
    LINK_UP,
    LINK_LOST,
    LINK_FULL,    /* the engine has no memory left */
    LINK_REFUSED, /* password, secret, permission */
    LINK_STATE__COUNT
};

enum ipc_direction {
    TO_WORKER,
    TO_SUP,
    FROM_CTL,
    TO_CTL,
    TO_NEW,
    TO_OLD,
    TO_REC,
    FROM_REC,
    TO_LINK,
    FROM_LINK
};

/* The direction of the answers to messages of direction d. */
static inline enum ipc_direction ipc_opposite(enum ipc_direction d)
{
    static const uint8_t of[] = {
        [TO_WORKER] = TO_SUP,  [TO_SUP] = TO_WORKER, [FROM_CTL] = TO_CTL, [TO_CTL] = FROM_CTL,
        [TO_NEW] = TO_OLD,     [TO_OLD] = TO_NEW,    [TO_REC] = FROM_REC, [FROM_REC] = TO_REC,
        [TO_LINK] = FROM_LINK, [FROM_LINK] = TO_LINK};
    return (enum ipc_direction)of[d];
}

#include "common/ipc/messages.def"

#define IPC_ID(NAME, dir, low, id) IPC_##NAME = (id),
enum ipc_id { IPC_TABLE(IPC_ID) };
#undef IPC_ID

#define IPC_TYPE_u64 uint64_t
#define IPC_TYPE_i64 int64_t
#define IPC_TYPE_u32 uint32_t
#define IPC_TYPE_flag bool
#define IPC_TYPE_text struct str
#define IPC_TYPE_blob struct str
#define IPC_MEMBER(kind, field, bound) IPC_TYPE_##kind field;
#define IPC_STRUCT(NAME, dir, low, id)                                                             \
    struct ipc_##low {                                                                             \
        IPC_FIELDS_##low(IPC_MEMBER) char end_[0];                                                 \
    };
IPC_TABLE(IPC_STRUCT)
#undef IPC_STRUCT

/* A received frame: its head decoded, its fields still packed. Borrows from the channel's buffer
 * until the handler returns. */
struct ipc_frame {
    enum ipc_id id;
    uint64_t gen;
    struct str fields; /* msgpack of the fields, without the array's head, id and generation */
    uint32_t nfields;
    int fd; /* descriptor that came with it, or -1; the handler takes it over */
};

/* ipc_put_NAME: appends one frame body to b. False: over the buffer's ceiling, or a text or blob
 * longer than its bound (nothing is appended then).
 * ipc_put_v_NAME: as ipc_put_NAME, for a chan_put_fn; m points to a struct ipc_NAME.
 * ipc_get_NAME: decodes the fields. False: wrong number, type or bound, or bytes left over. */
#define IPC_PROTO(NAME, dir, low, id)                                                              \
    bool ipc_put_##low(struct buf *b, uint64_t gen, const struct ipc_##low *m) MUST_CHECK;         \
    bool ipc_put_v_##low(struct buf *b, uint64_t gen, const void *m) MUST_CHECK;                   \
    bool ipc_get_##low(const struct ipc_frame *f, struct ipc_##low *m) MUST_CHECK;
IPC_TABLE(IPC_PROTO)
#undef IPC_PROTO

/* Reads the head of a frame body. False: no array, unknown id, wrong direction, wrong number of
 * fields. */
bool ipc_open(struct str body, enum ipc_direction dir, struct ipc_frame *f) MUST_CHECK;

/* The name as in messages.def, such as "OUTCOME"; "?" for an unknown id. */
const char *ipc_name(enum ipc_id id);

#endif
