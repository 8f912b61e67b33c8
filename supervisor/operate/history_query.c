#include "supervisor/operate/history_query.h"

#include "common/base/clock.h"
#include "common/base/mem.h"

enum { OPEN_MAX = 16, PATIENCE_MS = 3000 };

struct history_query {
    struct list node;
    struct history_queries *all;
    struct asker from;
    uint64_t id;
    ev_timer late;
};

void history_query_init(struct history_queries *h, const struct operate_env *env)
{
    h->env = env;
    list_init(&h->open);
}

static void drop(struct history_query *q)
{
    ev_timer_stop(q->all->env->loop, &q->late);
    list_remove(&q->node);
    q->all->nopen--;
    mem_free(q);
}

void history_query_fini(struct history_queries *h)
{
    LIST_EACH(n, tmp, &h->open)
    drop(LIST_ENTRY(n, struct history_query, node));
}

static void refuse(struct history_query *q, const char *why)
{
    struct doc d;
    doc_init(&d, 1024);
    q->from.answer(&q->from, doc_refuse(&d, 503, why), &d);
    doc_free(&d);
    drop(q);
}

static void on_late(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop, (void)events;
    refuse(w->data, "the recorder did not answer in time: narrow the range, or try again");
}

bool history_query_possible(const struct history_queries *h)
{
    return h->env->recorder->wanted;
}

bool history_query_reads(const struct history_queries *h)
{
    const struct recorder *r = h->env->recorder;
    return r->wanted && recorder_stores(r);
}

/* Why there is no history, and what to set. */
static unsigned refuse_off(const struct operate_env *env, struct doc *d)
{
    if (env->conf->history.enabled == HISTORY_OFF)
        return doc_refuse(d, 409, "there is no history: set history.enabled to auto or true");
    if (!env->conf->state_dir)
        return doc_refuse(d, 409, "there is no history: set state_dir");
    if (env->recorder->program)
        return doc_refuse(d, 503, "the recorder has ended: QCC is being stopped");
    return doc_refuse(d, 409, "there is no history: qcc-recorder is not beside qcc-worker");
}

unsigned history_query_begin(struct history_queries *h, const struct asker *from, struct str what,
                             struct str arg, struct doc *d)
{
    if (successor_given(h->env->successor))
        return doc_refuse(d, 503,
                          "another supervisor takes over the history: connect again in a second");
    if (!history_query_possible(h))
        return refuse_off(h->env, d);
    if (h->nopen == OPEN_MAX)
        return doc_refuse(d, 503, "too many ask the history at the same time");
    if (!recorder_ask(h->env->recorder, h->last_id + 1, clock_mono_ms() + PATIENCE_MS, what, arg))
        return doc_refuse(d, 503,
                          h->env->recorder->silent
                              ? "the recorder does not answer: see the log"
                              : "the recorder is being started: try again in a second");
    struct history_query *q = mem_zalloc(1, sizeof *q);
    q->all = h;
    q->from = *from;
    q->id = ++h->last_id;
    list_push_back(&h->open, &q->node);
    h->nopen++;
    ev_timer_init(&q->late, on_late, PATIENCE_MS / 1000., 0.);
    q->late.data = q;
    ev_now_update(h->env->loop);
    ev_timer_start(h->env->loop, &q->late);
    return 0;
}

void history_query_on_answer(struct history_queries *h, const struct ipc_rec_answer *m)
{
    struct doc d;
    LIST_EACH(n, tmp, &h->open)
    {
        struct history_query *q = LIST_ENTRY(n, struct history_query, node);
        if (q->id != m->id)
            continue;
        doc_init(&d, IPC_ANSWER_MAX);
        d.torn = !buf_str(&d.b, m->body);
        q->from.answer(&q->from, m->status, &d);
        doc_free(&d);
        drop(q);
        return;
    }
}

void history_query_gone(struct history_queries *h)
{
    LIST_EACH(n, tmp, &h->open)
    refuse(LIST_ENTRY(n, struct history_query, node),
           "the recorder has ended: try again in a second");
}
