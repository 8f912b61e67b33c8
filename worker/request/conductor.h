/* conductor: moves a request on. Everything that happens to one enters here: its client, its
 * deadlines, and the events of its exchange with an endpoint (head, body, end, failure:
 * conductor_on_event and conductor_on_failed, in front of hold and relay). The conductor asks pick,
 * attempt, hold and relay, which return what is to be done, and does it. None of them calls the
 * conductor, and no attempt begins within a callback of another: a request whose attempt has failed
 * is in req_env.due until the end of the turn. */
#ifndef QCC_WORKER_REQUEST_CONDUCTOR_H
#define QCC_WORKER_REQUEST_CONDUCTOR_H

#include "common/base/base.h"
#include "common/base/str.h"

struct client;
struct req;
struct req_env;

/* Makes a request of c and sets c->req. */
struct req *conductor_begin(struct client *c);

/* The request is complete: chooses an endpoint and tries it. May end r. */
void conductor_go(struct req *r);

/* ---- replies of QCC's own; they end r */

/* Answers with any reply. type: content-type, NULL for none; extra: header lines, each with
 * CRLF. */
void conductor_answer(struct req *r, unsigned status, const char *type, struct str body,
                      const char *extra);

/* Answers with an error in Anthropic's form, its type by the status; as an error event if the reply
 * began with a ping. retry_after_s 0: no retry-after. Where the request is at fault (4xx but 408,
 * 429) x-should-retry: false is added. */
void conductor_answer_error(struct req *r, unsigned status, const char *message,
                            unsigned retry_after_s);

/* conductor_answer_error with the given header lines, each with CRLF. */
void conductor_answer_error_with(struct req *r, unsigned status, const char *message,
                                 const char *lines);

/* ---- the client */

/* The client has closed the connection: the request ends at once. */
void conductor_client_gone(struct req *r);

/* The bytes that waited for the client were written: reads the endpoint's reply again. */
void conductor_client_room(struct req *r);

/* The client has sent a FIN and may be gone: writes something harmless to find out. Called every
 * half second while that is so. */
void conductor_client_unsure(struct req *r);

/* Writes 100 Continue. False: the client is gone, and so is r. */
bool conductor_write_continue(struct req *r);

/* ---- the worker */

/* Chooses for the requests whose attempt has failed in this turn. Called at its end. */
void conductor_pick_due(struct req_env *env);

/* Chooses anew for each request that waits for an endpoint, the oldest first, and for those of them
 * that are due after it. */
void conductor_wake_waiting(struct req_env *env);

#endif
