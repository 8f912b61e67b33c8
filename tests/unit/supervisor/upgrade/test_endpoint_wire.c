/* What an upgrade carries over of an endpoint: there and back, and what cannot be. */
#include "supervisor/upgrade/endpoint_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void deaf(void *arg, int slot, chan_put_fn *put, const void *m)
{
    (void)arg, (void)slot, (void)put, (void)m;
}

struct world {
    struct conf_endpoint endpoints[2];
    struct conf conf;
    struct health h;
};

static void begin(struct world *w)
{
    *w = (struct world){0};
    memcpy(w->endpoints[0].id, "0000000a", 9);
    memcpy(w->endpoints[1].id, "0000000b", 9);
    for (size_t i = 0; i < 2; i++) {
        w->endpoints[i].name = i ? "b" : "a";
        w->endpoints[i].enabled = true;
    }
    w->conf.endpoints = w->endpoints;
    w->conf.nendpoints = 2;
    w->conf.breaker.failure_threshold = 3;
    w->conf.breaker.open_duration = 60000;
    w->conf.breaker.max_open_duration = 600000;
    w->conf.failure_queue.verify_interval = 60000;
    w->conf.rate_limit.max_cooldown = 3600000;
    w->conf.rate_limit.default_cooldown = 30000;
    health_init(&w->h, deaf, NULL);
    health_conf(&w->h, &w->conf, 1);
}

/* Every field that endpoint_wire_put reads has a value of its own. */
static void fill(struct health_endpoint *e)
{
    struct ep_state *s = &e->state;
    s->health = EP_UNHEALTHY;
    s->disabled = EP_BY_AUTH;
    s->draining = s->verify_asked = true;
    s->no_count_until_ms = 8001;
    s->counted_ms = 8002;
    s->verifying = EP_VERIFY_QUEUE;
    s->breaker = (struct breaker){.state = BREAKER_HALF_OPEN,
                                  .trial = BREAKER_TRIAL_RUNNING,
                                  .failures = 7,
                                  .broken = 2,
                                  .since_ms = 1001,
                                  .open_ms = 120000};
    s->cooldown = (struct cooldown){.own_until_ms = 5001,
                                    .untold_until_ms = 5002,
                                    .untold_at_ms = 5003,
                                    .untold = 4,
                                    .hit_ms = 5004};
    s->failq = (struct failq){FAILQ_QUEUED, true, 5, 3001, 3002};
    snprintf(s->queued_why, sizeof s->queued_why, "it answered in riddles");
    s->degraded_until_ms = 6001;
    s->ttfb_us.eighths = 800;
    snprintf(e->model, sizeof e->model, "claude-x");
    e->loan.slot = 3;
    e->loan.seq = 41;
    e->verify_slot = 1;
    e->verify_seq = 42;
}

static void there_and_back(void **state)
{
    (void)state;
    struct world a, b;
    begin(&a);
    begin(&b);
    fill(&a.h.v[0]);
    struct ipc_up_endpoint m, got;
    char why[ENDPOINT_WIRE_WHY + 1];
    endpoint_wire_put(&a.h.v[0], &m, why);
    /* by way of the wire */
    struct buf wire;
    struct ipc_frame f;
    buf_init(&wire, 65536);
    assert_true(ipc_put_up_endpoint(&wire, 1, &m));
    assert_true(ipc_open(buf_view(&wire), TO_NEW, &f));
    assert_true(ipc_get_up_endpoint(&f, &got));
    assert_true(endpoint_wire_get(&b.h, &b.conf, &got, 2000));
    const struct ep_state *x = &a.h.v[0].state, *y = &b.h.v[0].state;
    assert_int_equal(y->health, x->health);
    assert_int_equal(y->disabled, x->disabled);
    assert_true(y->configured && y->draining && y->verify_asked);
    /* an older build says only that it cannot */
    assert_int_equal(y->no_count_until_ms, 2000 + b.h.conf.block_ms);
    struct ipc_up_count count;
    assert_true(endpoint_wire_put_count(&a.h.v[0], &count));
    endpoint_wire_get_count(&b.h, &count);
    assert_int_equal(y->no_count_until_ms, 8001);
    assert_int_equal(y->counted_ms, 8002);
    a.h.v[0].state.no_count_until_ms = a.h.v[0].state.counted_ms = 0;
    assert_false(endpoint_wire_put_count(&a.h.v[0], &count));
    assert_int_equal(y->verifying, x->verifying);
    assert_memory_equal(&y->breaker, &x->breaker, sizeof x->breaker);
    assert_memory_equal(&y->cooldown, &x->cooldown, sizeof x->cooldown);
    assert_int_equal(y->failq.kind, x->failq.kind);
    assert_true(y->failq.running);
    assert_int_equal(y->failq.verifications, 5);
    assert_int_equal(y->failq.since_ms, 3001);
    assert_int_equal(y->failq.next_ms, 3002);
    assert_string_equal(y->queued_why, x->queued_why);
    assert_int_equal(y->degraded_until_ms, 6001);
    assert_int_equal(y->ttfb_us.eighths, 800);
    assert_string_equal(b.h.v[0].model, "claude-x");
    /* What a worker there has is the predecessor's. */
    assert_int_equal(b.h.v[0].loan.slot, HEALTH_PREDECESSOR);
    assert_int_equal(b.h.v[0].loan.seq, 41);
    assert_int_equal(b.h.v[0].verify_slot, HEALTH_PREDECESSOR);
    assert_int_equal(b.h.v[0].verify_seq, 42);
    /* The other endpoint is as it was. */
    assert_int_equal(b.h.v[1].state.health, EP_UNKNOWN);
    assert_int_equal(b.h.v[1].loan.slot, HEALTH_NONE);
    buf_free(&wire);
    health_fini(&a.h);
    health_fini(&b.h);
}

/* What operators see of the past goes over where nothing newer is known. */
static void the_past_goes_over(void **state)
{
    (void)state;
    struct world a, b;
    struct ipc_up_past m, got;
    struct buf wire;
    struct ipc_frame f;
    begin(&a);
    begin(&b);
    struct health_endpoint *x = &a.h.v[0], *y = &b.h.v[0];
    const struct health_failure was = {
        .at_ms = 1700000000123, .cls = OUTCOME_RATE_LIMIT, .status = 429, .reason = "limit-code"};
    x->word = y->word = ep_word(&x->state, 5000);
    x->word_since_ms = 1234;
    y->word_since_ms = 0;
    x->last_failure = was;
    endpoint_wire_put_past(x, 5000, &m);
    buf_init(&wire, 65536);
    assert_true(ipc_put_up_past(&wire, 1, &m));
    assert_true(ipc_open(buf_view(&wire), TO_NEW, &f));
    assert_true(ipc_get_up_past(&f, &got));
    endpoint_wire_get_past(&b.h, &got);
    assert_int_equal(y->word_since_ms, 1234);
    assert_true(y->last_failure.at_ms == was.at_ms);
    assert_int_equal(y->last_failure.cls, was.cls);
    assert_int_equal(y->last_failure.status, 429);
    assert_string_equal(y->last_failure.reason, "limit-code");
    assert_int_equal(b.h.v[1].last_failure.at_ms, 0);
    /* what has happened here since is newer */
    y->word_since_ms = 2000;
    y->last_failure.at_ms++;
    y->last_failure.status = 503;
    endpoint_wire_get_past(&b.h, &got);
    assert_int_equal(y->word_since_ms, 2000);
    assert_int_equal(y->last_failure.status, 503);
    /* another state, a class of another build, an endpoint that is not here */
    y->word_since_ms = 0;
    y->word = EP_IS_COOLING;
    got.cls = OUTCOME__COUNT;
    got.failed_ms += 9;
    endpoint_wire_get_past(&b.h, &got);
    assert_int_equal(y->word_since_ms, 0);
    assert_int_equal(y->last_failure.status, 503);
    got.id = STR("nobody");
    endpoint_wire_get_past(&b.h, &got);
    buf_free(&wire);
    health_fini(&a.h);
    health_fini(&b.h);
}

static void how_a_key_was_refused(void **state)
{
    (void)state;
    struct world a, b;
    struct ipc_up_refused m, got;
    struct buf wire;
    struct ipc_frame f;
    begin(&a);
    begin(&b);
    assert_false(endpoint_wire_put_refused(&a.h.v[0], &m));
    a.h.v[0].state.disabled = EP_BY_AUTH;
    assert_false(endpoint_wire_put_refused(&a.h.v[0], &m)); /* nothing is known of it */
    ep_restore_refusal(&a.h.v[0].state, 403, 1700000000123);
    assert_true(endpoint_wire_put_refused(&a.h.v[0], &m));
    buf_init(&wire, 65536);
    assert_true(ipc_put_up_refused(&wire, 1, &m));
    assert_true(ipc_open(buf_view(&wire), TO_NEW, &f));
    assert_true(ipc_get_up_refused(&f, &got));
    endpoint_wire_get_refused(&b.h, &got);
    assert_int_equal(b.h.v[0].state.refused_status, 403);
    assert_true(b.h.v[0].state.refused_wall_ms == 1700000000123);
    assert_int_equal(b.h.v[1].state.refused_status, 0);
    a.h.v[0].state.disabled = EP_BY_OPERATOR;
    assert_false(endpoint_wire_put_refused(&a.h.v[0], &m));
    buf_free(&wire);
    health_fini(&a.h);
    health_fini(&b.h);
}

/* A trial that somebody had and nobody has told of is free: else it would hang for ever. */
static void nothing_hangs(void **state)
{
    (void)state;
    struct world a, b;
    struct ipc_up_endpoint m;
    char why[ENDPOINT_WIRE_WHY + 1];
    begin(&a);
    begin(&b);
    fill(&a.h.v[0]);
    a.h.v[0].loan.slot = a.h.v[0].verify_slot = HEALTH_NONE;
    endpoint_wire_put(&a.h.v[0], &m, why);
    assert_true(endpoint_wire_get(&b.h, &b.conf, &m, 2000));
    assert_int_equal(b.h.v[0].state.breaker.trial, BREAKER_TRIAL_FREE);
    assert_int_equal(b.h.v[0].state.verifying, EP_VERIFY_NONE);
    assert_false(b.h.v[0].state.failq.running);
    health_fini(&a.h);
    health_fini(&b.h);
}

static void the_predecessors_end_gives_back(void **state)
{
    (void)state;
    struct world a, b;
    struct ipc_up_endpoint m;
    char why[ENDPOINT_WIRE_WHY + 1];
    begin(&a);
    begin(&b);
    fill(&a.h.v[0]);
    endpoint_wire_put(&a.h.v[0], &m, why);
    assert_true(endpoint_wire_get(&b.h, &b.conf, &m, 2000));
    health_slot_gone(&b.h, HEALTH_PREDECESSOR, 2001);
    assert_int_equal(b.h.v[0].state.breaker.trial, BREAKER_TRIAL_FREE);
    assert_int_equal(b.h.v[0].state.verifying, EP_VERIFY_NONE);
    assert_int_equal(b.h.v[0].loan.slot, HEALTH_NONE);
    health_fini(&a.h);
    health_fini(&b.h);
}

/* `enabled` of the new file counts if it is not what the old one said. */
static void the_new_file_has_its_word(void **state)
{
    (void)state;
    struct world a, b;
    struct ipc_up_endpoint m;
    char why[ENDPOINT_WIRE_WHY + 1];
    begin(&a);
    begin(&b);
    b.endpoints[0].enabled = false;
    endpoint_wire_put(&a.h.v[0], &m, why);
    assert_true(endpoint_wire_get(&b.h, &b.conf, &m, 2000));
    assert_int_equal(b.h.v[0].state.disabled, EP_BY_CONFIG);
    health_fini(&a.h);
    health_fini(&b.h);
}

static void what_cannot_be(void **state)
{
    (void)state;
    struct world w;
    char why[ENDPOINT_WIRE_WHY + 1];
    char text[64] = "";
    begin(&w);
    struct ipc_up_endpoint good, bad;
    endpoint_wire_put(&w.h.v[0], &good, why);
    assert_true(endpoint_wire_get(&w.h, &w.conf, &good, 1));
#define REFUSED(field, value)                                                                      \
    bad = good;                                                                                    \
    bad.field = value;                                                                             \
    assert_false(endpoint_wire_get(&w.h, &w.conf, &bad, 1))
    REFUSED(health, EP_HEALTH__COUNT);
    REFUSED(disabled, EP_DISABLED__COUNT);
    REFUSED(verifying, EP_VERIFY_ASKED + 1);
    REFUSED(breaker, BREAKER__COUNT);
    REFUSED(breaker_trial, BREAKER_TRIAL_RUNNING + 1);
    REFUSED(queue, FAILQ_DISABLED + 1);
    REFUSED(queued_why, str_make(text, 64));
    bad = good;
    bad.blocks = str_make(text, 15); /* of an earlier build: what it blocks is not taken over */
    assert_true(endpoint_wire_get(&w.h, &w.conf, &bad, 1));
    bad = good;
    bad.id = STR("ffffffff"); /* not configured here */
    assert_true(endpoint_wire_get(&w.h, &w.conf, &bad, 1));
    health_fini(&w.h);
}

/* ---- places */

struct heard {
    unsigned lent, none;
};

static void hear(void *arg, unsigned slot, uint32_t n, bool recall, bool none)
{
    struct heard *h = arg;
    (void)slot, (void)recall;
    h->lent += n;
    h->none += none;
}

static void places_elsewhere_count(void **state)
{
    (void)state;
    struct places p = {0};
    struct heard h = {0};
    const struct places_report want = {.wanted_ms = 1};
    places_limit(&p, 3, hear, &h);
    places_elsewhere(&p, 9, 2, 0, hear, &h);
    assert_true(places_update(&p, 0, &want, hear, &h));
    assert_true(places_update(&p, 1, &want, hear, &h));
    assert_int_equal(h.lent, 1);
    assert_int_equal(places_lent(&p), 3);
    places_elsewhere(&p, 9, 1, 0, hear, &h); /* one there is free again */
    assert_int_equal(h.lent, 2);
    assert_int_equal(places_lent(&p), 3);
    places_fini(&p);
}

/* Two tables as two supervisors have them: what is lent in both together is never more than there
 * is. */
static void places_are_lent_from_afar(void **state)
{
    (void)state;
    enum { AFAR = 9 };
    struct places old = {0}, new = {0};
    struct heard ho = {0}, hn = {0};
    const struct places_report want = {.wanted_ms = 1}, back = {.back = 1};
    places_limit(&old, 1, hear, &ho);
    places_limit(&new, 1, hear, &hn);
    assert_true(places_update(&old, 0, &want, hear, &ho));
    places_freeze(&old, true, hear, &ho);
    places_elsewhere(&new, AFAR, 1, 0, hear, &hn);
    assert_true(places_update(&new, 0, &want, hear, &hn));
    assert_int_equal(hn.lent, 0);
    assert_true(places_update(&old, 0, &back, hear, &ho)); /* it was idle */
    assert_int_equal(places_lent(&old), 0);
    places_elsewhere(&new, AFAR, 0, 0, hear, &hn);
    assert_int_equal(hn.lent, 1);
    assert_true(places_update(&old, 1, &want, hear, &ho));
    assert_true(places_wanted(&old));
    places_wanted_elsewhere(&new, AFAR, 1, hear, &hn);
    assert_true(places_update(&new, 0, &back, hear, &hn));
    assert_int_equal(hn.lent, 2); /* the second one is on its way */
    assert_int_equal(places_lent(&new), 1);
    places_elsewhere(&new, AFAR, 0, 0, hear, &hn); /* said before it came */
    assert_int_equal(places_lent(&new), 1);
    places_granted(&old, 1, hear, &ho);
    assert_int_equal(ho.lent, 2);
    assert_false(places_wanted(&old));
    places_elsewhere(&new, AFAR, 1, old.got, hear, &hn);
    assert_int_equal(places_lent(&new), 1);
    assert_true(places_update(&old, 1, &back, hear, &ho));
    places_elsewhere(&new, AFAR, 0, old.got, hear, &hn);
    assert_int_equal(places_lent(&new), 0);
    places_wanted_elsewhere(&new, AFAR, 1, hear, &hn); /* under way when the old one ends */
    assert_int_equal(places_lent(&new), 1);
    places_gone(&new, AFAR, hear, &hn);
    places_elsewhere(&new, AFAR, 0, UINT32_MAX, hear, &hn);
    assert_int_equal(places_lent(&new), 0);
    places_fini(&old);
    places_fini(&new);
}

/* After they were given away, one that comes back goes to who waits, or to nobody ever. */
static void frozen_places_only_become_fewer(void **state)
{
    (void)state;
    struct places p = {0};
    struct heard h = {0};
    const struct places_report want = {.wanted_ms = 1}, back = {.back = 1};
    places_limit(&p, 4, hear, &h);
    assert_true(places_update(&p, 0, &want, hear, &h));
    assert_true(places_update(&p, 1, &want, hear, &h));
    places_freeze(&p, true, hear, &h);
    assert_true(places_update(&p, 2, &want, hear, &h));
    assert_int_equal(places_lent(&p), 2);
    assert_true(places_update(&p, 0, &back, hear, &h)); /* slot 2 waits for it */
    assert_int_equal(places_lent(&p), 2);
    assert_int_equal(p.v[2].lent, 1);
    assert_true(places_update(&p, 1, &back, hear, &h));
    assert_int_equal(places_lent(&p), 1);
    assert_true(places_update(&p, 1, &want, hear, &h));
    assert_int_equal(places_lent(&p), 1);
    places_freeze(&p, false, hear, &h); /* it came to nothing: all is as before */
    assert_int_equal(places_lent(&p), 2);
    places_fini(&p);
}

/* UP_ENDPOINT has times of CLOCK_MONOTONIC, whatever this machine has been suspended. */
static void times_are_moved_to_the_other_clock(void **unused)
{
    (void)unused;
    struct ipc_up_endpoint m = {
        .breaker_since_ms = 4000,
        .breaker_open_ms = 60000,
        .cool_own_until_ms = 8000,
        .cool_untold_at_ms = 900000,
        .queue_since_ms = 1000,
        .queue_next_ms = INT64_MAX,
        .degraded_until_ms = 905000,
    };
    endpoint_wire_move(&m, -900000);
    assert_int_equal(m.breaker_since_ms, 4000 - 900000);
    assert_int_equal(m.breaker_open_ms, 60000);
    assert_int_equal(m.cool_own_until_ms, 8000 - 900000);
    assert_int_equal(m.cool_untold_until_ms, 0); /* none stays none */
    assert_int_equal(m.cool_untold_at_ms, -1);   /* and what was, is no none */
    assert_int_equal(m.queue_since_ms, 1000 - 900000);
    assert_true(m.queue_next_ms == INT64_MAX); /* never */
    assert_int_equal(m.degraded_until_ms, 5000);
    endpoint_wire_move(&m, 900000);
    assert_int_equal(m.breaker_since_ms, 4000);
    assert_int_equal(m.cool_own_until_ms, 8000);
    struct ipc_up_count count = {.no_count_until_ms = 0, .counted_ms = 1000};
    endpoint_wire_move_count(&count, 500);
    assert_int_equal(count.no_count_until_ms, 0);
    assert_int_equal(count.counted_ms, 1500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_moved_to_the_other_clock),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(how_a_key_was_refused),
        cmocka_unit_test(the_past_goes_over),
        cmocka_unit_test(nothing_hangs),
        cmocka_unit_test(the_predecessors_end_gives_back),
        cmocka_unit_test(the_new_file_has_its_word),
        cmocka_unit_test(what_cannot_be),
        cmocka_unit_test(places_elsewhere_count),
        cmocka_unit_test(places_are_lent_from_afar),
        cmocka_unit_test(frozen_places_only_become_fewer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
