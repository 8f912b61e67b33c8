#include "common/policy/endpoint/failq.h"

/* The pause after so many failed verifications. */
static int64_t pause_after(const struct failq_conf *c, uint32_t verifications)
{
    if (c->probe_off)
        return c->verify_ms;
    int64_t ms = verifications <= 1 ? 5000 : verifications == 2 ? 15000 : c->verify_ms;
    return ms < c->verify_ms ? ms : c->verify_ms;
}

static int64_t disabled_pause(const struct failq_conf *c, int64_t now_ms)
{
    return c->verify_disabled_ms > 0 ? now_ms + c->verify_disabled_ms : INT64_MAX;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

bool failq_enter(struct failq *f, const struct failq_conf *c, int64_t now_ms)
{
    if (f->kind == FAILQ_QUEUED)
        return false;
    bool goes_on = f->kind == FAILQ_OUT && f->verifications > 0 && !c->probe_off &&
                   now_ms - f->since_ms < c->verify_ms;
    struct failq in = {
        .kind = FAILQ_QUEUED,
        .since_ms = now_ms,
        .next_ms = c->probe_off ? now_ms + c->verify_ms : now_ms,
    };
    if (goes_on) {
        in.verifications = f->verifications;
        in.next_ms = least(f->next_ms, now_ms + c->verify_ms);
    }
    *f = in;
    return true;
}

void failq_disable(struct failq *f, const struct failq_conf *c, int64_t now_ms)
{
    if (f->kind != FAILQ_DISABLED)
        *f = (struct failq){
            .kind = FAILQ_DISABLED, .since_ms = now_ms, .next_ms = disabled_pause(c, now_ms)};
}

bool failq_due(const struct failq *f, const struct failq_conf *c, int64_t now_ms)
{
    return f->kind != FAILQ_OUT && !f->running && !c->probe_off && now_ms >= f->next_ms;
}

bool failq_released(const struct failq *f, const struct failq_conf *c, int64_t now_ms)
{
    return f->kind != FAILQ_OUT && !f->running && c->probe_off && now_ms >= f->next_ms;
}

void failq_began(struct failq *f)
{
    f->running = f->kind != FAILQ_OUT;
}

/* Schedules the next verification, after the pause that follows f->verifications failed ones. */
static void again(struct failq *f, const struct failq_conf *c, int64_t now_ms)
{
    f->running = false;
    f->next_ms = f->kind == FAILQ_DISABLED ? disabled_pause(c, now_ms)
                                           : now_ms + pause_after(c, f->verifications);
}

/* Counts a verification that has ended, however it ended, and schedules the next one. */
static void ended(struct failq *f, const struct failq_conf *c, int64_t now_ms)
{
    if (f->kind == FAILQ_OUT)
        return;
    if (f->verifications < UINT32_MAX)
        f->verifications++;
    again(f, c, now_ms);
}

void failq_passed(struct failq *f, const struct failq_conf *c, int64_t now_ms)
{
    ended(f, c, now_ms);
}

void failq_failed(struct failq *f, const struct failq_conf *c, int64_t now_ms)
{
    ended(f, c, now_ms);
}

bool failq_leave(struct failq *f, const struct failq_conf *c, int64_t now_ms)
{
    bool was = f->kind == FAILQ_QUEUED;
    if (was && f->running)
        ended(f, c, now_ms); /* its verdict comes too late to count */
    if (was) {
        f->kind = FAILQ_OUT;
        f->since_ms = now_ms;
    } else if (f->kind == FAILQ_DISABLED) {
        failq_forget(f);
    }
    return was;
}

void failq_forget(struct failq *f)
{
    *f = (struct failq){0};
}

void failq_lost(struct failq *f, const struct failq_conf *c, int64_t now_ms)
{
    if (f->kind == FAILQ_OUT || !f->running)
        return;
    f->running = false;
    int64_t ms = pause_after(c, 1);
    f->next_ms = now_ms + (ms > FAILQ_LOST_MS ? ms : FAILQ_LOST_MS);
}

void failq_hurry(struct failq *f, int64_t now_ms)
{
    if (f->kind != FAILQ_OUT && !f->running)
        f->next_ms = now_ms;
}

void failq_reconf(struct failq *f, const struct failq_conf *c, int64_t now_ms)
{
    if (f->kind == FAILQ_OUT || f->running)
        return;
    int64_t limit = f->kind == FAILQ_DISABLED ? disabled_pause(c, now_ms) : now_ms + c->verify_ms;
    /* also from never (INT64_MAX) to a time, and from a time to never */
    if (f->next_ms > limit || limit == INT64_MAX)
        f->next_ms = limit;
}

int64_t failq_next_ms(const struct failq *f)
{
    return f->kind != FAILQ_OUT && !f->running ? f->next_ms : INT64_MAX;
}
