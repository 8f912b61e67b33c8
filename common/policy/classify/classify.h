/* classify: what a failed attempt means: one of the classes of outcome.h, whose fault it was, what
 * it concerns, and how long to wait. Structure first (transport, status, the JSON error's type,
 * code and status, headers), words only where structure is general or known to mislead, bare digits
 * in a text never. Pure.
 *
 * The rules are rows of classify_rules; the wait is read by retry_after, the scope by
 * classify_scope. */
#ifndef QCC_COMMON_POLICY_CLASSIFY_CLASSIFY_H
#define QCC_COMMON_POLICY_CLASSIFY_CLASSIFY_H

#include "common/policy/classify/classify_evidence.h"
#include "common/policy/outcome.h"

/* Fills *out with the verdict on a reply. wall_now_ms: when it was received, from which moments
 * count if it has no Date; negative: not known, then only waits that need no clock are read.
 * retry_after_ms is at most RETRY_AFTER_MAX_MS of retry_after.h. */
void classify(const struct evidence *ev, int64_t wall_now_ms, struct verdict *out);

/* Whether the error names a member of the request's body ("messages.0.content: field required",
 * "max_tokens: …", param). */
bool classify_names_field(const struct evidence *ev);

/* Fills *out with the verdict on a failure below HTTP. head: the head of the reply had come. */
void classify_net(enum net_fault n, bool head, struct verdict *out);

#endif
