/* record: makes the record of a request, for recent_ring.h. */
#ifndef QCC_WORKER_REQUEST_ACCOUNT_RECORD_H
#define QCC_WORKER_REQUEST_ACCOUNT_RECORD_H

struct recent_record;
struct req;

/* Fills the record of a request that ends now. status: what the client got, 0 for none; end: how
 * the request ended, as in the access line. */
void record_fill(struct recent_record *to, const struct req *r, unsigned status, const char *end);

/* The same of a request that is under way: `end` says how far it is. */
void record_fill_open(struct recent_record *to, const struct req *r);

#endif
