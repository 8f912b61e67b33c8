/* owner: the endpoint that has the file, batch or container which a request names, and which
 * endpoints are asked where that is not known (scope.md, section 6). */
#ifndef QCC_WORKER_REQUEST_STATE_OWNER_H
#define QCC_WORKER_REQUEST_STATE_OWNER_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"
#include "common/policy/select.h"

struct req;

/* Which endpoints a request may go to. */
enum owner_route {
    OWNER_ANY,    /* as any other request */
    OWNER_ONE,    /* the one that has what the request names */
    OWNER_FIRST,  /* a list: the first by priority and order of the file that has the path */
    OWNER_CLIENT, /* something new: by rendezvous of the client's name */
    OWNER_SEARCH  /* an id that nobody knows: each in turn, until one has it */
};

/* What a request has to do with files, batches and containers. All zero: nothing. */
struct owner {
    enum owner_route route;
    uint64_t endpoint; /* of OWNER_ONE: ep.id_hash */
    uint64_t key[2];   /* of the id in the path, if `named` */
    bool named;
    bool makes;   /* a success brings the id of something new */
    bool removes; /* a success ends what the path names */
    bool batches; /* the reply may have results_url */
};

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

/* Replaces results_url in the reply, which is all in `body`. False: nothing was changed; else *out
 * has the new reply. */
bool owner_move_urls(const struct req *r, struct str body, struct buf *out) MUST_CHECK;

#endif
