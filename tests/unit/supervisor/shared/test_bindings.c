/* The authoritative table, and workers that know of each other only through it. */
#include "supervisor/shared/bindings.h"

#include "common/base/mem.h"
#include "common/ipc/ipc.h"
#include "common/secret/rnd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- what it tells */

static struct binding_table_record told[20000];
static size_t ntold;

static void hear(void *arg, struct str records)
{
    size_t n;
    (void)arg;
    assert_true(binding_table_records(records, &n));
    for (size_t i = 0; i < n && ntold < COUNT_OF(told); i++)
        told[ntold++] = binding_table_record(records, i);
}

static void configure_for(struct bindings *s, bool enabled, uint32_t max, int64_t ttl,
                          const uint32_t *ids, size_t n)
{
    struct conf *c = conf_new();
    c->affinity.enabled = enabled;
    c->affinity.max_sessions = max;
    c->affinity.ttl = ttl;
    c->affinity.cleanup_interval = 1000;
    for (size_t i = 0; i < n; i++)
        snprintf(conf_add_endpoint(c)->id, 9, "%08x", ids[i]);
    bindings_conf(s, c);
    conf_unref(c);
}

static struct bindings *make(uint32_t max, int64_t ttl)
{
    struct bindings *s = mem_zalloc(1, sizeof *s);
    bindings_init(s, hear, NULL);
    configure_for(s, true, max, ttl, (const uint32_t[]){10, 20, 30}, 3);
    ntold = 0;
    return s;
}

static void unmake(struct bindings *s)
{
    bindings_fini(s);
    mem_free(s);
}

static bool wish(struct bindings *s, enum binding_table_op op, uint64_t key, uint32_t endpoint,
                 int64_t now)
{
    struct binding_table_record r = {.key = {key, ~key}, .endpoint = endpoint, .op = op};
    bool ok = bindings_on_binds(s, str_make((const char *)&r, sizeof r), now);
    bindings_flush(s);
    return ok;
}

/* The last thing told is this. */
static void last(enum binding_table_op op, uint64_t key, uint32_t endpoint)
{
    assert_true(ntold > 0);
    const struct binding_table_record *r = &told[ntold - 1];
    assert_int_equal(r->op, op);
    assert_int_equal(r->key[0], key);
    assert_int_equal(r->endpoint, endpoint);
}

static uint32_t at(const struct bindings *s, uint64_t key)
{
    const struct affinity_binding *b =
        s->set[BINDING_TALK].b
            ? affinity_find(&s->set[BINDING_TALK].b->table, (uint64_t[]){key, ~key})
            : NULL;
    return b ? binding_table_endpoint(s->set[BINDING_TALK].b, b) : 0;
}

/* ---- wishes */

static void the_first_wish_wins(void **state)
{
    (void)state;
    struct bindings *s = make(100, 1000);
    assert_true(wish(s, BINDING_BOUND, 1, 10, 100));
    last(BINDING_BOUND, 1, 10);
    assert_true(wish(s, BINDING_BOUND, 1, 20, 110));
    last(BINDING_BOUND, 1, 10); /* said again to whoever thought otherwise */
    assert_int_equal(at(s, 1), 10);
    assert_true(wish(s, BINDING_UNBOUND, 1, 20, 120)); /* it is not bound there */
    assert_int_equal(at(s, 1), 10);
    assert_true(wish(s, BINDING_UNBOUND, 1, 10, 130));
    last(BINDING_UNBOUND, 1, 10);
    assert_int_equal(at(s, 1), 0);
    assert_true(wish(s, BINDING_BOUND, 1, 20, 140));
    last(BINDING_BOUND, 1, 20);
    assert_int_equal(bindings_count(s, STR("00000014")), 1);
    assert_int_equal(bindings_count(s, STR("0000000a")), 0);
    assert_int_equal(bindings_total(s), 1);
    unmake(s);
}

static void an_expired_binding_holds_nobody(void **state)
{
    (void)state;
    struct bindings *s = make(100, 1000);
    assert_true(wish(s, BINDING_BOUND, 1, 10, 100));
    assert_true(wish(s, BINDING_USED, 1, 0, 900));
    last(BINDING_USED, 1, 0);
    assert_true(wish(s, BINDING_BOUND, 1, 20, 1899)); /* 999 after its use */
    assert_int_equal(at(s, 1), 10);
    assert_true(wish(s, BINDING_BOUND, 1, 20, 1900));
    assert_int_equal(at(s, 1), 20);
    unmake(s);
}

static void endpoints_that_are_gone(void **state)
{
    (void)state;
    struct bindings *s = make(100, 1000);
    assert_true(wish(s, BINDING_BOUND, 1, 10, 100));
    assert_true(wish(s, BINDING_BOUND, 2, 10, 100));
    configure_for(s, true, 100, 1000, (const uint32_t[]){30, 20}, 2);
    assert_true(wish(s, BINDING_BOUND, 3, 10, 110)); /* a late report: dropped */
    last(BINDING_UNBOUND, 3, 10);
    assert_true(wish(s, BINDING_BOUND, 1, 30, 120)); /* served elsewhere meanwhile */
    last(BINDING_BOUND, 1, 30);
    configure_for(s, true, 100, 1000, (const uint32_t[]){10, 20, 30}, 3);
    assert_int_equal(at(s, 1), 30);
    assert_int_equal(at(s, 2), 10); /* it came back in time */
    unmake(s);
}

static void the_least_recently_used_goes(void **state)
{
    (void)state;
    struct bindings *s = make(3, 1000);
    for (uint64_t k = 1; k <= 3; k++)
        assert_true(wish(s, BINDING_BOUND, k, 10, (int64_t)k));
    assert_true(wish(s, BINDING_USED, 1, 0, 10));
    ntold = 0;
    assert_true(wish(s, BINDING_BOUND, 4, 20, 11));
    assert_int_equal(ntold, 2);
    assert_int_equal(told[0].op,
                     BINDING_UNBOUND); /* first, so that no replica is over its ceiling */
    assert_int_equal(told[0].key[0], 2);
    last(BINDING_BOUND, 4, 20);
    assert_int_equal(bindings_total(s), 3);
    configure_for(s, true, 1, 1000, (const uint32_t[]){10, 20}, 2);
    assert_false(bindings_sweep(s, 20));
    assert_int_equal(bindings_total(s), 1);
    assert_int_equal(at(s, 4), 20);
    unmake(s);
}

static void sweeps_in_pieces(void **state)
{
    (void)state;
    struct bindings *s = make(100000, 1000);
    for (uint64_t k = 0; k < 5000; k++)
        assert_true(wish(s, BINDING_BOUND, k, 10, (int64_t)k));
    ntold = 0;
    assert_false(bindings_sweep(s, 1000 - 1));
    assert_int_equal(bindings_total(s), 5000);
    assert_false(bindings_sweep(s, 1000 + 9)); /* 0 to 9 are 1000 old or older */
    assert_int_equal(bindings_total(s), 4990);
    size_t pieces = 0;
    while (bindings_sweep(s, 100000)) {
        assert_true(bindings_total(s) > 0 || pieces > 1);
        pieces++;
    }
    bindings_flush(s);
    assert_true(pieces >= 2);
    assert_int_equal(bindings_total(s), 0);
    assert_int_equal(ntold, 5000);
    assert_null(s->set[BINDING_TALK].b); /* memory for nobody is given back */
    unmake(s);
}

static void switched_off_all_go(void **state)
{
    (void)state;
    struct bindings *s = make(100, 1000);
    assert_true(wish(s, BINDING_BOUND, 1, 10, 1));
    configure_for(s, false, 100, 1000, (const uint32_t[]){10}, 1);
    bindings_flush(s);
    assert_int_equal(told[ntold - 1].op, BINDING_NONE);
    assert_int_equal(bindings_total(s), 0);
    assert_true(wish(s, BINDING_BOUND, 1, 10, 2));
    last(BINDING_UNBOUND, 1, 10);
    assert_int_equal(bindings_total(s), 0);
    unmake(s);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    struct bindings *s = make(100, 1000);
    assert_false(bindings_on_binds(s, STR("1234567"), 1));
    assert_false(wish(s, BINDING_NONE, 1, 10, 1));
    assert_false(wish(s, (enum binding_table_op)77, 1, 10, 1));
    assert_true(wish(s, BINDING_USED, 1, 10, 1));
    assert_true(wish(s, BINDING_UNBOUND, 1, 10, 1));
    assert_int_equal(ntold, 0);
    assert_null(s->set[BINDING_TALK].b); /* and cost nothing */
    unmake(s);
}

static void a_new_worker_gets_all_while_the_table_changes(void **state)
{
    (void)state;
    struct bindings *s = make(100000, 100000);
    for (uint64_t k = 0; k < 9000; k++)
        assert_true(wish(s, BINDING_BOUND, k, 10, (int64_t)k));
    static uint8_t has[9100];
    memset(has, 0, sizeof has);
    struct buf b;
    uint32_t place = 0;
    size_t pieces = 0;
    bool more = true;
    buf_init(&b, BINDING_RECORDS * sizeof(struct binding_table_record));
    for (uint64_t k = 9000; more; k++, pieces++) {
        more = bindings_piece(s, &place, &b);
        size_t n;
        assert_true(binding_table_records(buf_view(&b), &n));
        for (size_t i = 0; i < n; i++)
            has[binding_table_record(buf_view(&b), i).key[0]]++;
        buf_drop(&b, b.len);
        assert_true(wish(s, BINDING_UNBOUND, k - 9000, 10, 9001));
        assert_true(wish(s, BINDING_BOUND, k, 20, 9001));
    }
    for (size_t k = 20; k < 9000; k++)
        assert_int_equal(has[k], 1);
    assert_true(pieces >= 4);
    buf_free(&b);
    unmake(s);
}

static void restored_ones_are_there(void **state)
{
    (void)state;
    struct bindings *s = make(3, 1000);
    for (uint64_t k = 1; k <= 5; k++)
        assert_true(bindings_restore(s, (uint64_t[]){k, ~k}, k == 5 ? 77 : 10, (int64_t)k - 500));
    bindings_flush(s);
    assert_int_equal(ntold, 0); /* there is nobody yet */
    assert_int_equal(bindings_total(s), 3);
    assert_int_equal(at(s, 2), 0); /* the oldest had to go */
    assert_int_equal(at(s, 5), 77);
    assert_true(wish(s, BINDING_BOUND, 5, 20, 100)); /* not configured: gives way */
    assert_int_equal(at(s, 5), 20);
    assert_true(wish(s, BINDING_BOUND, 4, 20, 100));
    assert_int_equal(at(s, 4), 10);
    unmake(s);
}

/* ---- workers */

enum { WORKERS = 4, KEYS = 40, QUEUE = 4096 };

/* Acts as worker/shared/binding_replica.c does: at once on its replica, the supervisor's word
 * counts. */
struct sim {
    uint32_t at[KEYS];
    struct binding_table_record up[QUEUE], down[QUEUE];
    size_t nup, ndown;
};

static struct sim sims[WORKERS];

static void hear_all(void *arg, struct str records)
{
    size_t n;
    (void)arg;
    assert_true(binding_table_records(records, &n));
    for (size_t w = 0; w < WORKERS; w++)
        for (size_t i = 0; i < n; i++) {
            assert_true(sims[w].ndown < QUEUE);
            sims[w].down[sims[w].ndown++] = binding_table_record(records, i);
        }
}

static void up(struct sim *w, enum binding_table_op op, uint64_t key, uint32_t endpoint)
{
    assert_true(w->nup < QUEUE);
    w->up[w->nup++] =
        (struct binding_table_record){.key = {key, ~key}, .endpoint = endpoint, .op = op};
}

static void act(struct sim *w, struct rnd *r)
{
    uint64_t key = rnd_next(r) % KEYS;
    uint32_t to = 10 * (uint32_t)(1 + rnd_next(r) % 3);
    if (!w->at[key]) {
        w->at[key] = to;
        up(w, BINDING_BOUND, key, to);
    } else if (rnd_next(r) % 4 == 0) {
        up(w, BINDING_UNBOUND, key, w->at[key]);
        w->at[key] = 0;
    } else {
        up(w, BINDING_USED, key, 0);
    }
}

static size_t some(size_t n, struct rnd *r)
{
    return n ? 1 + rnd_next(r) % n : 0;
}

static void send_some(struct bindings *s, struct sim *w, struct rnd *r, int64_t now)
{
    size_t n = min_size(some(w->nup, r), BINDING_RECORDS);
    assert_true(bindings_on_binds(s, str_make((const char *)w->up, n * sizeof *w->up), now));
    memmove(w->up, w->up + n, (w->nup - n) * sizeof *w->up);
    w->nup -= n;
    bindings_flush(s);
}

static void hear_some(struct sim *w, struct rnd *r)
{
    size_t n = some(w->ndown, r);
    for (size_t i = 0; i < n; i++) {
        const struct binding_table_record *m = &w->down[i];
        if (m->op == BINDING_BOUND)
            w->at[m->key[0]] = m->endpoint;
        else if (m->op == BINDING_UNBOUND && w->at[m->key[0]] == m->endpoint)
            w->at[m->key[0]] = 0;
    }
    memmove(w->down, w->down + n, (w->ndown - n) * sizeof *w->down);
    w->ndown -= n;
}

/* However late they hear of each other: once all is said and heard, all agree. */
static void all_workers_agree_in_the_end(void **state)
{
    (void)state;
    struct rnd r = {{3, 4}};
    struct bindings *s = make(KEYS, 1 << 30);
    s->send = hear_all;
    for (int64_t t = 0; t < 40000; t++) {
        struct sim *w = &sims[rnd_next(&r) % WORKERS];
        switch (rnd_next(&r) % 3) {
        case 0:
            act(w, &r);
            break;
        case 1:
            send_some(s, w, &r, t);
            break;
        default:
            hear_some(w, &r);
        }
        if (t % 500 != 499)
            continue;
        for (size_t i = 0; i < WORKERS; i++)
            while (sims[i].nup)
                send_some(s, &sims[i], &r, t);
        for (size_t i = 0; i < WORKERS; i++)
            while (sims[i].ndown)
                hear_some(&sims[i], &r);
        for (size_t i = 0; i < WORKERS; i++)
            for (uint64_t k = 0; k < KEYS; k++)
                assert_int_equal(sims[i].at[k], at(s, k));
    }
    unmake(s);
}

/* ---- ids of files and containers */

static void id_key(enum binding_kind kind, uint64_t n, uint64_t key[2])
{
    binding_key(kind, (uint64_t[]){n, n * 77}, key);
    assert_int_equal(binding_kind(key), kind);
}

static void bind_id(struct bindings *s, enum binding_kind kind, uint64_t n, uint32_t endpoint,
                    int64_t now)
{
    struct binding_table_record r = {.endpoint = endpoint, .op = BINDING_BOUND};
    id_key(kind, n, r.key);
    assert_true(bindings_on_binds(s, str_make((const char *)&r, sizeof r), now));
}

static uint32_t id_at(const struct bindings *s, enum binding_kind kind, uint64_t n)
{
    uint64_t key[2];
    const struct binding_table *b = s->set[kind].b;
    id_key(kind, n, key);
    const struct affinity_binding *at = b ? affinity_find(&b->table, key) : NULL;
    return at ? binding_table_endpoint(b, at) : 0;
}

static void ids_are_apart(void **state)
{
    (void)state;
    struct bindings *s = make(2, 1000);
    bind_id(s, BINDING_FILE, 1, 10, 100);
    for (uint64_t k = 1; k <= 5; k++) /* conversations drive out conversations */
        assert_true(wish(s, BINDING_BOUND, k, 20, 100 + (int64_t)k));
    assert_int_equal(bindings_total(s), 2);
    assert_int_equal(id_at(s, BINDING_FILE, 1), 10);
    configure_for(s, false, 2, 1000, (const uint32_t[]){10, 20, 30}, 3);
    assert_int_equal(bindings_total(s), 0);
    bind_id(s, BINDING_FILE, 2, 20, 200);
    while (bindings_sweep(s, 150 + BINDING_ID_TTL_MS) && id_at(s, BINDING_FILE, 1))
        ;
    assert_int_equal(id_at(s, BINDING_FILE, 1), 0);
    assert_int_equal(id_at(s, BINDING_FILE, 2), 20);
    while (bindings_sweep(s, 201 + BINDING_ID_TTL_MS))
        ;
    assert_int_equal(id_at(s, BINDING_FILE, 2), 0);
    unmake(s);
}

static void containers_give_way(void **state)
{
    (void)state;
    struct bindings *s = make(2, 1000);
    for (uint64_t k = 0; k < BINDING_IDS_MAX; k++)
        bind_id(s, k < 2 ? BINDING_CONTAINER : BINDING_FILE, k, 10, 100 + (int64_t)k);
    bind_id(s, BINDING_FILE, 1000000, 10, 20000);
    assert_int_equal(id_at(s, BINDING_CONTAINER, 0), 0);
    assert_int_equal(id_at(s, BINDING_CONTAINER, 1), 10);
    bind_id(s, BINDING_FILE, 1000001, 10, 20000);
    bind_id(s, BINDING_CONTAINER, 5, 10, 20000); /* none is left: this one has to */
    assert_int_equal(id_at(s, BINDING_CONTAINER, 5), 0);
    assert_int_equal(id_at(s, BINDING_FILE, 2), 10);
    bind_id(s, BINDING_FILE, 1000002, 10, 20001);
    assert_int_equal(id_at(s, BINDING_FILE, 2), 0); /* the one longest unused */
    assert_int_equal(s->set[BINDING_FILE].b->table.count, BINDING_IDS_MAX);
    unmake(s);
}

static void configure_keys(struct bindings *s, const char *id, const char *url)
{
    struct conf *c = conf_new();
    struct conf_endpoint *e = conf_add_endpoint(c);
    c->affinity.enabled = true;
    c->affinity.max_sessions = 10;
    c->affinity.ttl = c->affinity.cleanup_interval = 1000;
    e->name = mem_strdup("relay");
    e->base_url = mem_strdup(url);
    snprintf(e->id, 9, "%s", id);
    bindings_conf(s, c);
    conf_unref(c);
}

static void another_key(void **state)
{
    (void)state;
    struct bindings *s = make(10, 1000);
    configure_keys(s, "0000000a", "https://relay");
    for (uint64_t k = 1; k <= 3; k++)
        bind_id(s, BINDING_FILE, k, 10, (int64_t)k);
    configure_keys(s, "0000000b", "https://relay");
    for (uint64_t k = 1; k <= 3; k++)
        assert_int_equal(id_at(s, BINDING_FILE, k), 11);
    const struct binding_table *b = s->set[BINDING_FILE].b;
    assert_int_equal(affinity_oldest(&b->table)->used_ms, 1);
    configure_keys(s, "0000000c", "https://other"); /* it is another endpoint */
    assert_int_equal(id_at(s, BINDING_FILE, 1), 11);
    unmake(s);
}

static void pieces_have_all(void **state)
{
    (void)state;
    struct bindings *s = make(100, 1000);
    struct buf records;
    uint32_t at = 0;
    size_t n = 0;
    bind_id(s, BINDING_FILE, 1, 10, 100);
    bind_id(s, BINDING_CONTAINER, 2, 10, 100);
    assert_true(wish(s, BINDING_BOUND, 3, 20, 100));
    buf_init(&records, IPC_BINDINGS_MAX);
    assert_false(bindings_piece(s, &at, &records));
    assert_true(binding_table_records(buf_view(&records), &n));
    assert_int_equal(n, 3);
    buf_free(&records);
    unmake(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_wish_wins),
        cmocka_unit_test(an_expired_binding_holds_nobody),
        cmocka_unit_test(endpoints_that_are_gone),
        cmocka_unit_test(the_least_recently_used_goes),
        cmocka_unit_test(sweeps_in_pieces),
        cmocka_unit_test(switched_off_all_go),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(a_new_worker_gets_all_while_the_table_changes),
        cmocka_unit_test(restored_ones_are_there),
        cmocka_unit_test(all_workers_agree_in_the_end),
        cmocka_unit_test(ids_are_apart),
        cmocka_unit_test(containers_give_way),
        cmocka_unit_test(another_key),
        cmocka_unit_test(pieces_have_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
