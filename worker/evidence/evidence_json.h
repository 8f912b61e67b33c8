/* evidence_json: the JSON part of evidence: walks an error however it was wrapped: objects in
 * objects, arrays, JSON in strings, JSON behind words. Reads only members that speak of the error;
 * what a relay echoes of the request is not looked at. Internal to evidence, with the setters that
 * both use. */
#ifndef QCC_WORKER_EVIDENCE_JSON_H
#define QCC_WORKER_EVIDENCE_JSON_H

#include "common/base/arena.h"
#include "common/policy/classify/classify.h"

/* False: the text begins with no JSON value, or with one that says nothing of an error. */
bool evidence_json(struct evidence *ev, struct str s, struct arena *a);

/* Setters: drop what is over the bounds of struct evidence. */
void evidence_symbol(struct evidence *ev, struct str prefix, struct str s, bool type,
                     struct arena *a);
void evidence_text(struct evidence *ev, struct str s, struct arena *a);
/* name and value must live as long as *ev. */
void evidence_wait(struct evidence *ev, struct str name, struct str value);
/* False when the header is none that tells a wait. */
bool evidence_header(struct evidence *ev, struct str name, struct str value, struct arena *a);

#endif
