#include "supervisor/recorder/ask/ask.h"

#include "common/base/clock.h"

/* Steps of SQLite's machine between two looks at the clock: some tenths of a millisecond. */
enum { STEPS = 20000 };

static const struct {
    struct str what;
    unsigned (*run)(struct ask *a);
} questions[] = {
    {STR_LIT("requests"), ask_requests}, {STR_LIT("why"), ask_why},
    {STR_LIT("check"), ask_check},       {STR_LIT("prune"), ask_prune},
    {STR_LIT("backup"), ask_backup},     {STR_LIT("job"), ask_job},
    {STR_LIT("usage"), ask_usage},       {STR_LIT("blocks"), ask_blocks},
    {STR_LIT("speed"), ask_speed},       {STR_LIT("prices"), ask_prices},
    {STR_LIT("events"), ask_events},
};

static int is_late(void *until)
{
    return clock_mono_ms() >= *(const int64_t *)until;
}

unsigned ask_answer(struct ask *a, struct str what)
{
    int64_t until = clock_mono_ms() + ASK_MS;
    until = a->until_ms < until ? a->until_ms : until;
    for (size_t i = 0; i < COUNT_OF(questions); i++) {
        if (!str_eq(questions[i].what, what))
            continue;
        sqlite3_progress_handler(a->db, STEPS, is_late, &until);
        unsigned status = questions[i].run(a);
        sqlite3_progress_handler(a->db, 0, NULL, NULL);
        return status;
    }
    return doc_refuse(a->d, 404, "there is no such question");
}
