/* feed_head: one message of the feed, by which workers give their records to the recorder: a head,
 * then `n` packed records (recent_pack). Sent as one message of a SEQPACKET socket; both ends are
 * of one build, but for workers of a predecessor, whose version may differ: such a message is
 * dropped. */
#ifndef QCC_COMMON_IPC_FEED_HEAD_H
#define QCC_COMMON_IPC_FEED_HEAD_H

#include "common/ipc/recent_record.h"

/* FEED_VERSION: raised with every change of recent_record. FEED_BATCH: records of a message at
 * most. FEED_BYTES: of its records, so that several messages fit into a socket's buffer. */
enum { FEED_VERSION = 1, FEED_BATCH = 64, FEED_BYTES = FEED_BATCH * RECENT_PACKED_MAX };

struct feed_head {
    uint16_t version, n;
    uint32_t slot; /* the worker's */
};

#endif
