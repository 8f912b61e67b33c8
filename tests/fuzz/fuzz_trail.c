/* Fuzz target of trail.h: any bytes are refused, or can be read to the end in the promised order,
 * with numbers within their enums and texts within the blob. */
#include "supervisor/recorder/tables/trail.h"
#include "tests/fuzz/fuzz.h"

static void within(struct str blob, struct str s)
{
    MUST(s.n == 0 || (s.p >= blob.p && s.p + s.n <= blob.p + blob.n));
}

static void walk(struct trail *t, struct str blob)
{
    struct trail_choice c;
    struct trail_skip s;
    struct recent_attempt a;
    for (unsigned i = 0; i < t->choices; i++) {
        MUST(trail_choice(t, &c) && c.x.end < SEL_END__COUNT && c.x.listed <= CHOICE_LISTED);
        within(blob, c.name);
        for (unsigned k = 0; k < c.x.listed; k++) {
            MUST(trail_skip(t, &s) && s.x.why < SEL_SKIP__COUNT);
            within(blob, s.name);
        }
    }
    for (unsigned i = 0; i < t->attempts; i++) {
        MUST(trail_attempt(t, &a) && a.cls < OUTCOME__COUNT && a.fault < FAULT__COUNT);
        within(blob, a.endpoint);
        within(blob, a.reason);
    }
    MUST(t->left.n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trail t;
    char *p = fuzz_copy(data, size);
    if (trail_read(&t, str_make(p, size)))
        walk(&t, str_make(p, size));
    free(p);
    return 0;
}
