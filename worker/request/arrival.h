/* arrival: a request as it comes from the client: head, body, what it asks for; refused, answered
 * by QCC itself, or handed to the conductor. For the client's connection. */
#ifndef QCC_WORKER_REQUEST_ARRIVAL_H
#define QCC_WORKER_REQUEST_ARRIVAL_H

#include "common/base/base.h"
#include "worker/request/env/client.h"

enum arrival_result { ARRIVAL_MORE, ARRIVAL_DONE, ARRIVAL_REFUSED };

/* Begins a request with its complete head p[0..size), which is copied. Sets c->req, unless the
 * request was refused: then it is answered and the connection will close. Returns whether a body
 * follows. */
bool arrival_begin(struct client *c, const char *p, size_t size);

/* Where to read body bytes to: sets *at, returns how many fit. */
size_t arrival_body_room(struct req *r, char **at) MUST_CHECK;

/* Takes n bytes that were read to arrival_body_room. *used: bytes that belong to the body.
 * ARRIVAL_REFUSED: the request was answered and is gone. */
enum arrival_result arrival_body_added(struct req *r, size_t n, size_t *used) MUST_CHECK;

/* Takes a copy of body bytes from elsewhere; otherwise as arrival_body_added. */
enum arrival_result arrival_body_feed(struct req *r, const char *p, size_t n,
                                      size_t *used) MUST_CHECK;

/* Answers a request whose body did not come within limits.body_timeout; it is gone afterwards. */
void arrival_body_timeout(struct req *r);

/* The request is complete: begins to answer it. May end it. */
void arrival_complete(struct req *r);

/* Answers a request that has no req yet with an error; the connection closes afterwards. */
void arrival_refuse(struct client *c, unsigned status, const char *why);

/* The service of the proxy's listeners. */
struct service arrival_service(void);

#endif
