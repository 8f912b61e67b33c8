#include "worker/loop/reader.h"

static void client_ready(struct ev_loop *loop, ev_io *w, int revents)
{
    (void)revents;
    turn_queue(turn_of(loop), TURN_CLIENTS, &CONTAINER_OF(w, struct reader, io)->ready);
}

static void reply_ready(struct ev_loop *loop, ev_io *w, int revents)
{
    (void)revents;
    turn_queue(turn_of(loop), TURN_REPLIES, &CONTAINER_OF(w, struct reader, io)->ready);
}

void reader_init(struct reader *r, enum turn_lane lane, int fd, void (*run)(struct ready *))
{
    ev_io_init(&r->io, lane == TURN_REPLIES ? reply_ready : client_ready, fd, EV_READ);
    list_init(&r->ready.node);
    r->ready.run = run;
}

void reader_start(struct ev_loop *loop, struct reader *r)
{
    ev_io_start(loop, &r->io);
}

void reader_stop(struct ev_loop *loop, struct reader *r)
{
    ev_io_stop(loop, &r->io);
    list_remove(&r->ready.node);
}

void reader_again(struct ev_loop *loop, struct reader *r)
{
    ev_feed_event(loop, &r->io, EV_READ);
}
