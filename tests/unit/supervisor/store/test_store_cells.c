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

static const struct saved_name names[] = {{.id = A, .hash = 7, .served_ms = 600000},
                                          {.id = B, .hash = UINT64_MAX, .served_ms = 1200000}};

/* What store_cells_write writes, into p. */
static struct str written(char *p, size_t size)
{
    char dir[] = "/tmp/qcc-cells-XXXXXX";
    assert_non_null(mkdtemp(dir));
    int d = open(dir, O_RDONLY | O_DIRECTORY);
    struct store_view v = {.wall_ms = 2000000,
                           .now_ms = 1000000,
                           .cells = {.v = (struct saved_cell *)cells,
                                     .n = COUNT_OF(cells),
                                     .names = (struct saved_name *)names,
                                     .nnames = COUNT_OF(names)}};
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
    struct saved_cells c;
    struct err e;
    struct str file = written(p, sizeof p);
    assert_true(store_cells_parse(file, 1000000, &c, &e));
    assert_int_equal(c.n, COUNT_OF(cells));
    for (size_t i = 0; i < c.n; i++)
        assert_memory_equal(&c.v[i], &cells[i], sizeof cells[i]);
    assert_int_equal(c.nnames, COUNT_OF(names));
    assert_memory_equal(c.names, names, sizeof names);
    saved_cells_free(&c);
    /* after a start of the machine the same moments are others of its clock */
    assert_true(store_cells_parse(file, 1400000, &c, &e));
    assert_int_equal(c.v[1].own_until_ms, 9000 - 400000);
    assert_int_equal(c.names[0].served_ms, 600000 - 400000);
    saved_cells_free(&c);
}

/* A file of the first version has no names. */
static void the_first_version(void **unused)
{
    (void)unused;
    struct saved_cells c;
    struct err e;
    struct str empty = STR("\x90");
    assert_true(store_cells_body(empty, 1, 0, &c, &e));
    saved_cells_free(&c);
    assert_false(store_cells_body(empty, 2, 0, &c, &e));
    assert_false(store_cells_body(STR("\x90\x90"), 1, 0, &c, &e));
}

static void what_is_damaged_is_refused(void **unused)
{
    (void)unused;
    char p[4096];
    struct saved_cells c;
    struct err e;
    struct str file = written(p, sizeof p);
    for (size_t i = 0; i < file.n; i++) {
        if (i >= 12 && i < 16)
            continue; /* for later */
        p[i] ^= 1;
        assert_false(store_cells_parse(file, 0, &c, &e));
        p[i] ^= 1;
        assert_false(store_cells_parse(str_make(p, i), 0, &c, &e));
        assert_null(c.v);
        assert_null(c.names);
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
    struct saved_name served[] = {{.id = A, .hash = 11, .served_ms = w->now - CELLS_DAY_MS + 1000},
                                  {.id = A, .hash = 12, .served_ms = w->now - CELLS_DAY_MS},
                                  {.id = "cccccccc", .hash = 13, .served_ms = w->now}};
    const struct saved_cells all = {in, COUNT_OF(in), served, COUNT_OF(served)};
    health_restore_cells(&w->h, &all, w->now);
    health_run(&w->h, w->now);
    const struct ep_state *s = state(w, A);
    assert_int_equal(s->breaker.state, BREAKER_OPEN);
    const struct cell *haiku = cells_find(&s->cells, STR("haiku"));
    assert_int_equal(haiku->breaker.state, BREAKER_HALF_OPEN);
    assert_int_equal(haiku->breaker.trial, BREAKER_TRIAL_FREE);
    const struct cell *opus = cells_find(&s->cells, STR("opus"));
    assert_int_equal(opus->cooldown.own_until_ms, w->now + w->h.conf.cooldown.max_ms);
    assert_int_equal(s->cells.nnames, 2);
    assert_int_equal(s->cells.names[1], 11);
    at(w, 30000);
    assert_int_equal(s->breaker.state, BREAKER_HALF_OPEN);
    end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(the_first_version),
        cmocka_unit_test(what_is_damaged_is_refused),
        cmocka_unit_test(a_restart_goes_on_with_it),
    };
    log_setup(LOG_L_ERROR, LOG_F_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
