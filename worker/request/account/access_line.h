/* access_line: the line that is logged when a request ends. */
#ifndef QCC_WORKER_REQUEST_ACCOUNT_ACCESS_LINE_H
#define QCC_WORKER_REQUEST_ACCOUNT_ACCESS_LINE_H

struct req;

/* Logs a request: what was asked, which endpoint answered, times, attempts, bytes and tokens.
 * `status`: what the client got, 0 for none; `end`: how the request ended ("ok", "client gone",
 * "failed": an own reply with 5xx, which is a warning; …).
 * Nothing if log.access is off; requests of the admin listener at debug only. */
void access_line(const struct req *r, unsigned status, const char *end);

#endif
