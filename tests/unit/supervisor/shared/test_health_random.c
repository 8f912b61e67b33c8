/* health with workers that do at random whatever they may: what is lent to one is nobody else's. */
#include "tests/unit/supervisor/shared/health_world.h"

/* ---- trials */

/* Workers of which each does with its trial whatever it may: begin it, give it back, die with it,
 * fail or succeed; what it says comes late. */
enum { CROWD = 5 };

struct crowd {
    struct world *w;
    uint64_t has[CROWD], runs[CROWD]; /* seq of the trial that lies there, that is tried there */
    uint64_t recall[CROWD];           /* heard, not yet answered */
};

static void crowd_told(void *arg, int slot, chan_put_fn *put, const void *m)
{
    struct crowd *c = arg;
    if (put == ipc_put_v_trial) {
        unsigned out = 0;
        for (int i = 0; i < CROWD; i++)
            out += c->has[i] != 0 || c->runs[i] != 0;
        assert_int_equal(out, 0); /* nobody else has it */
        assert_in_range(slot, 0, CROWD - 1);
        c->has[slot] = ((const struct ipc_trial *)m)->seq;
    } else if (put == ipc_put_v_trial_recall) {
        c->recall[slot] = ((const struct ipc_trial_recall *)m)->seq;
    } else if (put == ipc_put_v_verify) {
        for (int i = 0; i < CROWD; i++)
            assert_true(c->runs[i] == 0);
        c->w->seq = ((const struct ipc_verify *)m)->seq;
    } else if (put == ipc_put_v_endpoint) {
        const struct ipc_endpoint *e = m;
        /* What the policy has closed is no longer to be tried. */
        for (int i = 0; i < CROWD && e->breaker == BREAKER_CLOSED && str_eq(e->id, STR(A)); i++)
            c->has[i] = 0;
    }
}

static void crowd_step(struct crowd *c)
{
    struct world *w = c->w;
    unsigned s = (unsigned)rand() % CROWD;
    switch (rand() % 12) {
    case 0:
    case 1:
    case 2:
        if (c->has[s]) {
            c->runs[s] = c->has[s];
            c->has[s] = 0;
            health_trial_begun(&w->h, s, STR(A), c->runs[s], w->now);
        }
        break;
    case 3:
        if (c->runs[s]) {
            uint64_t seq = c->runs[s];
            c->runs[s] = 0;
            outcome(w, s, A, rand() % 4 ? OUTCOME_TRANSIENT : OUTCOME_OK, seq);
        }
        break;
    case 4:
        if (c->runs[s]) {
            uint64_t seq = c->runs[s];
            c->runs[s] = 0;
            health_trial_back(&w->h, s, STR(A), seq, w->now);
        }
        break;
    case 5:
    case 6:
        if (c->recall[s] && c->recall[s] == c->has[s]) {
            c->has[s] = 0;
            health_trial_back(&w->h, s, STR(A), c->recall[s], w->now);
        }
        c->recall[s] = 0;
        break;
    case 7:
        health_trial_ask(&w->h, s, STR(A));
        break;
    case 8:
        c->has[s] = c->runs[s] = c->recall[s] = 0;
        health_slot_gone(&w->h, s, w->now);
        health_slot_up(&w->h, s);
        break;
    case 9:
        outcome(w, s, A, OUTCOME_TRANSIENT, 0);
        break;
    case 10: {
        int slot = health_find(&w->h, STR(A))->verify_slot;
        if (slot >= 0)
            verdict(w, (unsigned)slot, A, rand() % 3 == 0);
        break;
    }
    default:
        w->now += rand() % 4 ? rand() % 100 : rand() % 30000;
        break;
    }
    health_run(&w->h, w->now);
}

static void at_most_one_trial_at_random(void **unused)
{
    (void)unused;
    unsigned closed = 0, begun = 0;
    for (unsigned seed = 1; seed <= 100; seed++) {
        srand(seed);
        struct crowd c = {.w = world(CROWD, 0)};
        c.w->h.send = crowd_told;
        c.w->h.arg = &c;
        for (int step = 0; step < 2000; step++) {
            bool was = state(c.w, A)->breaker.state == BREAKER_HALF_OPEN;
            crowd_step(&c);
            closed += was && state(c.w, A)->breaker.state == BREAKER_CLOSED;
            unsigned running = 0;
            for (int i = 0; i < CROWD; i++)
                running += c.runs[i] != 0;
            assert_true(running <= 1);
            assert_true(!running || state(c.w, A)->breaker.trial == BREAKER_TRIAL_RUNNING);
            begun += running;
        }
        end(c.w);
    }
    assert_true(closed > 100 && begun > 1000); /* the world did turn */
}

/* ---- places */

/* Workers that ask, use and give back at random: never more than the limit, and everybody who wants
 * one gets one in the end. */
static void places_at_random(void **unused)
{
    (void)unused;
    enum { N = 4 };
    for (unsigned seed = 1; seed <= 200; seed++) {
        srand(seed);
        uint32_t limit = 1 + (uint32_t)rand() % 3;
        struct world *w = world(N, limit);
        for (int step = 0; step < 300; step++) {
            unsigned s = (unsigned)rand() % N;
            const struct places *p = &w->h.v[0].places;
            uint64_t lent = places_lent(p);
            assert_true(lent <= limit);
            uint32_t has = s < p->n ? p->v[s].lent : 0;
            switch (rand() % 4) {
            case 0:
                places(w, s, 0, true, false);
                break;
            case 1:
                places(w, s, has ? 1 : 0, false, false);
                break;
            case 2:
                places(w, s, 0, false, true);
                break;
            default:
                if (rand() % 20 == 0) {
                    health_slot_gone(&w->h, s, w->now);
                    health_slot_up(&w->h, s);
                }
                break;
            }
        }
        for (int turn = 0; turn < 4 * N; turn++)
            for (unsigned s = 0; s < N && s < w->h.v[0].places.n; s++)
                places(w, s, w->h.v[0].places.v[s].lent, false, true);
        for (unsigned s = 0; s < w->h.v[0].places.n; s++)
            assert_false(w->h.v[0].places.v[s].wants);
        assert_true(places_lent(&w->h.v[0].places) <= limit);
        end(w);
    }
}

/* ---- reach */

enum { ENDPOINTS = 4, MODELS = 4 };

static const char *const models[MODELS] = {"a-1", "a-2", "b-1", "c"};

static char ids[ENDPOINTS][9];

static struct world *four(void)
{
    struct world *w = world(2, 0);
    struct conf *c = conf_new();
    for (int i = 0; i < ENDPOINTS; i++) {
        snprintf(ids[i], sizeof ids[i], "%08x", 0xabc0 + (unsigned)i);
        add(c, ids[i], ids[i], 0);
    }
    health_conf(&w->h, c, w->now);
    conf_unref(w->c);
    w->c = c;
    health_run(&w->h, w->now);
    return w;
}

static struct ipc_outcome random_outcome(const struct world *w, const char *id)
{
    struct ipc_outcome o = {.endpoint = str_c(id),
                            .cls = (uint32_t)rand() % OUTCOME__COUNT,
                            .fault = FAULT_ENDPOINT,
                            .retry_after_ms = rand() % 2 ? rand() % 20000 : -1,
                            .began_ms = w->now - rand() % 100,
                            .left = true,
                            .own_key = rand() % 8 == 0,
                            .overruled = rand() % 2,
                            .reason = STR("made up")};
    if (o.cls == OUTCOME_OK) {
        o.fault = FAULT_NONE;
        o.overruled = false;
    }
    return o;
}

static void reach_step(struct world *w)
{
    int i = rand() % ENDPOINTS;
    struct health_endpoint *e = health_find(&w->h, str_c(ids[i]));
    int dice = rand() % 100;
    if (dice < 50) {
        struct ipc_outcome o = random_outcome(w, ids[i]);
        assert_true(health_outcome(&w->h, (unsigned)rand() % 2, &o, w->now));
    } else if (dice < 70 && e->verify_slot >= 0) {
        w->seq = e->verify_seq;
        verdict(w, (unsigned)e->verify_slot, ids[i], rand() % 4 == 0);
    } else if (dice < 78) {
        enum ep_action a = (enum ep_action)(rand() % EP_ACTION__COUNT);
        health_operator(&w->h, e, a, w->now);
    } else if (dice < 80) {
        bool all = rand() % 2;
        for (size_t k = 0; k < ENDPOINTS; k++)
            w->c->endpoints[k].enabled = all || rand() % 3;
        health_conf(&w->h, w->c, w->now);
    } else if (dice < 84) {
        health_slot_gone(&w->h, (unsigned)rand() % 2, w->now);
        health_slot_up(&w->h, 0);
        health_slot_up(&w->h, 1);
    } else {
        /* As the loop does: never later than it was asked to. */
        int64_t next = health_next(&w->h),
                to = w->now + (rand() % 4 ? rand() % 500 : rand() % 30000);
        w->now = next > w->now && next < to ? next : to;
        if (next > w->now)
            return; /* nobody looks: nothing may have changed */
    }
    health_run(&w->h, w->now);
}

/* What the endpoint allows from now on: at most two patterns, mostly none. */
static void allow_at_random(struct conf_endpoint *e)
{
    static const char *const patterns[] = {"a-*", "a-1", "a-2", "b-*", "c", "*"};
    for (size_t i = 0; i < e->allow.n; i++)
        mem_free(e->allow.v[i]);
    e->allow.n = (size_t)(rand() % 3);
    e->allow.v = mem_realloc(e->allow.v, 2, sizeof *e->allow.v);
    for (size_t i = 0; i < e->allow.n; i++)
        e->allow.v[i] = mem_strdup(patterns[(size_t)rand() % COUNT_OF(patterns)]);
}

static bool allows(const struct conf_endpoint *e, const char *model)
{
    bool any = e->allow.n == 0;
    for (size_t i = 0; i < e->allow.n; i++)
        any |= str_glob(str_c(e->allow.v[i]), str_c(model));
    return any;
}

/* A request for that model finds somebody whenever that is possible at all. Returns how many of
 * those it may ask are queued. */
static unsigned look_for(struct world *w, const char *model)
{
    bool possible = false, found = false;
    unsigned queued = 0;
    for (int i = 0; i < ENDPOINTS; i++) {
        const struct health_endpoint *e = health_find(&w->h, str_c(ids[i]));
        const struct ep_state *s = &e->state;
        if (!allows(&w->c->endpoints[i], model))
            continue;
        bool open = !s->draining && s->cooldown.own_until_ms <= w->now;
        bool may = !e->sent.disabled && !e->sent.queued && !e->sent.draining &&
                   e->sent.own_until_ms <= w->now;
        possible |= ep_enabled(s) && open;
        found |= may;
        queued += may && ep_queued(s);
    }
    assert_int_equal(possible, found);
    return queued;
}

/* With models, that are not offered everywhere. */
static void somebody_is_in_reach_for_each_model_at_random(void **unused)
{
    (void)unused;
    unsigned reached = 0, spared = 0, hidden = 0;
    for (unsigned seed = 1; seed <= 150; seed++) {
        srand(seed);
        struct world *w = four();
        for (int step = 0; step < 1500; step++) {
            if (step % 300 == 0) {
                for (int i = 0; i < ENDPOINTS; i++)
                    allow_at_random(&w->c->endpoints[i]);
                health_conf(&w->h, w->c, w->now);
                health_run(&w->h, w->now);
            }
            reach_step(w);
            for (int m = 0; m < MODELS; m++)
                reached += look_for(w, models[m]);
            bool usable = false;
            for (int i = 0; i < ENDPOINTS; i++)
                usable |= ep_usable(state(w, ids[i]), w->now);
            for (int i = 0; i < ENDPOINTS && usable; i++) {
                const struct health_endpoint *e = health_find(&w->h, str_c(ids[i]));
                spared += e->state.health == EP_UNHEALTHY && !ep_queued(&e->state);
                hidden += e->sent.queued;
            }
        }
        end(w);
    }
    assert_true(reached > 1000 && spared > 1000 && hidden > 1000);
}

/* As the workers see it: a request finds somebody whenever that is possible at all, and nobody who
 * is queued while another can serve. */
static void somebody_is_in_reach_at_random(void **unused)
{
    (void)unused;
    unsigned reached = 0, hidden = 0;
    for (unsigned seed = 1; seed <= 150; seed++) {
        srand(seed);
        struct world *w = four();
        for (int step = 0; step < 1500; step++) {
            reach_step(w);
            bool possible = false, found = false, usable = false;
            for (int i = 0; i < ENDPOINTS; i++) {
                const struct health_endpoint *e = health_find(&w->h, str_c(ids[i]));
                const struct ep_state *s = &e->state;
                bool cools = s->cooldown.own_until_ms > w->now;
                bool open = !s->draining && !cools;
                possible |= ep_enabled(s) && open;
                found |= !e->sent.disabled && !e->sent.queued && !e->sent.draining &&
                         e->sent.own_until_ms <= w->now;
                usable |=
                    ep_enabled(s) && open && !ep_queued(s) && s->breaker.state == BREAKER_CLOSED;
            }
            assert_int_equal(possible, found);
            for (int i = 0; i < ENDPOINTS; i++) {
                const struct health_endpoint *e = health_find(&w->h, str_c(ids[i]));
                if (!ep_queued(&e->state) || !ep_enabled(&e->state))
                    continue;
                assert_int_equal(e->sent.queued, usable);
                reached += !usable;
                hidden += usable;
            }
        }
        end(w);
    }
    assert_true(reached > 1000 && hidden > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_most_one_trial_at_random),
        cmocka_unit_test(places_at_random),
        cmocka_unit_test(somebody_is_in_reach_at_random),
        cmocka_unit_test(somebody_is_in_reach_for_each_model_at_random),
    };
    log_setup(LOG_L_ERROR, LOG_F_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
