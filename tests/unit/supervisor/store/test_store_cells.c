/* The file of cells: there and back, and everything that is wrong with it is refused. */
#include "supervisor/store/store_cells.h"
#include "supervisor/shared/health/health.h"
#include "tests/unit/supervisor/shared/health/health_world.h"

#include "common/base/clock.h"

#include <fcntl.h>
#include <unistd.h>

static const struct saved_cell cells[] = {
    {.id = A, .by_cells = 1, .failures = 4, .open_ms = 60000, .open_until_ms = 5000},
    {.id = A,
     .family = "opus",
     .model = "claude-opus-4-8",
     .own_until_ms = 9000,
     .served_ms = 600000},
    {.id = B, .family = "\xff odd"},
};

/* What store_cells_write writes, into p. */
static struct str written(char *p, size_t size)
{
    char dir[] = "/tmp/qcc-cells-XXXXXX";
    assert_non_null(mkdtemp(dir));
    int d = open(dir, O_RDONLY | O_DIRECTORY);
    struct store_view v = {
        .wall_ms = 2000000, .now_ms = 1000000, .cells = cells, .ncells = COUNT_OF(cells)};
    assert_true(store_cells_write(d, "cells", &v));
    int f = openat(d, "cells", O_RDONLY);
    ssize_t n = read(f, p, size);
    assert_true(n > 0 && (size_t)n < size);
    close(f);
    unlinkat(d, "cells", 0);
    close(d);
    rmdir(dir);
    return str_make(p, (size_t)n);
}

static void there_and_back(void **unused)
{
    (void)unused;
    char p[4096];
    struct saved_cell *v;
    size_t n;
    struct err e;
    struct str file = written(p, sizeof p);
    assert_true(store_cells_parse(file, 1000000, &v, &n, &e));
    assert_int_equal(n, COUNT_OF(cells));
    for (size_t i = 0; i < n; i++)
        assert_memory_equal(&v[i], &cells[i], sizeof cells[i]);
    mem_free(v);
    /* after a start of the machine the same moments are others of its clock */
    assert_true(store_cells_parse(file, 1400000, &v, &n, &e));
    assert_int_equal(v[1].own_until_ms, 9000 - 400000);
    mem_free(v);
}

static void what_is_damaged_is_refused(void **unused)
{
    (void)unused;
    char p[4096];
    struct saved_cell *v;
    size_t n;
    struct err e;
    struct str file = written(p, sizeof p);
    for (size_t i = 0; i < file.n; i++) {
        if (i >= 12 && i < 16)
            continue; /* for later */
        p[i] ^= 1;
        assert_false(store_cells_parse(file, 0, &v, &n, &e));
        p[i] ^= 1;
        assert_false(store_cells_parse(str_make(p, i), 0, &v, &n, &e));
        assert_null(v);
    }
}

/* A restart: an open breaker goes on for the time that it had, a cooldown by own word too, never
 * for longer than the configuration allows; the trial is free. */
static void a_restart_goes_on_with_it(void **unused)
{
    (void)unused;
    struct world *w = world(0, 0);
    w->c->breaker.max_open_duration = w->c->breaker.open_duration = 60000;
    health_conf(&w->h, w->c, w->now);
    struct saved_cell in[] = {
        {.id = A, .open_ms = 3600000, .open_until_ms = w->now + 30000, .failures = 3},
        {.id = A,
         .family = "opus",
         .model = "claude-opus-4-8",
         .served_ms = w->now - 1000,
         .own_until_ms = INT64_MAX / 2},
        {.id = A, .family = "haiku", .open_ms = 60000, .open_until_ms = w->now - 5},
        {.id = "cccccccc", .family = "haiku"},
    };
    health_restore_cells(&w->h, in, COUNT_OF(in), w->now);
    health_run(&w->h, w->now);
    const struct ep_state *s = state(w, A);
    assert_int_equal(s->breaker.state, BREAKER_OPEN);
    const struct cell *haiku = cells_find(&s->cells, STR("haiku"));
    assert_int_equal(haiku->breaker.state, BREAKER_HALF_OPEN);
    assert_int_equal(haiku->breaker.trial, BREAKER_TRIAL_FREE);
    const struct cell *opus = cells_find(&s->cells, STR("opus"));
    assert_int_equal(opus->cooldown.own_until_ms, w->now + w->h.conf.cooldown.max_ms);
    assert_int_equal(s->cells.nnames, 1);
    at(w, 30000);
    assert_int_equal(s->breaker.state, BREAKER_HALF_OPEN);
    end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(what_is_damaged_is_refused),
        cmocka_unit_test(a_restart_goes_on_with_it),
    };
    log_setup(LOG_L_ERROR, LOG_F_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
