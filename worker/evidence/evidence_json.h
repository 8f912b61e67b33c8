/* evidence_json: the JSON part of evidence: walks an error through objects, arrays, JSON in strings
 * and JSON behind other text. Reads only members that describe the error, not the parts of the
 * request that a relay echoes. Internal to evidence. */
#ifndef QCC_WORKER_EVIDENCE_EVIDENCE_JSON_H
#define QCC_WORKER_EVIDENCE_EVIDENCE_JSON_H

#include "common/base/arena.h"
#include "common/policy/classify/classify.h"

/* Adds to *ev what the JSON value at the front of s has; *ev borrows from s and the arena. False:
 * there is no such value, or it has no evidence. */
bool evidence_json(struct evidence *ev, struct str s, struct arena *a);

#endif
