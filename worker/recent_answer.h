/* recent_answer: answers RECENT_ASK: records of the last requests of this worker, and of those
 * under way. */
#ifndef QCC_WORKER_RECENT_ANSWER_H
#define QCC_WORKER_RECENT_ANSWER_H

#include "common/ipc/ipc.h"

struct worker;

/* Sends RECENT with what m asks for. With id 0 the ring leaves (recent_ring.h). */
void recent_answer(struct worker *w, const struct ipc_recent_ask *m);

#endif
