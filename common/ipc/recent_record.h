/* recent_record: one request that has ended, as workers remember it and as it stands in the blob of
 * a RECENT frame: a raw struct, since both ends are processes of one build on one machine. Texts
 * are packed one behind the other into `text`. Holds no conversation, no body, no key. */
#ifndef QCC_COMMON_IPC_RECENT_RECORD_H
#define QCC_COMMON_IPC_RECENT_RECORD_H

#include "common/base/str.h"
#include "common/ipc/choice.h"
#include "common/ipc/stats.h"
#include "common/policy/outcome.h"

/* RECENT_RECORDS: requests that a worker remembers. RECENT_TEXT: bytes of a record's texts;
 * attempts without room there are left out. RECENT_SAID: bytes of what endpoints said.
 * RECENT_UNKNOWN: a number that is not known. */
enum { RECENT_RECORDS = 256, RECENT_TEXT = 800, RECENT_SAID = 240, RECENT_UNKNOWN = UINT32_MAX };

/* What stands out in a request. The history keeps these bits: they never get another meaning.
 * RECENT_MOVED: its conversation was bound elsewhere before. RECENT_OPINION: another endpoint was
 * asked for a second opinion. RECENT_TRIAL: an attempt was a breaker's trial.
 * RECENT_MODEL_DIFFERS: the reply names another model than was asked for. RECENT_OPENAI: the
 * endpoint that answered speaks OpenAI's protocol. */
enum {
    RECENT_STREAM = 1,
    RECENT_MOVED = 2,
    RECENT_OPINION = 4,
    RECENT_TRIAL = 8,
    RECENT_MODEL_DIFFERS = 16,
    RECENT_OPENAI = 32
};

struct recent_record {
    int64_t began_us; /* CLOCK_REALTIME */
    uint64_t bytes_in, bytes_out;
    uint32_t tokens[TOKENS__COUNT]; /* RECENT_UNKNOWN: the reply named none */
    uint32_t write_1h;              /* of TOKENS_CACHE_WRITE; RECENT_UNKNOWN: as that */
    uint32_t web_searches;          /* RECENT_UNKNOWN: the reply named none */
    uint32_t first_byte_ms;         /* since began_us; RECENT_UNKNOWN: no byte came */
    uint32_t total_ms;
    uint16_t status;   /* 0: the client left before a status was sent */
    uint16_t attempts; /* attempts begun */
    uint16_t len;      /* bytes used of text */
    uint8_t listed;    /* attempts that are in text */
    uint8_t told;      /* of the bits above: RECENT_STREAM, RECENT_OPENAI */
    bool message; /* an endpoint was looked for to serve a message: a request that history counts */
    struct choices choices;
    char id[20];
    char text[RECENT_TEXT];
    /* Not packed: what follows never gets into the history. */
    bool open;                 /* the request is still under way; `end` says how far */
    uint8_t said_len;          /* bytes used of said */
    uint8_t said[RECENT_SAID]; /* endpoints' own words: index of the attempt, length, bytes */
};

/* The texts of a record, in their order. */
struct recent_texts {
    struct str client, model, method, path, endpoint, end;
    struct str sent;             /* model that the last endpoint was asked for; empty: none was */
    struct str served;           /* model that the reply names; empty: it names none */
    struct str tier, speed, geo; /* of the reply's usage; empty: it names none */
};

struct recent_attempt {
    enum outcome cls;
    enum fault fault;
    enum scope scope;        /* SCOPE_NONE: no failure, or not known */
    unsigned status;         /* 0: no reply */
    uint32_t at_ms;          /* begin of the attempt since the request began */
    uint32_t ms;             /* duration of the attempt */
    uint32_t retry_after_ms; /* RECENT_UNKNOWN: the reply named none */
    struct str endpoint, reason;
};

/* Puts the texts into an empty record, each cut to its own maximum. */
void recent_put(struct recent_record *r, const struct recent_texts *t);

/* Adds one attempt to a record with its texts. False: no room; the record is unchanged. */
bool recent_put_attempt(struct recent_record *r, const struct recent_attempt *a);

/* Adds the own words of an endpoint for its attempt `at`, counted from 0. False: no room. */
bool recent_put_said(struct recent_record *r, unsigned at, struct str words);

/* The own words of the endpoint of attempt `at`, borrowed; empty: none. */
struct str recent_said(const struct recent_record *r, unsigned at);

/* Whether a record that came from another process can be read: its choices, texts and attempts. */
bool recent_sound(const struct recent_record *r) MUST_CHECK;

/* Reads the texts of a record, borrowed from it. *at: for recent_get_attempt. False: the record is
 * malformed. */
bool recent_get(const struct recent_record *r, struct recent_texts *t, size_t *at) MUST_CHECK;
/* Reads the next of r->listed attempts; its texts borrow from the record. False: the record is
 * malformed. */
bool recent_get_attempt(const struct recent_record *r, size_t *at,
                        struct recent_attempt *a) MUST_CHECK;

/* The bits of a sound record (recent_get), whose texts are t. */
unsigned recent_flags(const struct recent_record *r, const struct recent_texts *t);

/* The protocol of the endpoint that answered, by the bits of the record: "anthropic", "openai";
 * NULL: none did. */
const char *recent_protocol(unsigned flags, bool answered);

/* Bytes of the longest packed record. */
enum { RECENT_PACKED_MAX = sizeof(struct recent_record) + 2 };

/* Writes the record without the room that its choices and texts have left: most records take a
 * third of the struct. Returns the bytes written. */
size_t recent_pack(const struct recent_record *r, uint8_t out[static RECENT_PACKED_MAX]);

/* The bytes of the packed record that begins at p, by its first two, of n; 0: it does not end
 * within them. */
size_t recent_packed_size(const uint8_t *p, size_t n);

/* Reads the packed record at p, of `size` bytes as recent_packed_size says. False: it is
 * malformed; its texts and choices are still to be checked (recent_get). */
bool recent_unpack(const uint8_t *p, size_t size, struct recent_record *r) MUST_CHECK;

#endif
