#include "worker/admin/log_lines.h"

#include "common/base/log.h"
#include "common/base/logring.h"
#include "common/ipc/ipc.h"
#include "common/ipc/params.h"
#include "worker/admin/json_write.h"

enum {
    LINES = 200,
    LINES_MAX = 1000,
    /* finished lines behind an unfinished one after which that is passed over: its writer has died
     */
    PATIENCE = 16
};

static const char *const levels[] = {"debug", "info", "warning", "error"};

struct wanted {
    uint64_t n, after;
    bool since; /* after was given */
    unsigned level;
    struct str word; /* empty: any line */
    char room[IPC_QUERY_MAX];
};

static bool read_number(struct str query, struct str name, uint64_t max, uint64_t *v, bool *given)
{
    char room[32];
    struct str text;
    enum param p = params_get(query, name, room, sizeof room, &text);
    *given = p != PARAM_NONE;
    return p == PARAM_NONE || (p == PARAM_GIVEN && str_to_u64(text, max, v));
}

static bool read_level(struct str query, unsigned *level)
{
    char room[16];
    struct str text;
    enum param p = params_get(query, STR("level"), room, sizeof room, &text);
    if (p == PARAM_NONE)
        return true;
    for (*level = 0; p == PARAM_GIVEN && *level < COUNT_OF(levels); ++*level)
        if (str_eq(text, str_c(levels[*level])))
            return true;
    return false;
}

static bool read_query(struct str query, struct wanted *w, struct err *e)
{
    static const struct str known[] = {STR_LIT("n"), STR_LIT("level"), STR_LIT("grep"),
                                       STR_LIT("after")};
    bool given;
    *w = (struct wanted){.n = LINES};
    if (params_unknown(query, known, COUNT_OF(known)).n)
        return err_set(e, "the parameters are n, level, grep and after");
    if (!read_number(query, STR("n"), LINES_MAX, &w->n, &given) || w->n == 0)
        return err_set(e, "n is a number from 1 to %d", LINES_MAX);
    if (!read_number(query, STR("after"), UINT64_MAX, &w->after, &w->since))
        return err_set(e, "after is the number that an earlier answer has as next");
    if (!read_level(query, &w->level))
        return err_set(e, "level is debug, info, warning or error");
    if (params_get(query, STR("grep"), w->room, sizeof w->room, &w->word) == PARAM_BAD)
        return err_set(e, "grep is a text that the line contains");
    return true;
}

static bool matches(const struct wanted *w, unsigned level, struct str line)
{
    return level >= w->level && (w->word.n == 0 || str_find(line, w->word) >= 0);
}

/* The next line. One that is being written ends the reading, so that a later answer has it, unless
 * its writer has died. */
static ptrdiff_t next_line(struct logring_reader *r, char line[static LOGRING_LINE],
                           unsigned *level)
{
    ptrdiff_t n = logring_next(r, true, line, level);
    if (n >= 0 || !logring_behind(r))
        return n;
    struct logring_reader probe = *r;
    unsigned finished = 0;
    while (finished < PATIENCE && logring_next(&probe, false, line, level) >= 0)
        finished++;
    return finished == PATIENCE ? logring_next(r, false, line, level) : -1;
}

/* How many lines are wanted; *r is then at the end. */
static uint64_t count(const struct wanted *w, struct logring_reader *r)
{
    char line[LOGRING_LINE];
    unsigned level;
    ptrdiff_t n;
    uint64_t have = 0;
    while ((n = next_line(r, line, &level)) >= 0)
        have += matches(w, level, str_make(line, (size_t)n));
    return have;
}

static bool put_lines(const struct wanted *w, struct logring_reader *r, uint64_t end, uint64_t skip,
                      struct buf *out)
{
    char line[LOGRING_LINE];
    unsigned level;
    ptrdiff_t n;
    bool first = true;
    while (r->at < end && (n = next_line(r, line, &level)) >= 0) {
        struct str s = str_make(line, (size_t)n);
        if (!matches(w, level, s) || (skip && skip--))
            continue;
        if (!buf_printf(out, "%s{\"level\":\"%s\",\"line\":", first ? "" : ",",
                        levels[min_size(level, COUNT_OF(levels) - 1)]) ||
            !json_write_text(s, out) || !buf_str(out, STR("}")))
            return false;
        first = false;
    }
    return true;
}

unsigned log_lines_write(struct str query, struct buf *out, struct err *e)
{
    struct wanted w;
    struct logring_reader r;
    if (!read_query(query, &w, e))
        return 400;
    if (!logring_own(&r)) {
        err_set(e, "this service keeps no lines of its log in memory");
        return 503;
    }
    bool found = !w.since || logring_seek(&r, w.after);
    struct logring_reader last = r;
    uint64_t have = count(&w, &last), skip = have > w.n ? have - w.n : 0;
    bool lost = w.since && (!found || last.lost || skip);
    if (buf_str(out, STR("{\"lines\":[")) && put_lines(&w, &r, last.at, skip, out) &&
        buf_printf(out, "],\"next\":%llu,\"lost\":%s}", (unsigned long long)last.at,
                   lost ? "true" : "false"))
        return 200;
    err_set(e, "the answer is too long: ask for fewer lines");
    return 500;
}
