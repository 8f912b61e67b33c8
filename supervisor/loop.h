/* loop: what the supervisor does in a turn of its loop. Signals and timers only record what is
 * wanted; before the loop sleeps on_turn acts on it, in one fixed order, by the plan of plan.h. */
#ifndef QCC_SUPERVISOR_LOOP_H
#define QCC_SUPERVISOR_LOOP_H

#include "supervisor/supervisor.h"

/* Callbacks of the rooms below; their argument is the struct supervisor. */
extern const struct slot_ops loop_slot_ops;
extern const struct link_slot_ops loop_link_ops;

/* A peers_send: sends a message to the link. */
bool loop_send_link(void *supervisor, chan_put_fn *put, const void *m);
extern const struct query_ops loop_query_ops;
extern const struct recorder_ops loop_recorder_ops;
extern const struct successor_ops loop_successor_ops;
extern const struct predecessor_ops loop_predecessor_ops;

/* Watches signals and timers, and unblocks the signals. */
void loop_start(struct supervisor *s);

#endif
