/* record: what is remembered of a request that has ended, for an operator who asks (recent_ring.h). */
#ifndef QCC_WORKER_REQUEST_RECORD_H
#define QCC_WORKER_REQUEST_RECORD_H

struct recent_record;
struct req;

/* Fills the record of a request that ends now: status (0: the client got none), and in words how. */
void record_fill(struct recent_record *to, const struct req *r, unsigned status, const char *end);

#endif
