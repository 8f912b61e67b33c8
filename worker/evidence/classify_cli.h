/* classify_cli: the classifier as a filter, for its test against labelled replies and for people
 * who wonder what QCC makes of one: `qcc-worker --classify`. */
#ifndef QCC_WORKER_EVIDENCE_CLASSIFY_CLI_H
#define QCC_WORKER_EVIDENCE_CLASSIFY_CLI_H

#include "common/base/str.h"
#include "common/policy/outcome.h"

/* Reads one JSON object a line on stdin (id, kind, status, headers, body, curl_code, received_at)
 * and writes {"id","class","fault","retry_after_s","rule"} for each on stdout. Exit status: 0, 1
 * when a line could not be read (it is named on stderr, the rest goes on). */
int classify_cli(void);

/* What a libcurl code ("CURLE_GOT_NOTHING") means below HTTP; `text` is its error text, which tells
 * kinds of timeouts and TLS failures apart. An unknown name is NET_LOCAL. */
enum net_fault classify_cli_curl(struct str code, struct str text);

#endif
