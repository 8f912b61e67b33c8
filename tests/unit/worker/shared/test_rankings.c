/* No message, loan or end of a cooldown leaves an endpoint in a wrong place. */
#include "worker/shared/rankings.h"

#include "common/conf/conf.h"
#include "common/secret/rnd.h"
#include "worker/loop/turn.h"
#include "worker/loop/uplink.h"
#include "worker/shared/loan.h"
#include "worker/shared/replica.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { EPS = 20 };

static const char *const models[] = {"claude-opus-4-8", "claude-haiku-4-5", "glm-4.6"};
static const char *const families[] = {"opus", "haiku", "glm-4-6", "other"};

struct world {
    struct rnd rnd;
    struct ev_loop *loop;
    struct turn turn;
    struct uplink uplink;
    struct dialer *dialer;
    struct conf *conf;
    struct replica replica;
    struct loans loans;
    struct rankings rankings;
    int64_t now_ms;
    uint64_t seq;
};

static uint64_t below(struct world *w, uint64_t n)
{
    return rnd_next(&w->rnd) % n;
}

static void no_room(void *arg)
{
    (void)arg;
}

/* A configuration of n endpoints; the rankings are of it from now on. */
static void configure(struct world *w, size_t n)
{
    struct err e;
    struct conf *c = conf_new();
    c->balance.strategy = (enum conf_strategy)below(w, SEL_STRATEGY__COUNT);
    for (size_t i = 0; i < n; i++) {
        struct conf_endpoint *ce = conf_add_endpoint(c);
        ce->weight = (uint32_t)below(w, 4) * 50;
        ce->priority = 1 + (uint32_t)below(w, 2);
        ce->max_concurrent = below(w, 3) ? 0 : 2;
        snprintf(ce->id, sizeof ce->id, "%08zx", 0x1000 + i * 77 % 1000);
        ce->name = strdup(ce->id);
        ce->host = strdup("127.0.0.1");
        ce->port = 1;
    }
    loan_before_conf(&w->loans, c);
    assert_true(replica_configure(&w->replica, c, w->loop, w->dialer, no_room, NULL, &e));
    rankings_free(&w->rankings);
    loan_after_conf(&w->loans);
    conf_unref(w->conf);
    w->conf = c;
}

static int begin(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    *state = w;
    w->rnd = (struct rnd){{21, 22}};
    w->loop = ev_default_loop(EVFLAG_AUTO);
    turn_init(&w->turn, w->loop);
    w->uplink.loop = w->loop;
    w->uplink.chan.fd = -1;
    w->dialer = dialer_new(w->loop);
    w->loans = (struct loans){.replica = &w->replica, .uplink = &w->uplink, .turn = &w->turn};
    w->rankings = (struct rankings){.replica = &w->replica, .loans = &w->loans};
    w->now_ms = 1000000;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    rankings_free(&w->rankings);
    replica_free(&w->replica);
    dialer_free(w->dialer);
    conf_unref(w->conf);
    turn_fini(&w->turn);
    free(w);
    return 0;
}

/* ---- what happens at one endpoint */

static int64_t soon(struct world *w)
{
    return below(w, 2) ? w->now_ms + 1 + (int64_t)below(w, 300) : 0;
}

static void endpoint_message(struct world *w, struct ep *e)
{
    struct ipc_endpoint m = {
        .id = str_c(e->ce->id),
        .health = (uint32_t)below(w, EP_HEALTH__COUNT),
        .breaker = below(w, 3) ? BREAKER_CLOSED : (uint32_t)below(w, BREAKER__COUNT),
        .trial_busy = below(w, 4) == 0,
        .queued = below(w, 6) == 0,
        .draining = below(w, 6) == 0,
        .disabled = below(w, 8) ? EP_ENABLED : EP_BY_OPERATOR,
        .cooldown_until_ms = soon(w),
        .own_until_ms = below(w, 3) ? 0 : soon(w),
    };
    struct ep_live *l = replica_update(&w->replica, &m);
    assert_ptr_equal(l, e->live);
    loan_on_endpoint(&w->loans, l);
}

static void cell_message(struct world *w, struct ep *e)
{
    struct ipc_cell m = {
        .endpoint = str_c(e->ce->id),
        .family = str_c(families[below(w, 4)]),
        .breaker = below(w, 3) ? BREAKER_CLOSED : (uint32_t)below(w, BREAKER__COUNT),
        .degraded = below(w, 2),
        .success_wanted = below(w, 2),
        .cooldown_until_ms = soon(w),
        .own_until_ms = below(w, 3) ? 0 : soon(w),
    };
    uint64_t gone;
    struct ep_live *l = replica_update_cell(&w->replica, &m, &gone);
    loan_on_cell(&w->loans, l, m.family, gone);
}

static void models_message(struct world *w, struct ep *e)
{
    uint64_t served[] = {model_hash(STR("opus")), model_hash(STR("glm-4-6"))};
    size_t n = below(w, 3);
    struct ipc_models m = {.endpoint = str_c(e->ce->id),
                           .families = str_make((const char *)served, n * sizeof *served)};
    replica_update_models(&w->replica, &m);
}

static void trial_message(struct world *w, struct ep *e)
{
    struct ipc_trial m = {.endpoint = str_c(e->ce->id),
                          .family = below(w, 2) ? STR("") : str_c(families[below(w, 4)]),
                          .seq = ++w->seq};
    loan_on_trial(&w->loans, &m);
}

static void lend_message(struct world *w, struct ep *e)
{
    struct ipc_lend m = {
        .endpoint = str_c(e->ce->id), .n = (uint32_t)below(w, 3), .recall = below(w, 4) == 0};
    loan_on_lend(&w->loans, &m);
}

/* Requests begin and end there, and an own trial begins. */
static void traffic(struct world *w, struct ep *e)
{
    if (e->live->loan.trial.seq && below(w, 2)) {
        loan_trial_begin(&w->loans, e->live, 0);
        loan_trial_over(e->live, 0);
    } else if (e->live->open && below(w, 2)) {
        e->live->open--;
        loan_place_left(&w->loans, e->live);
    } else if (loan_place_free(e->live)) {
        e->live->open++;
        loan_place_taken(&w->loans, e->live);
    }
}

/* ---- what the rankings say */

static void check(struct world *w, const struct model_ranking *m)
{
    static const struct sel_req nobody = {.bound = -1};
    uint32_t half_open = 0;
    for (size_t i = 0; i < w->replica.n; i++) {
        struct standing st;
        const struct ranked *x = &m->ranking.v[i];
        standing_fill(&w->loans, w->replica.eps[i], &m->name, x->ep.offers, w->now_ms, &st);
        /* that one is full is noted when it is drawn, that it has room at once */
        st.row.full = st.row.full && x->rank == RANKED_OUT;
        bool other_trial = st.row.tier == SEL_CIRCUIT_OPEN && st.row.trial != SEL_TRIAL_MINE;
        bool out = other_trial || select_check(&st.row, 0, &nobody) != SEL_SKIP_NO;
        assert_true(x->rank == (out ? RANKED_OUT : select_rank(&m->ranking.conf, &st.row)));
        assert_true(x->ends_ms == st.ends_ms);
        assert_int_equal(m->half_open[i], st.half_open);
        half_open += st.half_open;
        if (m->ranking.conf.strategy == SEL_LEAST_CONNECTIONS)
            assert_int_equal(x->open, st.row.open);
    }
    assert_int_equal(m->nhalf_open, half_open);
}

static struct model_ranking *look(struct world *w, const char *model)
{
    struct rankings_ask a = {
        .conf = w->conf, .named = *model, .name = cell_name_of(str_c(model)), .now_ms = w->now_ms};
    return rankings_look(&w->rankings, &a);
}

/* A request that finds endpoints full, as ranked_choice does. */
static void find_full(struct world *w, struct model_ranking *m)
{
    struct sel_req r = {.bound = -1, .rnd = {rnd_next(&w->rnd), rnd_next(&w->rnd)}};
    struct ranking_ask q = {.r = &r};
    for (int at; (at = ranking_pick(&m->ranking, &q)) >= 0;) {
        if (!standing_full(&w->loans, w->replica.eps[at], w->now_ms))
            return;
        rankings_put(&w->rankings, m, (size_t)at, w->now_ms);
        assert_true(m->ranking.v[at].rank == RANKED_OUT);
    }
}

static void nothing_leaves_a_wrong_rank(void **state)
{
    struct world *w = *state;
    static void (*const happens[])(struct world *, struct ep *) = {
        endpoint_message, cell_message, models_message, trial_message,
        lend_message,     traffic,      traffic,        traffic};
    for (int round = 0; round < 40; round++) {
        configure(w, 1 + below(w, EPS));
        for (int step = 0; step < 300; step++) {
            struct ep *e = w->replica.eps[below(w, w->replica.n)];
            happens[below(w, COUNT_OF(happens))](w, e);
            w->now_ms += below(w, 4) ? 0 : (int64_t)below(w, 60);
            struct model_ranking *m = look(w, models[below(w, COUNT_OF(models))]);
            find_full(w, m);
            check(w, m);
        }
    }
}

/* A client that invents names takes places from others, and no more memory than those. */
static void names_are_bounded(void **state)
{
    struct world *w = *state;
    char name[RANKINGS_NAME + 2];
    configure(w, 5);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "model-%d", i);
        assert_non_null(look(w, name));
        struct model_ranking *kept = look(w, models[0]);
        assert_string_equal(kept->text, models[0]);
        assert_in_range(w->rankings.n, 1, RANKINGS_MAX);
    }
    memset(name, 'x', RANKINGS_NAME + 1);
    name[RANKINGS_NAME + 1] = '\0';
    assert_null(look(w, name));
    assert_non_null(look(w, ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_leaves_a_wrong_rank, begin, end),
        cmocka_unit_test_setup_teardown(names_are_bounded, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
