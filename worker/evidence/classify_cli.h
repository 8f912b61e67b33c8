/* classify_cli: `qcc-worker --classify`: the classifier as a filter, for its test against labelled
 * replies, and to find out how QCC classifies a reply. */
#ifndef QCC_WORKER_EVIDENCE_CLASSIFY_CLI_H
#define QCC_WORKER_EVIDENCE_CLASSIFY_CLI_H

#include "common/base/str.h"
#include "common/policy/outcome.h"

/* Reads one JSON object per line from stdin (id, kind, status, headers, body, curl_code,
 * received_at) and writes {"id","class","fault","retry_after_s","rule"} for each to stdout. Returns
 * the exit status: 0, or 1 when a line could not be read; that is reported on stderr, and the
 * following lines are read. */
int classify_cli(void);

/* The transport fault that a libcurl code ("CURLE_GOT_NOTHING") stands for. `text`: libcurl's error
 * text, which tells kinds of timeouts and TLS failures apart. An unknown name is NET_LOCAL. */
enum net_fault classify_cli_curl(struct str code, struct str text);

#endif
