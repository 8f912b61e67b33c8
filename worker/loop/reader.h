/* reader: tells that a socket can be read. Within a turn those that became ready first are read
 * first, endpoints before clients, where libev's own watchers are called last first: with many busy
 * connections the same ones would always wait longest. */
#ifndef QCC_WORKER_LOOP_READER_H
#define QCC_WORKER_LOOP_READER_H

#include "worker/loop/turn.h"

#include <ev.h>

/* The callback is ready.run. */
struct reader {
    ev_io io;
    struct ready ready;
};

/* Initializes r for a socket. A client's or an endpoint's, by `lane`. */
void reader_init(struct reader *r, enum turn_lane lane, int fd, void (*run)(struct ready *));

/* Begins to watch the socket, or goes on. */
void reader_start(struct ev_loop *loop, struct reader *r);

/* Ends watching: run is not called any more. Required before the memory of r is freed. */
void reader_stop(struct ev_loop *loop, struct reader *r);

/* Has run called once as if the socket were readable, in this turn, behind those that are. */
void reader_again(struct ev_loop *loop, struct reader *r);

#endif
