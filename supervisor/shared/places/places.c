#include "supervisor/shared/places/places.h"

#include "common/base/mem.h"

#include <string.h>

/* Bound of the open requests of one worker: far more than it can have descriptors. */
enum { TAKEN_MAX = 1 << 24 };

static struct place_holder *holder(struct places *p, unsigned slot)
{
    if (slot >= p->n) {
        struct place_holder *v = mem_zalloc(slot + 1, sizeof *v);
        if (p->n)
            memcpy(v, p->v, p->n * sizeof *v);
        mem_free(p->v);
        p->v = v;
        p->n = slot + 1;
    }
    return &p->v[slot];
}

void places_fini(struct places *p)
{
    mem_free(p->v);
    *p = (struct places){0};
}

void places_depart(struct places *p)
{
    for (size_t i = 0; i < p->n; i++)
        p->v[i] = (struct place_holder){.lent = p->v[i].lent, .afar = p->v[i].afar};
    p->dry = false;
}

uint64_t places_lent(const struct places *p)
{
    uint64_t sum = p->elsewhere;
    for (size_t i = 0; i < p->n; i++)
        sum += p->v[i].lent;
    return sum;
}

/* The places that may be lent here. */
static uint32_t limit_here(const struct places *p)
{
    return p->shared && p->block < p->total ? p->block : p->total;
}

/* The holder that has waited longest, or NULL; *others: another one waits too. */
static struct place_holder *next_in_turn(const struct places *p, bool *others)
{
    struct place_holder *first = NULL;
    *others = false;
    for (size_t i = 0; i < p->n; i++) {
        struct place_holder *h = &p->v[i];
        if (!h->wants)
            continue;
        *others = first != NULL;
        if (!first || h->wanted_ms < first->wanted_ms)
            first = h;
    }
    return first;
}

static bool wanted_by_another(const struct places *p, const struct place_holder *but)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].wants && &p->v[i] != but)
            return true;
    return false;
}

/* Recalls the idle places of a holder, once. */
static void recall(struct places *p, struct place_holder *h, places_send *send, void *arg)
{
    if (!h->lent || h->recalled || h->afar)
        return;
    h->recalled = h->answer_due = true;
    send(arg, (unsigned)(h - p->v), 0, true, false);
}

/* Whether every place is with a worker that gives it back as soon as it is idle. */
static bool all_come_back(const struct places *p)
{
    bool all = p->elsewhere == 0 && !p->frozen;
    for (size_t i = 0; i < p->n; i++)
        all &= p->v[i].lent == 0 || (p->v[i].recalled && !p->v[i].afar);
    return all;
}

/* All workers are told that no place is unused. */
static void run_dry(struct places *p, places_send *send, void *arg)
{
    p->dry = true;
    for (size_t i = 0; i < p->n; i++)
        p->v[i].none_sent |= p->v[i].wants && !p->v[i].afar;
    send(arg, PLACES_ALL, 0, false, true);
}

/* All workers are told that there are unused places, and may keep theirs again. */
static void flow_again(struct places *p, places_send *send, void *arg)
{
    p->dry = false;
    for (size_t i = 0; i < p->n; i++) {
        p->v[i].recalled &= p->v[i].afar;
        p->v[i].none_sent = false;
    }
    send(arg, PLACES_ALL, 0, false, false);
}

/* No place is free: recalls idle places, and when all holders have answered, sends `none` to those
 * that wait, or to all. */
static void call_back(struct places *p, places_send *send, void *arg)
{
    bool due = false;
    for (size_t i = 0; i < p->n; i++) {
        struct place_holder *h = &p->v[i];
        if (wanted_by_another(p, h))
            recall(p, h, send, arg);
        due |= h->answer_due;
    }
    if (!due && !p->dry && all_come_back(p))
        run_dry(p, send, arg);
    for (size_t i = 0; i < p->n && !due; i++) {
        struct place_holder *h = &p->v[i];
        if (h->wants && !h->none_sent) {
            h->none_sent = true;
            send(arg, (unsigned)i, 0, false, true);
        }
    }
}

static void serve(struct places *p, places_send *send, void *arg)
{
    if (p->total == 0)
        return;
    uint64_t lent = places_lent(p);
    uint64_t most = p->frozen ? p->ceiling : limit_here(p);
    for (;;) {
        bool others;
        struct place_holder *h = next_in_turn(p, &others);
        if (!h)
            return;
        if (lent >= most)
            break;
        lent++;
        h->lent++;
        p->given += h->afar;
        h->wants = h->none_sent = false;
        /* the worker gives it back as soon as it is idle */
        h->recalled = others || p->dry || p->frozen || p->once;
        send(arg, (unsigned)(h - p->v), 1, h->recalled, false);
    }
    call_back(p, send, arg);
}

static void recall_all(struct places *p, places_send *send, void *arg)
{
    for (size_t i = 0; i < p->n; i++)
        recall(p, &p->v[i], send, arg);
}

/* Lends the places that have become free. While frozen, free places that no holder waits for are
 * lost. */
static void settle(struct places *p, places_send *send, void *arg)
{
    serve(p, send, arg);
    if (p->frozen)
        p->ceiling = places_lent(p);
    if (p->dry && places_lent(p) < limit_here(p))
        flow_again(p, send, arg);
    else if (p->dry)
        recall_all(p, send, arg); /* from who has reported more than was lent */
}

void places_limit(struct places *p, uint32_t total, places_send *send, void *arg)
{
    p->dry &= total == p->total; /* workers forget it with the old limit */
    p->total = total;
    if (total && places_lent(p) > limit_here(p))
        recall_all(p, send, arg);
    serve(p, send, arg);
}

void places_share(struct places *p, bool on, uint32_t block, places_send *send, void *arg)
{
    if (p->shared == on && p->block == block)
        return;
    p->shared = on;
    p->block = block;
    if (p->total && places_lent(p) > limit_here(p))
        recall_all(p, send, arg);
    settle(p, send, arg);
}

void places_recall(struct places *p, places_send *send, void *arg)
{
    recall_all(p, send, arg);
}

void places_once(struct places *p, bool on, places_send *send, void *arg)
{
    if (p->once == on)
        return;
    p->once = on;
    if (on)
        recall_all(p, send, arg);
}

bool places_recalling(const struct places *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].answer_due)
            return true;
    return false;
}

uint32_t places_waiting(const struct places *p)
{
    uint32_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += p->v[i].wants;
    return n;
}

/* Records that a holder waits for one more place since wanted_ms. */
static void want(struct place_holder *h, int64_t wanted_ms)
{
    if (!h->wants || wanted_ms < h->wanted_ms)
        h->wanted_ms = wanted_ms;
    h->wants = true;
    h->none_sent = false; /* a holder that requests again gets another answer */
}

bool places_update(struct places *p, unsigned slot, const struct places_report *r,
                   places_send *send, void *arg)
{
    struct place_holder *h = holder(p, slot);
    if (r->taken > TAKEN_MAX || h->lent > TAKEN_MAX || r->back > h->lent + r->taken)
        return false;
    h->lent += r->taken;
    h->lent -= r->back;
    if (r->answer)
        h->answer_due = false;
    if (r->wanted_ms > 0)
        want(h, r->wanted_ms);
    settle(p, send, arg);
    return true;
}

void places_gone(struct places *p, unsigned slot, places_send *send, void *arg)
{
    if (slot >= p->n)
        return;
    p->v[slot] = (struct place_holder){0};
    settle(p, send, arg);
}

void places_elsewhere(struct places *p, unsigned slot, uint32_t n, uint32_t got, places_send *send,
                      void *arg)
{
    p->elsewhere = n;
    if (slot < p->n && got <= p->given)
        p->v[slot].lent = p->given - got;
    settle(p, send, arg);
}

void places_wanted_elsewhere(struct places *p, unsigned slot, int64_t now_ms, places_send *send,
                             void *arg)
{
    struct place_holder *h = holder(p, slot);
    h->afar = true;
    want(h, now_ms);
    settle(p, send, arg);
}

void places_freeze(struct places *p, bool on, places_send *send, void *arg)
{
    if (p->dry)
        flow_again(p, send, arg);
    p->frozen = on;
    p->got = 0;
    p->ceiling = places_lent(p);
    if (on)
        recall_all(p, send, arg);
    serve(p, send, arg);
}

void places_granted(struct places *p, uint32_t n, places_send *send, void *arg)
{
    p->got += n;
    p->ceiling += n;
    settle(p, send, arg);
}

bool places_wanted(const struct places *p)
{
    bool others;
    return next_in_turn(p, &others) != NULL;
}
