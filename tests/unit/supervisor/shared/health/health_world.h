/* health_world: a supervisor's health with simulated workers: what is said to them is kept as lines
 * of text. For the tests of health. */
#ifndef QCC_TESTS_HEALTH_WORLD_H
#define QCC_TESTS_HEALTH_WORLD_H

#include "supervisor/shared/health/health.h"

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define A "aaaaaaaa"
#define B "bbbbbbbb"

struct world {
    struct health h;
    struct conf *c;
    struct buf said;          /* "2 TRIAL aaaaaaaa", "* ENDPOINT aaaaaaaa", one line each */
    struct ipc_endpoint seen; /* the last ENDPOINT */
    int seen_by;              /* to whom */
    struct ipc_cell cell;     /* the last CELL */
    size_t names;             /* in the last MODELS */
    bool asks_family;         /* the last VERIFY was of a cell */
    uint64_t seq;             /* of the last TRIAL, TRIAL_RECALL or VERIFY */
    int64_t now;
    int64_t wants; /* PLACES.wanted_ms of the last place that was wanted */
};

static inline void say(struct world *w, int slot, const char *what, struct str id, int n)
{
    char who[12] = "*";
    if (slot >= 0)
        snprintf(who, sizeof who, "%d", slot);
    assert_true(buf_printf(&w->said, "%s %s " STR_FMT, who, what, STR_ARG(id)));
    if (n >= 0)
        assert_true(buf_printf(&w->said, " %d", n));
    assert_true(buf_str(&w->said, STR("\n")));
}

/* of: the cell or model that it concerns; empty: not told. */
static inline void say_of(struct world *w, int slot, const char *what, struct str id, struct str of)
{
    char text[400];
    snprintf(text, sizeof text, STR_FMT "%s" STR_FMT, STR_ARG(id), of.n ? " " : "", STR_ARG(of));
    say(w, slot, what, str_c(text), -1);
}

static inline void told(void *arg, int slot, chan_put_fn *put, const void *m)
{
    struct world *w = arg;
    if (put == ipc_put_v_endpoint) {
        w->seen = *(const struct ipc_endpoint *)m;
        w->seen_by = slot;
        return; /* each test looks at what it says, not how often it is said */
    }
    if (put == ipc_put_v_cell) {
        const struct ipc_cell *c = m;
        w->cell = *c;
        return;
    }
    if (put == ipc_put_v_models) {
        w->names = ((const struct ipc_models *)m)->names.n / 8;
        return;
    }
    if (put == ipc_put_v_trial) {
        const struct ipc_trial *t = m;
        w->seq = t->seq;
        say_of(w, slot, "TRIAL", t->endpoint, t->family);
    } else if (put == ipc_put_v_trial_recall) {
        const struct ipc_trial_recall *t = m;
        w->seq = t->seq;
        say_of(w, slot, "RECALL", t->endpoint, t->family);
    } else if (put == ipc_put_v_verify) {
        const struct ipc_verify *v = m;
        w->seq = v->seq;
        w->asks_family = v->family.n > 0;
        say_of(w, slot, "VERIFY", v->endpoint, v->family.n ? v->family : v->model);
    } else if (put == ipc_put_v_lend) {
        const struct ipc_lend *l = m;
        say(w, slot,
            l->none     ? "NONE"
            : l->n      ? "LEND"
            : l->recall ? "GIVE"
                        : "SOME",
            l->endpoint, (int)l->n);
    } else if (put == ipc_put_v_asked) {
        const struct ipc_asked *a = m;
        say(w, slot, "ASKED", a->model, -1);
    } else {
        fail();
    }
}

static inline void add(struct conf *c, const char *id, const char *name, uint32_t most)
{
    struct conf_endpoint *e = conf_add_endpoint(c);
    mem_free(e->name);
    e->name = mem_strdup(name);
    memcpy(e->id, id, 9);
    e->max_concurrent = most;
}

static inline struct world *world(int workers, uint32_t most)
{
    struct world *w = mem_zalloc(1, sizeof *w);
    buf_init(&w->said, 1 << 20);
    w->now = 1000000;
    w->c = conf_new();
    add(w->c, A, "a", most);
    add(w->c, B, "b", 0);
    health_init(&w->h, told, w);
    health_conf(&w->h, w->c, w->now);
    for (int i = 0; i < workers; i++)
        health_slot_up(&w->h, (unsigned)i);
    health_run(&w->h, w->now);
    return w;
}

static inline void end(struct world *w)
{
    health_fini(&w->h);
    conf_unref(w->c);
    buf_free(&w->said);
    mem_free(w);
}

static inline struct world *at(struct world *w, int64_t ms)
{
    w->now += ms;
    health_run(&w->h, w->now);
    return w;
}

/* What was said since the last look. */
static inline void expect_said(struct world *w, const char *text)
{
    char got[2000];
    assert_true(w->said.len < sizeof got);
    if (w->said.len)
        memcpy(got, buf_data(&w->said), w->said.len);
    got[w->said.len] = '\0';
    buf_drop(&w->said, w->said.len);
    assert_string_equal(got, text);
}

static inline const struct ep_state *state(const struct world *w, const char *id)
{
    struct health_endpoint *e = health_find(&w->h, str_c(id));
    assert_non_null(e);
    return &e->state;
}

static inline void outcome(struct world *w, unsigned slot, const char *id, enum outcome cls,
                           uint64_t trial)
{
    struct ipc_outcome o = {.endpoint = str_c(id),
                            .cls = cls,
                            .fault = cls == OUTCOME_OK ? FAULT_NONE : FAULT_ENDPOINT,
                            .retry_after_ms = -1,
                            .began_ms = w->now,
                            .left = true,
                            .own_key = true,
                            .trial = trial,
                            .reason = cls == OUTCOME_OK ? STR("") : STR("made up")};
    if (cls == OUTCOME_TRANSIENT)
        o.net = NET_REFUSED;
    assert_true(health_outcome(&w->h, slot, &o, w->now));
    health_run(&w->h, w->now);
}

static inline void verdict(struct world *w, unsigned slot, const char *id, bool ok)
{
    struct ipc_verdict v = {.endpoint = str_c(id),
                            .seq = w->seq,
                            .ok = ok,
                            .cls = ok ? OUTCOME_OK : OUTCOME_TRANSIENT,
                            .fault = ok ? FAULT_NONE : FAULT_ENDPOINT,
                            .retry_after_ms = -1,
                            .own_key = true,
                            .reason = STR("made up")};
    assert_true(health_verdict(&w->h, slot, &v, w->now));
    health_run(&w->h, w->now);
}

static inline void places(struct world *w, unsigned slot, uint32_t back, bool want, bool answer)
{
    struct ipc_places p = {
        .endpoint = STR(A), .back = back, .wanted_ms = want ? ++w->wants : 0, .answer = answer};
    assert_true(health_places(&w->h, slot, &p));
}

/* A world in which endpoint A has a breaker that is half open now. */
static inline struct world *half_open(int workers)
{
    struct world *w = world(workers, 0);
    for (int i = 0; i < 3; i++)
        outcome(w, 0, A, OUTCOME_TRANSIENT, 0);
    at(w, 59999);
    expect_said(w, "");
    at(w, 1);
    return w;
}

#endif
