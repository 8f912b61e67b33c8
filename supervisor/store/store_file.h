/* store_file: the format of the file that keeps bindings and the states of endpoints. The reader
 * checks everything: the file may be cut, damaged, of another version, or a different file.
 *
 *   8 bytes   "QCCSTATE"
 *   4, 4      version; 0
 *   8         length of the body
 *   32        SHA-256 of the body
 *   body      msgpack: [[saved_ms, secret's print, [lifetime counters]],
 *                       [[id, disabled, queued, draining, [counters], model last served,
 *                         refused_status, refused_wall_ms], …],
 *                       [binary of 24-byte records: key 8 8, endpoint 4, age in ms 4; …],
 *                       [[endpoint, kind, name, until_wall_ms], …]]
 *
 * Versions 1, where an endpoint ends with its counters, and 2, which has no marks at the end, are
 * read too.
 *
 * Numbers outside msgpack are big-endian. Bindings, of all kinds, stand in the order of their last
 * use. */
#ifndef QCC_SUPERVISOR_STORE_STORE_FILE_H
#define QCC_SUPERVISOR_STORE_STORE_FILE_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "common/base/str.h"
#include "common/ipc/wire.h"
#include "common/policy/binding_table.h"
#include "supervisor/shared/saved.h"

enum {
    STORE_VERSION = 3,
    STORE_VERSION_MIN = 1, /* the oldest version that is read */
    STORE_HEAD = 56,
    STORE_ENDPOINTS = 4096, /* endpoints at most */
    STORE_MARKS = STORE_ENDPOINTS * MARKS_AN_ENDPOINT + MARKS_CONVERSATIONS,
    STORE_BINDING = 24,        /* bytes of a record */
    STORE_BLOCK = 2048,        /* records in one binary, at most */
    STORE_FILE_MAX = 260 << 20 /* 10,000,000 bindings and the rest */
};

/* What is saved; borrowed. */
struct store_view {
    int64_t wall_ms, now_ms; /* the time of the save, CLOCK_REALTIME and CLOCK_BOOTTIME */
    uint64_t print;          /* print of the secret with which the bindings' keys were made */
    uint64_t counters[STATE_COUNTERS];
    const struct saved_endpoint *endpoints;
    size_t nendpoints;
    struct saved_cells cells; /* of the file of store_cells.h */
    const struct saved_mark *marks;
    size_t nmarks;
    const struct binding_table *bindings[BINDING_KIND__COUNT]; /* NULL: none */
};

/* Writes a new file: the old one stays until the new one is on disk. Allocates little, so that a
 * forked child may do it. False with errno. */
bool store_file_write(int dir, const char *name, const struct store_view *v) MUST_CHECK;

/* Writes into an empty file that the caller has opened (a memfd), without a sync. False with
 * errno. */
bool store_file_put(int fd, const struct store_view *v) MUST_CHECK;

/* A file that was read. Borrows its bytes. */
struct store_image {
    int64_t saved_ms;
    uint64_t print;
    uint64_t counters[STATE_COUNTERS];
    struct saved_endpoint *endpoints; /* owned */
    uint32_t nendpoints;
    struct saved_mark *marks; /* owned */
    uint32_t nmarks;
    bool has_marks;
    uint32_t nblocks; /* blocks of bindings that store_block has not given yet */
    struct rd blocks;
};

struct store_binding {
    uint64_t key[2];
    uint32_t endpoint;
    uint32_t age_ms; /* time since the last use when the file was saved */
};

/* Checks the whole file and fills *im, to be freed with store_image_fini. False: *e says what is
 * wrong ("is cut", …), and there is nothing to free. */
bool store_file_parse(struct str file, struct store_image *im, struct err *e) MUST_CHECK;

/* Checks a body without its head and fills *im, as store_file_parse does. */
bool store_body_parse(struct str body, struct store_image *im, struct err *e) MUST_CHECK;

/* Frees what the image owns. */
void store_image_fini(struct store_image *im);

/* The next block of records of bindings, the oldest first; empty at the end. */
struct str store_block(struct store_image *im);
/* The i-th record of a block. */
struct store_binding store_binding_at(struct str block, size_t i);

#endif
