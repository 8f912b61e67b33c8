/* recent: one request that has ended, as workers remember it and as it stands in the blob of a RECENT
 * frame: a raw struct, both ends are processes of one build on one machine. Texts are packed one
 * behind the other into what room there is; no conversation, no body, no key. */
#ifndef QCC_COMMON_IPC_RECENT_RECORD_H
#define QCC_COMMON_IPC_RECENT_RECORD_H

#include "common/base/str.h"
#include "common/ipc/choice.h"
#include "common/ipc/stats.h"
#include "common/policy/outcome.h"

/* A worker remembers so many; an attempt's texts that find no room are left out. */
enum { RECENT_RECORDS = 256, RECENT_TEXT = 352, RECENT_UNTOLD = UINT32_MAX };

struct recent_record {
    int64_t began_us; /* wall clock */
    uint64_t bytes_in, bytes_out;
    uint32_t tokens[TOKENS__COUNT]; /* RECENT_UNTOLD: not told */
    uint32_t first_byte_ms;         /* RECENT_UNTOLD: there was none */
    uint32_t total_ms;
    uint16_t status;   /* 0: the client left before it got one */
    uint16_t attempts; /* begun */
    uint16_t len;      /* of text */
    uint8_t listed;    /* attempts whose texts are there */
    bool stream;
    struct choices choices;
    char id[20];
    char text[RECENT_TEXT];
};

/* The texts of a record, in their order. */
struct recent_texts {
    struct str client, model, method, path, endpoint, end;
};

struct recent_attempt {
    enum outcome cls;
    enum fault fault;
    unsigned status; /* 0: no reply */
    uint32_t at_ms;  /* when it began, since the request did */
    uint32_t ms;     /* how long it took */
    uint32_t retry_after_ms; /* RECENT_UNTOLD: it said nothing */
    struct str endpoint, reason;
};

/* Puts the texts into an empty record, each cut to its share of the room. */
void recent_put(struct recent_record *r, const struct recent_texts *t);

/* Adds one attempt; false: no room. */
bool recent_put_attempt(struct recent_record *r, const struct recent_attempt *a);

/* Reads them back; they borrow from the record. False: the record is not one. *at: for
 * recent_attempt, which reads the next of r->listed. */
bool recent_get(const struct recent_record *r, struct recent_texts *t, size_t *at) MUST_CHECK;
bool recent_get_attempt(const struct recent_record *r, size_t *at, struct recent_attempt *a)
    MUST_CHECK;

#endif
