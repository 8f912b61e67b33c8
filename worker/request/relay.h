/* relay: what a client gets of an endpoint's reply: head, pieces, pings, and what ends a reply that
 * broke. Writes; the conductor ends the request. */
#ifndef QCC_WORKER_REQUEST_RELAY_H
#define QCC_WORKER_REQUEST_RELAY_H

#include "common/base/str.h"
#include "common/policy/outcome.h"

struct exchange_event;
struct kept_reply;
struct req;

/* What has become of the reply to the client. */
enum relay_result {
    RELAY_ON,       /* it goes on */
    RELAY_END,      /* it is complete and written */
    RELAY_CUT,      /* it is to be cut, so that the client can tell */
    RELAY_CUT_HARD, /* with a reset, where a plain end would look like the end of the reply */
    RELAY_GONE      /* the client is gone */
};

/* What a further piece of a committed reply is. */
enum relay_piece {
    RELAY_PIECE, /* the reply goes on behind it */
    RELAY_LAST,  /* the reply is complete with it */
    RELAY_ERROR, /* as RELAY_LAST, and it ended with the endpoint's error event */
    RELAY_BROKEN /* the stream ends with it and is not complete */
};

/* Begins a committed reply: writes the head, what was held back, and `piece`. end: the reply is
 * complete. */
enum relay_result relay_commit(struct req *r, struct str piece, bool end);

/* Prepares to commit a reply that goes on as it came, in a coding: what came takes the place of
 * what was read of it, in *piece and *end. False: its end is there, and it is not whole. */
bool relay_as_came(struct req *r, struct str *piece, bool *end) MUST_CHECK;

/* Inflates what is left of the event that r->reply.decode has, of a committed reply that goes on as
 * it came: what comes of it tells whether the reply is whole. */
void relay_inflate(struct req *r);

/* Looks at an event of a committed reply. *piece: its bytes for the client; valid until the event
 * is over. */
enum relay_piece relay_look(struct req *r, const struct exchange_event *ev, struct str *piece);

/* The piece with the endpoint's key masked, where it has that; empty: no memory. */
struct str relay_masked(struct req *r, struct str piece);

/* Writes a piece of the reply. end: the reply ends with it; what a stream lacks is added. */
enum relay_result relay_write(struct req *r, struct str piece, bool end);

/* What a committed reply is whose exchange broke: RELAY_LAST or RELAY_ERROR where nothing is lost,
 * else RELAY_BROKEN. */
enum relay_piece relay_broken(struct req *r, enum net_fault why);

/* Ends a committed reply that broke, for the reason in r->cut. */
enum relay_result relay_cut_off(struct req *r);

/* Begins the reply as an event stream with a ping, before an endpoint's reply is committed. */
enum relay_result relay_begin(struct req *r);

/* Writes a ping into a reply that relay_begin has begun, or into a committed stream if it is
 * between two events. Writes none if bytes wait for the client. */
enum relay_result relay_ping(struct req *r);

/* Answers with a kept reply. status: 0, or in place of the reply's own; retry_after_s: 0, or in
 * place of the reply's own retry-after. */
enum relay_result relay_kept(struct req *r, struct kept_reply *k, unsigned status,
                             unsigned retry_after_s);

/* Ends a reply that has begun with an error event whose type is the status's. */
enum relay_result relay_error_event(struct req *r, unsigned status, const char *message);

#endif
