/* evidence_json: the JSON part of evidence: walks an error however it was wrapped: objects in
 * objects, arrays, JSON in strings, JSON behind words. Reads only members that speak of the error;
 * what a relay echoes of the request is not looked at. Internal to
 * evidence. */
#ifndef QCC_WORKER_EVIDENCE_EVIDENCE_JSON_H
#define QCC_WORKER_EVIDENCE_EVIDENCE_JSON_H

#include "common/base/arena.h"
#include "common/policy/classify/classify.h"

/* False: the text begins with no JSON value, or with one that says nothing of an error. */
bool evidence_json(struct evidence *ev, struct str s, struct arena *a);

#endif
