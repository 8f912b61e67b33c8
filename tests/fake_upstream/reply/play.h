/* play: the bytes of one reply as a short program: what to send, how often, with which gaps, and
 * how it ends. Complete before it is sent; counted by reference, as many requests of the bench
 * share one. */
#ifndef QCC_TESTS_FAKE_UPSTREAM_REPLY_PLAY_H
#define QCC_TESTS_FAKE_UPSTREAM_REPLY_PLAY_H

#include "common/base/buf.h"

enum step_kind { STEP_SEND, STEP_FILL };

struct step {
    enum step_kind kind;
    size_t off, len; /* STEP_SEND: bytes [off, off+len) of play.bytes */
    uint64_t count;  /* STEP_SEND: how often; STEP_FILL: how many bytes 'x' */
    int64_t gap_us;  /* wait before each repetition */
};

/* How a reply ends. PLAY_KEEP: the connection stays open. PLAY_LINGER: FIN, then the peer's bytes
 * are read and dropped (up to 2 s). PLAY_HANG: nothing happens until the peer closes. */
enum play_end { PLAY_KEEP, PLAY_CLOSE, PLAY_LINGER, PLAY_RESET, PLAY_HANG };

struct play {
    unsigned refs;
    unsigned status; /* for the log and counters */
    bool stream;     /* an event stream */
    enum play_end end;
    int64_t trickle_us; /* trickle_bytes at most per so many microseconds; 0: no limit */
    size_t trickle_bytes;
    int64_t close_idle_us; /* PLAY_KEEP: the connection closes so long after the end; -1: never */
    uint64_t content_from; /* bytes that are sent before the first content is; UINT64_MAX: there is
                              none */
    struct buf bytes;
    struct step *v;
    size_t n, cap;
};

/* Makes an empty reply; the reference is the caller's. */
struct play *play_new(void) MUST_CHECK;

/* Takes a reference; returns p. */
struct play *play_ref(struct play *p);

/* Drops a reference; with the last one p is freed. */
void play_unref(struct play *p);

/* Adds a step that sends bytes [off, off+len) of p->bytes, which exist already. Adjacent bytes
 * without a gap are added to the last step. */
void play_send(struct play *p, size_t off, size_t len, uint64_t count, int64_t gap_us);

/* Adds a step that sends n filler bytes. */
void play_fill(struct play *p, uint64_t n, int64_t gap_us);

/* Appends the text to p->bytes and adds a step that sends it. */
void play_text(struct play *p, struct str s, int64_t gap_us);

/* Inserts `head`, after a wait of gap_us, in front of all steps; in one piece with the first step
 * if that has no gap. */
void play_lead(struct play *p, struct str head, int64_t gap_us);

/* Says that what is added from now on is content, unless there was some. */
void play_content(struct play *p);

/* Number of bytes that all steps send; UINT64_MAX: one is endless. */
uint64_t play_size(const struct play *p);

/* Cuts the steps after the first n bytes. */
void play_cut(struct play *p, uint64_t n);

#endif
