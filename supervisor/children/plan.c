#include "supervisor/children/plan.h"

static const char *const why_text[] = {
    [PLAN_WHY_WANTED] = "is wanted",
    [PLAN_WHY_SURPLUS] = "is no longer wanted",
    [PLAN_WHY_STUCK] = "does not answer",
    [PLAN_WHY_UNACKED] = "does not take the configuration",
    [PLAN_WHY_OVERTIME] = "did not finish in time",
    [PLAN_WHY_STOP] = "is told to stop",
};

const char *plan_why_text(enum plan_why why)
{
    return (unsigned)why < COUNT_OF(why_text) ? why_text[why] : "?";
}

static void add(struct plan *p, enum plan_verb verb, size_t slot, enum plan_why why)
{
    p->v[p->n++] = (struct plan_action){.verb = verb, .slot = slot, .why = why};
}

static void wake_at(struct plan *p, int64_t at)
{
    if (p->next == -1 || at < p->next)
        p->next = at;
}

/* Whether the worker serves or is about to: SLOT_STARTING or SLOT_SERVING. */
static bool active(const struct plan_slot *s)
{
    return s->state == SLOT_STARTING || s->state == SLOT_SERVING;
}

static bool alive(const struct plan_slot *s)
{
    return active(s) || s->state == SLOT_RETIRING;
}

/* Kills a worker that must end whatever the intent is. True: the slot needs no other action. */
static bool kill_hopeless(const struct plan_slot *s, size_t i, int64_t now, struct plan *p)
{
    if (!alive(s))
        return true;
    if (s->missed >= PLAN_MISSED) {
        add(p, PLAN_KILL, i, PLAN_WHY_STUCK);
        return true;
    }
    if (active(s) && s->unacked >= PLAN_UNACKED) {
        add(p, PLAN_KILL, i, PLAN_WHY_UNACKED);
        return true;
    }
    if (s->state != SLOT_RETIRING)
        return false;
    if (now >= s->retire_by)
        add(p, PLAN_KILL, i, PLAN_WHY_OVERTIME);
    else
        wake_at(p, s->retire_by);
    return true;
}

/* Starts in the lowest empty slots: each has its own backoff, and a start does not evade one by
 * moving on to the next slot. */
static void start_missing(const struct plan_slot *s, size_t n, size_t missing, int64_t now,
                          struct plan *p)
{
    for (size_t i = 0; i < n && missing; i++) {
        if (s[i].state != SLOT_EMPTY)
            continue;
        if (now >= s[i].start_at)
            add(p, PLAN_START, i, PLAN_WHY_WANTED);
        else
            wake_at(p, s[i].start_at);
        missing--;
    }
}

static void serve(const struct plan_intent *in, const struct plan_slot *s, size_t n, int64_t now,
                  struct plan *p)
{
    size_t kept = 0, agreed = 0, ending = 0;
    for (size_t i = 0; i < n; i++) {
        if (kill_hopeless(&s[i], i, now, p)) {
            ending += active(&s[i]);
            continue;
        }
        if (kept == in->workers) {
            add(p, PLAN_RETIRE, i, PLAN_WHY_SURPLUS);
            continue;
        }
        kept++;
        agreed += s[i].state == SLOT_SERVING && s[i].gen == in->gen;
    }
    /* A worker that is being killed is replaced when it is reaped, in its own slot, so that its end
     * counts for that slot's backoff. */
    for (size_t i = 0; i < n; i++)
        ending += s[i].state == SLOT_KILLED;
    if (kept + ending < in->workers)
        start_missing(s, n, in->workers - kept - ending, now, p);
    if (agreed == in->workers && in->announced < in->gen)
        add(p, PLAN_ANNOUNCE, 0, PLAN_WHY_WANTED);
}

static void finish(const struct plan_slot *s, size_t n, int64_t now, bool at_once, struct plan *p)
{
    size_t left = 0;
    for (size_t i = 0; i < n; i++) {
        left += s[i].state != SLOT_EMPTY;
        if (at_once && alive(&s[i]))
            add(p, PLAN_KILL, i, PLAN_WHY_STOP);
        else if (!kill_hopeless(&s[i], i, now, p))
            add(p, PLAN_RETIRE, i, PLAN_WHY_STOP);
    }
    if (left == 0)
        add(p, PLAN_EXIT, 0, PLAN_WHY_STOP);
}

void plan_make(const struct plan_intent *in, const struct plan_slot *s, size_t n, int64_t now,
               struct plan *p)
{
    p->n = 0;
    p->next = -1;
    switch (in->want) {
    case PLAN_SERVE:
        serve(in, s, n, now, p);
        return;
    case PLAN_DRAIN:
        finish(s, n, now, false, p);
        return;
    case PLAN_STOP:
        finish(s, n, now, true, p);
        return;
    }
}
