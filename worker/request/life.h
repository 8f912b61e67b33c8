/* life: begin and end of a request: made for a client, and let go with all it holds once its reply
 * has ended, counted, logged and recorded. */
#ifndef QCC_WORKER_REQUEST_LIFE_H
#define QCC_WORKER_REQUEST_LIFE_H

#include "common/base/base.h"

struct client;
struct req;

/* Makes a request of c and sets c->req. The caller initializes its deadlines. */
struct req *life_begin(struct client *c);

/* Ends the request, whose reply is complete (client_ops.done). keep: the connection may carry
 * another. Its memory lives until the end of the turn, here as below. */
void life_finish(struct req *r, bool keep);

/* Ends the request, whose reply is to be cut (client_ops.cut). */
void life_finish_cut(struct req *r, bool hard);

/* Ends the request, whose client has closed the connection. */
void life_client_gone(struct req *r);

/* Ends the request after a write returned CLIENT_GONE, and closes the connection
 * (client_ops.lost). */
void life_client_lost(struct req *r);

#endif
