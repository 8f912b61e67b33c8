/* owner: the endpoint that has the file, batch or container which a request names, and which
 * endpoints are asked where that is not known (scope.md, section 6). */
#ifndef QCC_WORKER_REQUEST_STATE_OWNER_H
#define QCC_WORKER_REQUEST_STATE_OWNER_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"
#include "common/policy/select.h"

struct req;

/* Finds out what the request names, once its body is read. NULL: it may be asked; else why it is
 * to be answered with 400. */
const char *owner_learn(struct req *r) MUST_CHECK;

/* Changes rows of the candidates and the request for select as the route has it. The caller has
 * filled them. */
void owner_rows(const struct req *r, struct sel_ep *rows);
void owner_request(const struct req *r, struct sel_req *sr);

/* Changes the rules of choice as the route has it. */
void owner_strategy(const struct req *r, struct sel_conf *c);

/* The endpoint under way has served the request. body: as much as there is of its reply, readable;
 * binds what it has made or has. */
void owner_served(struct req *r, struct str body);

/* The reply to a message is over: binds the container that it named, if any. */
void owner_container(struct req *r);

/* Moves results_url in the last piece of a reply to QCC's own address. Returns what is left of the
 * piece: all of it where nothing is to be moved, else nothing: r->reply.held has the reply then. */
struct str owner_view(struct req *r, struct str piece, bool end);

#endif
