/* link_record: records of the frames between supervisor and link, as they lie in memory: both are
 * processes of one build on one machine. */
#ifndef QCC_COMMON_IPC_LINK_RECORD_H
#define QCC_COMMON_IPC_LINK_RECORD_H

#include <stdint.h>

/* What a session restates: a lease by its kind ("t", "t:H", "v") and fence, or, kind "c", the
 * places in use, or, kind "i" behind it, idle ones that the engine has for this host. */
struct link_held {
    char cid[8];
    char kind[24]; /* ends with NUL */
    uint64_t n;
};

/* A binding that has changed: to `to`, or, zeros, to none, where it was `from`, or zeros, none. The
 * same twice: it was used. */
struct link_bind {
    char conversation[16];
    char from[8], to[8];
    int64_t used_ms; /* engine's clock */
};

#endif
