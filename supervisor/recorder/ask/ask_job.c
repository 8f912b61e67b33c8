#include "supervisor/recorder/ask/ask.h"

#include "common/base/clock.h"
#include "common/ipc/params.h"
#include "supervisor/recorder/job/job.h"

/* Bytes of a file that quick_check is run on in one piece: 0.7 s. */
enum { FULL_CHECK = 256 << 20 };

static unsigned begin(struct ask *a, const struct job_kind *kind)
{
    return job_begin(a->job, kind, clock_mono_ms(), a->now_ms, a->d);
}

unsigned ask_check(struct ask *a)
{
    if (job_busy(a->job, a->d))
        return 409;
    int rc = job_check_open(a->job, FULL_CHECK);
    return rc == SQLITE_OK ? begin(a, &job_check_kind) : ask_failed(a, rc);
}

unsigned ask_backup(struct ask *a)
{
    struct err e;
    if (job_busy(a->job, a->d))
        return 409;
    if (!job_backup_open(a->job, a->min_free, &e))
        return doc_refuse(a->d, 409, e.msg);
    return begin(a, &job_backup_kind);
}

/* The number of the client's name; 0: the file does not have it. */
static int client_of(struct ask *a, struct str name, int64_t *id)
{
    sqlite3_stmt *st;
    int rc =
        sqlite3_prepare_v2(a->db, "SELECT id FROM name WHERE kind=?1 AND text=?2", -1, &st, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_int(st, 1, NAME_CLIENT);
        sqlite3_bind_text(st, 2, name.p, (int)name.n, SQLITE_STATIC);
        rc = sqlite3_step(st);
    }
    *id = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

unsigned ask_prune(struct ask *a)
{
    static const struct str known[] = {STR_LIT("before"), STR_LIT("client")};
    char before_room[32], client_room[256];
    struct str before, client;
    int64_t at_s, id = 0;
    int rc = SQLITE_OK;
    if (params_unknown(a->arg, known, COUNT_OF(known)).n)
        return doc_refuse(a->d, 400, "prune takes before and client, and nothing else");
    if (params_get(a->arg, known[0], before_room, sizeof before_room, &before) != PARAM_GIVEN ||
        !params_moment(before, a->now_ms / 1000, &at_s))
        return doc_refuse(a->d, 400,
                          "before is Unix seconds, or a span back from now as 90m, 24h, 7d");
    enum param given = params_get(a->arg, known[1], client_room, sizeof client_room, &client);
    if (given == PARAM_BAD || (given == PARAM_GIVEN && !client.n))
        return doc_refuse(a->d, 400, "client is no name of a client");
    if (job_busy(a->job, a->d))
        return 409;
    if (given == PARAM_GIVEN) {
        rc = client_of(a, client, &id);
        if (rc == SQLITE_OK && !id)
            return doc_refuse(a->d, 404, "the history has no client of that name");
    }
    if (rc == SQLITE_OK)
        rc = job_prune_open(a->job, at_s >= a->now_ms / 1000 ? INT64_MAX : at_s, id);
    return rc == SQLITE_OK ? begin(a, &job_prune_kind) : ask_failed(a, rc);
}

unsigned ask_job(struct ask *a)
{
    static const struct str id = STR_LIT("id");
    char room[24];
    struct str v;
    uint64_t n;
    if (params_get(a->arg, id, room, sizeof room, &v) != PARAM_GIVEN ||
        !str_to_u64(v, INT64_MAX, &n))
        return doc_refuse(a->d, 400, "id is the number of a job");
    return job_show(a->job, (int64_t)n, clock_mono_ms(), a->d);
}
