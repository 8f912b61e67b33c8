#include "supervisor/recorder/job/job.h"

#include "common/ipc/ipc.h"

#include <malloc.h>
#include <string.h>

/* Milliseconds: how long a job, or its result, waits for somebody to ask for it; the pause after a
 * lock. */
enum { FORGOTTEN_MS = 10000, LOCK_MS = 200 };

static const char *const state_text[] = {
    [JOB_NONE] = "none", [JOB_RUNNING] = "running", [JOB_DONE] = "done", [JOB_FAILED] = "failed"};

static void put_head(const struct job *j, struct doc *d, uint32_t more)
{
    doc_map(d, 5 + more);
    doc_kv_int(d, "job", j->id);
    doc_kv_text(d, "what", j->kind->name);
    doc_kv_text(d, "state", state_text[j->state]);
    doc_kv_int(d, "done", j->done);
    doc_kv_int(d, "total", j->total);
}

bool job_busy(const struct job *j, struct doc *d)
{
    struct err e;
    if (j->state != JOB_RUNNING)
        return false;
    err_set(&e, "a %s is under way: try again when it has ended", j->kind->name);
    doc_refuse(d, 409, e.msg);
    return true;
}

unsigned job_begin(struct job *j, const struct job_kind *kind, int64_t now_ms, int64_t wall_ms,
                   struct doc *d)
{
    if (kind->forget)
        j->forget = NULL; /* its own files have been removed */
    j->kind = kind;
    j->state = JOB_RUNNING;
    j->id = wall_ms > j->id ? wall_ms : j->id + 1; /* also after a start: no number comes twice */
    j->began_ms = j->asked_ms = j->at_ms = now_ms;
    j->began_wall_ms = wall_ms;
    j->done = 0;
    put_head(j, d, 0);
    return 200;
}

enum job_turn job_failed(struct job *j, int rc)
{
    int kind = rc & 0xff;
    if (kind == SQLITE_BUSY || kind == SQLITE_LOCKED)
        return JOB_LATER;
    err_set(&j->why, "%s", sqlite3_errstr(rc));
    return JOB_BROKEN;
}

static unsigned put_state(const struct job *j, struct doc *d)
{
    struct err e;
    if (j->state == JOB_FAILED) {
        err_set(&e, "the %s has failed: %.400s", j->kind->name, j->why.msg);
        return doc_refuse(d, 500, e.msg);
    }
    put_head(j, d, j->state == JOB_DONE ? j->kind->members : 0);
    if (j->state == JOB_DONE)
        j->kind->put(j, d);
    return 200;
}

/* Another job may be begun before this one's state is asked for. */
static void keep_result(struct job *j)
{
    struct job_result *r = &j->results[j->nresults++ % JOB_RESULTS];
    doc_free(&r->d);
    doc_init(&r->d, IPC_ANSWER_MAX);
    r->id = j->id;
    r->status = put_state(j, &r->d);
}

static void end(struct job *j, enum job_state state)
{
    j->kind->close(j);
    j->state = state;
    if (state == JOB_DONE && j->kind->forget) {
        j->forget = j->kind->forget;
        j->forget_ms = j->asked_ms + FORGOTTEN_MS;
    }
    keep_result(j);
    malloc_trim(0); /* a job takes more memory than a batch */
}

void job_abort(struct job *j, const char *why)
{
    if (j->state != JOB_RUNNING)
        return;
    err_set(&j->why, "%s", why);
    end(j, JOB_FAILED);
}

void job_free(struct job *j)
{
    job_abort(j, "the recorder ends");
    doc_free(&j->check.faults);
    for (size_t i = 0; i < JOB_RESULTS; i++)
        doc_free(&j->results[i].d);
}

static bool forgotten(const struct job *j, int64_t now_ms)
{
    return now_ms - j->asked_ms >= FORGOTTEN_MS;
}

bool job_turn(struct job *j, int64_t now_ms)
{
    j->now_ms = now_ms;
    if (j->forget && now_ms >= j->forget_ms) {
        j->forget();
        j->forget = NULL;
    }
    if (j->state != JOB_RUNNING || now_ms < j->at_ms)
        return false;
    if (!j->kind->alone && forgotten(j, now_ms)) {
        job_abort(j, "nobody has asked for it any more");
        return true;
    }
    switch (j->kind->step(j)) {
    case JOB_MORE:
        break;
    case JOB_LATER:
        j->at_ms = now_ms + LOCK_MS;
        break;
    case JOB_ENDED:
        end(j, JOB_DONE);
        break;
    case JOB_BROKEN:
        end(j, JOB_FAILED);
        break;
    }
    return j->state != JOB_RUNNING;
}

int64_t job_due(const struct job *j)
{
    if (j->state == JOB_RUNNING)
        return j->at_ms;
    return j->forget ? j->forget_ms : INT64_MAX;
}

unsigned job_show(struct job *j, int64_t id, int64_t now_ms, struct doc *d)
{
    if (j->state == JOB_RUNNING && j->id == id) {
        j->asked_ms = now_ms;
        return put_state(j, d);
    }
    for (size_t i = 0; i < JOB_RESULTS; i++)
        if (id && j->results[i].id == id) {
            d->torn = !buf_str(&d->b, buf_view(&j->results[i].d.b));
            return j->results[i].status;
        }
    return doc_refuse(d, 404, "there is no such job: the recorder was started anew meanwhile");
}
