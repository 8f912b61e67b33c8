/* access: the one line that the log has of each request when it ends. */
#ifndef QCC_WORKER_REQUEST_ACCESS_LINE_H
#define QCC_WORKER_REQUEST_ACCESS_LINE_H

struct req;

/* Writes the line: what was asked, who answered, how long it took, what it carried. `status`: what the
 * client got, 0 for none; `end`: how it ended ("ok", "client gone", …). Nothing if log.access is off; the
 * admin listener's requests at debug only. */
void access_line(const struct req *r, unsigned status, const char *end);

#endif
