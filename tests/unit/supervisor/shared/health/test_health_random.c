/* health with workers that do at random whatever they may: what is lent to one is nobody else's. */
#include "tests/unit/supervisor/shared/health/health_world.h"

/* ---- trials */

/* Workers of which each does with its trial whatever it may: begin it, give it back, die with it,
 * fail or succeed; what it says comes late. An operator and reloads change the endpoint meanwhile.
 */
enum { CROWD = 5 };

struct crowd {
    struct world *w;
    uint64_t has[CROWD], runs[CROWD]; /* seq of the trial that lies there, that is tried there */
    uint64_t back[CROWD];             /* seq of a trial that was there, TRIAL_BACK under way */
    uint64_t verifies[CROWD];         /* seq of the verification that runs there */
    bool verifies_as_trial[CROWD];
    bool closed[CROWD]; /* the breaker was closed since the trial there began */
    bool retires[CROWD];
    unsigned lent, verified;
};

/* Trials and verifications that are a trial, as many as are out. */
static unsigned out(const struct crowd *c)
{
    unsigned n = 0;
    for (int i = 0; i < CROWD; i++)
        n += (c->has[i] != 0) + (c->runs[i] != 0) + (c->back[i] != 0) +
             (c->verifies[i] && c->verifies_as_trial[i]);
    return n;
}

static void crowd_told(void *arg, int slot, chan_put_fn *put, const void *m)
{
    struct crowd *c = arg;
    if (put == ipc_put_v_trial) {
        const struct ipc_trial *t = m;
        if (!str_eq(t->endpoint, STR(A)))
            return;
        assert_int_equal(out(c), 0); /* nobody else has it */
        assert_in_range(slot, 0, CROWD - 1);
        c->has[slot] = t->seq;
        c->lent++;
    } else if (put == ipc_put_v_trial_recall) {
        const struct ipc_trial_recall *t = m;
        if (c->has[slot] == t->seq) {
            c->back[slot] = t->seq;
            c->has[slot] = 0;
        }
    } else if (put == ipc_put_v_verify) {
        const struct ipc_verify *v = m;
        if (!str_eq(v->endpoint, STR(A)))
            return;
        for (int i = 0; i < CROWD; i++)
            assert_true(c->verifies[i] == 0);
        assert_false(c->retires[slot]);
        c->verifies_as_trial[slot] = state(c->w, A)->verifying == EP_VERIFY_TRIAL;
        assert_true(!c->verifies_as_trial[slot] || out(c) == 0);
        c->verifies[slot] = v->seq;
        c->verified++;
    } else if (put == ipc_put_v_endpoint) {
        const struct ipc_endpoint *e = m;
        /* A closed breaker needs no trial: it goes back. */
        for (int i = 0; i < CROWD && e->breaker == BREAKER_CLOSED && str_eq(e->id, STR(A)); i++) {
            c->closed[i] = true;
            if (c->has[i]) {
                c->back[i] = c->has[i];
                c->has[i] = 0;
            }
        }
    }
}

static void crowd_begin(struct crowd *c, unsigned s)
{
    if (!c->has[s])
        return;
    c->runs[s] = c->has[s];
    c->has[s] = 0;
    c->closed[s] = false;
    health_trial_begun(&c->w->h, s, STR(A), c->runs[s], c->w->now);
}

static void crowd_back(struct crowd *c, unsigned s, uint64_t *seq)
{
    uint64_t was = *seq;
    *seq = 0;
    if (was)
        health_trial_back(&c->w->h, s, STR(A), was, c->w->now);
}

static void crowd_end(struct crowd *c, unsigned s, bool good)
{
    static const enum outcome bad[] = {OUTCOME_TRANSIENT, OUTCOME_UNKNOWN, OUTCOME_RATE_LIMIT,
                                       OUTCOME_AUTH, OUTCOME_PERMANENT};
    uint64_t seq = c->runs[s];
    c->runs[s] = 0;
    if (seq)
        outcome(c->w, s, A, good ? OUTCOME_OK : bad[(size_t)rand() % COUNT_OF(bad)], seq);
}

static void crowd_verdict(struct crowd *c, unsigned s, bool good)
{
    c->w->seq = c->verifies[s];
    c->verifies[s] = 0;
    if (c->w->seq)
        verdict(c->w, s, A, good);
}

static void crowd_operator(struct crowd *c)
{
    struct world *w = c->w;
    enum ep_action a = (enum ep_action)(rand() % EP_ACTION__COUNT);
    health_operator(&w->h, health_find(&w->h, rand() % 4 ? STR(A) : STR(B)), a, NULL, w->now);
}

static void crowd_reload(struct crowd *c)
{
    struct world *w = c->w;
    w->c->failure_queue.probe = rand() % 2 ? PROBE_OFF : PROBE_CONVERSATIONAL;
    w->c->endpoints[0].enabled = rand() % 4 != 0;
    health_conf(&w->h, w->c, w->now);
    health_send_all(&w->h, HEALTH_ALL, w->now);
}

static void crowd_slot(struct crowd *c, unsigned s)
{
    struct world *w = c->w;
    if (rand() % 2 && !c->retires[s]) {
        c->retires[s] = true;
        health_slot_retires(&w->h, s);
        return;
    }
    c->has[s] = c->runs[s] = c->back[s] = c->verifies[s] = 0;
    c->retires[s] = false;
    health_slot_gone(&w->h, s, w->now);
    health_slot_up(&w->h, s);
}

static void crowd_step(struct crowd *c)
{
    struct world *w = c->w;
    unsigned s = (unsigned)rand() % CROWD;
    switch (rand() % 20) {
    case 0:
    case 1:
    case 2:
        crowd_begin(c, s);
        break;
    case 3:
    case 4:
        crowd_end(c, s, rand() % 4 == 0);
        break;
    case 5:
        crowd_back(c, s, &c->runs[s]);
        break;
    case 6:
    case 7:
    case 8:
        crowd_back(c, s, &c->back[s]);
        break;
    case 9:
    case 10:
        health_trial_ask(&w->h, s, STR(A), (struct str){0});
        break;
    case 11:
        crowd_slot(c, s);
        break;
    case 12:
        outcome(w, s, A, rand() % 8 ? OUTCOME_TRANSIENT : OUTCOME_UNKNOWN, 0);
        break;
    case 13:
    case 14:
        crowd_verdict(c, s, rand() % 3 == 0);
        break;
    case 15:
        if (rand() % 3 == 0)
            crowd_operator(c);
        break;
    case 16:
        if (rand() % 5 == 0)
            crowd_reload(c);
        break;
    default:
        w->now += rand() % 4 ? rand() % 100 : rand() % 30000;
        break;
    }
    health_run(&w->h, w->now);
    assert_true(out(c) <= 1);
    /* Its verdict will count, and workers know that it runs. */
    for (unsigned i = 0; i < CROWD; i++)
        assert_true(!c->runs[i] || c->closed[i] ||
                    state(w, A)->breaker.trial == BREAKER_TRIAL_RUNNING);
}

/* From here on all ends well: no trial has got lost on the way, the endpoint comes back. */
static void crowd_recovers(struct crowd *c)
{
    struct world *w = c->w;
    for (unsigned s = 0; s < CROWD; s++)
        if (c->retires[s])
            crowd_slot(c, s);
    w->c->endpoints[0].enabled = true;
    health_conf(&w->h, w->c, w->now);
    health_operator(&w->h, health_find(&w->h, STR(A)), EP_ACT_ENABLE, NULL, w->now);
    for (int step = 0; step < 1200; step++) {
        for (unsigned s = 0; s < CROWD; s++) {
            crowd_begin(c, s);
            crowd_end(c, s, true);
            crowd_back(c, s, &c->back[s]);
            crowd_verdict(c, s, true);
        }
        at(w, 1000);
    }
    assert_int_equal(state(w, A)->breaker.state, BREAKER_CLOSED);
    assert_false(ep_queued(state(w, A)));
    assert_int_equal(out(c), 0);
}

static void at_most_one_trial_at_random(void **unused)
{
    (void)unused;
    unsigned closed = 0, lent = 0, verified = 0;
    for (unsigned seed = 1; seed <= 200; seed++) {
        srand(seed);
        struct crowd c = {.w = world(CROWD, 0)};
        c.w->h.send = crowd_told;
        c.w->h.arg = &c;
        for (int step = 0; step < 3000; step++) {
            bool was = state(c.w, A)->breaker.state == BREAKER_HALF_OPEN;
            crowd_step(&c);
            closed += was && state(c.w, A)->breaker.state == BREAKER_CLOSED;
        }
        lent += c.lent;
        verified += c.verified;
        crowd_recovers(&c);
        end(c.w);
    }
    assert_true(closed > 100 && lent > 1000 && verified > 1000); /* the world did turn */
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
        health_operator(&w->h, e, a, NULL, w->now);
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
