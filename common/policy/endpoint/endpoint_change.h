/* endpoint_change: what an event has changed of an endpoint or of one of its cells, one note for
 * one log line. Pure. */
#ifndef QCC_COMMON_POLICY_ENDPOINT_ENDPOINT_CHANGE_H
#define QCC_COMMON_POLICY_ENDPOINT_ENDPOINT_CHANGE_H

#include "common/base/str.h"
#include "common/policy/endpoint/breaker.h"
#include "common/policy/endpoint/endpoint_names.h"
#include "common/policy/model_name.h"

/* Notes of one call that are kept. */
enum { EP_NOTES = 16 };

/* One change: "endpoint X: breaker closed -> open: failures in a row". */
struct ep_note {
    enum ep_what what;
    const char *from, *to;           /* static */
    const char *why;                 /* static, or borrowed from the report */
    int64_t ms;                      /* with the kinds of enum ep_what that name it; else 0 */
    uint32_t failures;               /* in a row, where a breaker has opened */
    char family[MODEL_NAME_MAX + 1]; /* whose cell has changed; "": the endpoint */
};

/* All zero: nothing has changed. */
struct ep_changes {
    struct ep_note note[EP_NOTES];
    uint32_t n;
    uint32_t lost; /* notes for which there was no room, as of many cells at once */
    bool dirty;    /* the workers' replicas must be updated (also without a note) */
};

/* Adds a note about the endpoint, or about the cell of a family. family: "": the endpoint. */
void ep_change(struct ep_changes *ch, const char *family, enum ep_what what, const char *from,
               const char *to, const char *why, int64_t ms);

/* Notes the change that a call of a breaker_ function has made. from: the state before it. */
void ep_change_breaker(struct ep_changes *ch, const char *family, const struct breaker *b,
                       enum breaker_state from, const char *why);

#endif
