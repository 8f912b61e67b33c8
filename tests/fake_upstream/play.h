/* play: what one reply puts on the wire, as a short program: bytes to send, how often and how far
 * apart, and how it ends. Built whole before it is sent; shared by reference where many requests
 * get the same one (the bench). */
#ifndef QCC_TESTS_FAKE_UPSTREAM_PLAY_H
#define QCC_TESTS_FAKE_UPSTREAM_PLAY_H

#include "common/base/buf.h"

enum step_kind { STEP_SEND, STEP_FILL };

struct step {
    enum step_kind kind;
    size_t off, len; /* SEND: bytes [off, off+len) of play.bytes */
    uint64_t count;  /* SEND: how often; FILL: how many bytes of 'x' */
    int64_t gap_us;  /* wait before each time */
};

/* KEEP: the connection lives on. LINGER: says goodbye and reads what still comes (up to 2 s). */
enum play_end { PLAY_KEEP, PLAY_CLOSE, PLAY_LINGER, PLAY_RESET, PLAY_HANG };

struct play {
    unsigned refs;
    unsigned status; /* for the log and counters */
    bool stream;     /* an event stream */
    enum play_end end;
    int64_t trickle_us; /* at most trickle_bytes each so many microseconds; 0: at will */
    size_t trickle_bytes;
    int64_t close_idle_us; /* with KEEP: close so long after the end; -1: not */
    struct buf bytes;
    struct step *v;
    size_t n, cap;
};

struct play *play_new(void) MUST_CHECK;
struct play *play_ref(struct play *p);
void play_unref(struct play *p);

/* Sends bytes [off, off+len) of p->bytes, which are there already. A step that directly follows the
 * one before, without a gap, becomes part of it. */
void play_send(struct play *p, size_t off, size_t len, uint64_t count, int64_t gap_us);

/* Sends n filler bytes. */
void play_fill(struct play *p, uint64_t n, int64_t gap_us);

/* Appends the text to p->bytes and sends it. */
void play_text(struct play *p, struct str s, int64_t gap_us);

/* Puts `head` (and a wait before it) in front of all steps, in one piece with the first if that has
 * no gap. */
void play_lead(struct play *p, struct str head, int64_t gap_us);

/* Bytes all steps send. UINT64_MAX when one is endless. */
uint64_t play_size(const struct play *p);

/* Lets only the first n bytes go out. */
void play_cut(struct play *p, uint64_t n);

#endif
