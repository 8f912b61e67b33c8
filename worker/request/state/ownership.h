/* ownership: what a request has to do with files, batches and containers, which one endpoint has.
 */
#ifndef QCC_WORKER_REQUEST_STATE_OWNERSHIP_H
#define QCC_WORKER_REQUEST_STATE_OWNERSHIP_H

#include "common/base/base.h"

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

#endif
