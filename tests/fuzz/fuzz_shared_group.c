/* Fuzz target of shared_group.h and shared_hosts.h: what an engine has, whoever wrote it, is
 * refused or within its bounds, and a group that was read is written as one that is read alike. */
#include "common/policy/shared/shared_group.h"
#include "common/policy/shared/shared_hosts.h"
#include "tests/fuzz/fuzz.h"

#define NOW INT64_C(1700000000000)

static struct str cut(struct str *s)
{
    const char *blank = s->n ? memchr(s->p, ' ', s->n) : NULL;
    struct str word = str_make(s->p, blank ? (size_t)(blank - s->p) : s->n);
    s->p += word.n + (blank != NULL);
    s->n -= word.n + (blank != NULL);
    return word;
}

static void group(struct str name, struct str text)
{
    struct shared_group g, again;
    char n[SHARED_NAME_MAX + 1], v[SHARED_VALUE_MAX + 1], whole[SHARED_VALUE_MAX + 32];
    if (!shared_group_parse(name, text, NOW, &g))
        return;
    MUST(g.kind < SHARED__COUNT && g.stamp_ms >= 0 && g.stamp_ms <= NOW);
    shared_group_name(&g, n);
    shared_group_value(&g, v);
    MUST(str_eq(str_c(n), name));
    int used = snprintf(whole, sizeof whole, "%lld %s", (long long)g.stamp_ms, v);
    MUST(shared_group_parse(str_c(n), str_make(whole, (size_t)used), NOW, &again));
    MUST(again.kind == g.kind && again.stamp_ms == g.stamp_ms && again.of == g.of);
    MUST(shared_group_in_force(&again) == shared_group_in_force(&g));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shared_hosts hosts = {0};
    char *p = fuzz_copy(data, size);
    struct str rest = str_make(p, size), name = cut(&rest);
    group(name, rest);
    if (shared_hosts_put(&hosts, name, rest)) {
        MUST(hosts.n == 1 && shared_hosts_find(&hosts, name));
        MUST(shared_hosts_turn(&hosts, name, 1, 1, 10000, NOW) == 0);
    }
    free(p);
    return 0;
}
