/* binding: this worker's replica of the bindings, and what it reports of them. A request looks its
 * conversation up here and acts at once; that it should be bound, is no longer, or was used, goes
 * to the supervisor, whose word on it comes back and counts. Uses are gathered: one frame in a
 * second, a conversation once in it. A worker without conversations has no table. */
#ifndef QCC_WORKER_BINDING_H
#define QCC_WORKER_BINDING_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/str.h"
#include "common/policy/binding_table.h"
#include "common/policy/select.h"

#include <ev.h>

struct wkr;
struct req;

struct binding {
    struct bindings *b; /* NULL while there is none */
    uint32_t max;
    struct buf moves; /* records for the end of this turn: bound, unbound */
    struct buf uses;  /* records for the next report */
    uint16_t round;   /* number of that report: the flags of a binding that is in it */
    ev_timer report;
};

void binding_start(struct wkr *w);

/* Reports what is left, and frees. */
void binding_stop(struct wkr *w);

/* w->conf has changed. */
void binding_configure(struct wkr *w);

/* The records of a BINDINGS frame. False: the supervisor is of another mind than this worker. */
bool binding_learn(struct wkr *w, struct str records, struct err *e) MUST_CHECK;

/* Once a turn: tells the supervisor what became bound and unbound in it. */
void binding_flush(struct wkr *w);

/* Fills in where the request's conversation is bound, before a choice. */
void binding_look(struct req *r, struct sel_req *sr);

/* The request was served by r->ep: its conversation is bound there, or its binding was used. A binding
 * to another endpoint is replaced only if the last choice (r->sel) found it no longer good. */
void binding_served(struct req *r);

#endif
