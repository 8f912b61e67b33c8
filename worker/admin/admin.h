/* admin: the requests of the admin listener (behaviour.md section 8). The page and the liveness
 * answers are the worker's own; everything else is asked of the supervisor (ASK) and written as
 * JSON. Guarded: a token unless on loopback, Host and Origin against DNS rebinding and cross-site
 * requests. */
#ifndef QCC_WORKER_ADMIN_H
#define QCC_WORKER_ADMIN_H

#include "common/ipc/ipc.h"

struct req;
struct wkr;

/* Whether this request may be answered at all; else it has been answered (401, 403). Called when its
 * head is there. */
bool admin_allowed(struct req *r);

/* Header lines for every reply of the admin listener: what a browser may do with it. Static. */
struct str admin_lines(const struct req *r);

/* A whole request of the admin listener. */
void admin_go(struct req *r);

/* The supervisor did not answer in time. */
void admin_late(struct req *r);

/* The supervisor's answer to an ASK. */
void admin_answer(struct wkr *w, const struct ipc_answer *a);

#endif
