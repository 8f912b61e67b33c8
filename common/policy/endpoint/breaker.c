#include "common/policy/endpoint/breaker.h"

#include <string.h>

static bool enter(struct breaker *b, enum breaker_state to, int64_t now_ms)
{
    bool changed = b->state != to;
    b->state = to;
    b->trial = BREAKER_TRIAL_FREE;
    b->since_ms = now_ms;
    b->verify_ms = 0;
    memset(b->messages, 0, sizeof b->messages);
    b->verify_next &= to == BREAKER_HALF_OPEN;
    if (to == BREAKER_CLOSED) {
        b->failures = b->broken = 0;
        b->open_ms = 0;
    }
    return changed;
}

static int64_t doubled(const struct breaker_conf *c, int64_t ms)
{
    if (ms >= c->max_open_ms)
        return ms;
    return ms < c->max_open_ms / 2 ? ms * 2 : c->max_open_ms;
}

bool breaker_failure(struct breaker *b, const struct breaker_conf *c, bool trial, int64_t now_ms)
{
    if (b->failures < UINT32_MAX)
        b->failures++;
    switch (b->state) {
    case BREAKER_CLOSED:
        if (b->failures < c->failure_threshold)
            return false;
        b->open_ms = b->open_ms ? doubled(c, b->open_ms) : c->open_ms;
        return enter(b, BREAKER_OPEN, now_ms);
    case BREAKER_OPEN:
        if (trial)
            b->trial = BREAKER_TRIAL_FREE;
        return false;
    case BREAKER_HALF_OPEN:
        if (!trial)
            return false;
        b->open_ms = doubled(c, b->open_ms);
        return enter(b, BREAKER_OPEN, now_ms);
    case BREAKER__COUNT:
        break;
    }
    return false;
}

void breaker_failed_on(struct breaker *b, uint64_t message, bool broke)
{
    for (unsigned i = 0; message && b->state == BREAKER_CLOSED && i < BREAKER_MESSAGES; i++) {
        struct breaker_message *m = &b->messages[i];
        if (m->hash && m->hash != message)
            continue;
        m->hash = message;
        m->n++;
        m->broken += broke;
        return;
    }
}

/* Takes all but one of a message's failures out of a row. */
static void take(uint32_t *row, uint32_t *of_message)
{
    uint32_t more = *of_message > 1 ? *of_message - 1 : 0;
    *of_message -= more;
    *row = *row > more ? *row - more : 0;
}

/* A row has ended: the failures in a row, or with `broken` that of replies that broke off. */
static void forget_row(struct breaker *b, bool broken)
{
    for (unsigned i = 0; i < BREAKER_MESSAGES; i++) {
        struct breaker_message *m = &b->messages[i];
        if (broken)
            m->broken = 0;
        else
            m->n = 0;
        if (m->n == 0 && m->broken == 0)
            m->hash = 0;
    }
}

bool breaker_take_back(struct breaker *b, uint64_t message)
{
    for (unsigned i = 0; message && b->state == BREAKER_CLOSED && i < BREAKER_MESSAGES; i++) {
        struct breaker_message *m = &b->messages[i];
        if (m->hash != message || (m->n < 2 && m->broken < 2))
            continue;
        take(&b->failures, &m->n);
        take(&b->broken, &m->broken);
        return true;
    }
    return false;
}

void breaker_trial_void(struct breaker *b)
{
    breaker_give_back(b);
    b->verify_next = true;
}

bool breaker_broke(struct breaker *b, const struct breaker_conf *c, int64_t now_ms)
{
    if (b->broken < UINT32_MAX)
        b->broken++;
    uint32_t before = b->broken - 1;
    if (b->state == BREAKER_CLOSED && b->open_ms && before < c->failure_threshold - 1)
        before = c->failure_threshold - 1;
    if (b->failures < before)
        b->failures = before;
    return breaker_failure(b, c, false, now_ms);
}

bool breaker_success(struct breaker *b, bool trial, int64_t now_ms)
{
    bool changed = breaker_answered(b, trial, now_ms);
    breaker_ended(b);
    return changed;
}

bool breaker_answered(struct breaker *b, bool trial, int64_t now_ms)
{
    if (b->state == BREAKER_CLOSED) {
        b->failures = 0;
        forget_row(b, false);
        return false;
    }
    if (!trial)
        return false;
    int64_t open_ms = b->open_ms;
    enter(b, BREAKER_CLOSED, now_ms);
    b->open_ms = open_ms;
    return true;
}

void breaker_ended(struct breaker *b)
{
    if (b->state != BREAKER_CLOSED)
        return;
    b->broken = 0;
    b->open_ms = 0;
    forget_row(b, true);
}

bool breaker_blemished(const struct breaker *b)
{
    return b->state != BREAKER_CLOSED || b->failures || b->broken || b->open_ms;
}

bool breaker_tick(struct breaker *b, int64_t now_ms)
{
    if (b->state != BREAKER_OPEN || now_ms - b->since_ms < b->open_ms)
        return false;
    /* A trial lent as the last resort stays lent: there is one trial at a time. */
    enum breaker_trial trial = b->trial;
    enter(b, BREAKER_HALF_OPEN, now_ms);
    b->trial = trial;
    return true;
}

bool breaker_lend(struct breaker *b)
{
    if (b->state == BREAKER_CLOSED || b->trial != BREAKER_TRIAL_FREE)
        return false;
    b->trial = BREAKER_TRIAL_LENT;
    return true;
}

bool breaker_begin(struct breaker *b)
{
    if (b->trial != BREAKER_TRIAL_LENT)
        return false;
    b->trial = BREAKER_TRIAL_RUNNING;
    return true;
}

void breaker_give_back(struct breaker *b)
{
    b->trial = BREAKER_TRIAL_FREE;
}

/* Half open: when a verification is to be the trial. */
static int64_t patience_ends(const struct breaker *b)
{
    int64_t ms = b->verify_next ? b->since_ms : b->since_ms + BREAKER_PATIENCE_MS;
    return ms > b->verify_ms ? ms : b->verify_ms;
}

void breaker_verification_lost(struct breaker *b, int64_t now_ms)
{
    breaker_give_back(b);
    b->verify_ms = now_ms + BREAKER_PATIENCE_MS;
}

bool breaker_wants_verification(const struct breaker *b, int64_t now_ms)
{
    return b->state == BREAKER_HALF_OPEN && b->trial != BREAKER_TRIAL_RUNNING &&
           now_ms >= patience_ends(b);
}

bool breaker_close(struct breaker *b, int64_t now_ms)
{
    return enter(b, BREAKER_CLOSED, now_ms);
}

bool breaker_trip(struct breaker *b, const struct breaker_conf *c, int64_t now_ms)
{
    if (b->state != BREAKER_CLOSED)
        return false;
    b->open_ms = b->open_ms ? doubled(c, b->open_ms) : c->open_ms;
    return enter(b, BREAKER_OPEN, now_ms);
}

bool breaker_half_open(struct breaker *b, const struct breaker_conf *c, int64_t now_ms)
{
    enum breaker_trial trial = b->trial;
    if (b->open_ms == 0)
        b->open_ms = c->open_ms;
    bool changed = enter(b, BREAKER_HALF_OPEN, now_ms);
    b->trial = trial; /* one that is lent or running stays the only one */
    return changed;
}

int64_t breaker_next_ms(const struct breaker *b, int64_t now_ms)
{
    if (b->state == BREAKER_OPEN)
        return b->since_ms + b->open_ms;
    if (b->state == BREAKER_HALF_OPEN && now_ms < patience_ends(b))
        return patience_ends(b);
    return INT64_MAX;
}

const char *breaker_state_name(enum breaker_state s)
{
    static const char *const names[BREAKER__COUNT] = {
        [BREAKER_CLOSED] = "closed",
        [BREAKER_OPEN] = "open",
        [BREAKER_HALF_OPEN] = "half_open",
    };
    return (unsigned)s < BREAKER__COUNT ? names[s] : "?";
}
