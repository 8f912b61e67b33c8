#include "worker/translate/interpreter.h"

#include "common/ipc/ipc.h"
#include "worker/http/http1.h"
#include "worker/loop/uplink.h"
#include "worker/shared/counters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* MEM_SLACK, BODY_SLACK: beside what grows with the request's body. */
enum { MEM_SLACK = 1 << 20, BODY_SLACK = 64 << 10, KEPT_MAX = 16 << 20 };

/* What the buffer of a worker's events keeps between two of them. */
enum { OUT_IDLE = 64 << 10 };

void interpreter_env_init(struct interpreter_env *env, struct uplink *uplink,
                          struct counters *counters)
{
    env->uplink = uplink;
    env->counters = counters;
    env->learnt = (struct dialect_table){0};
    buf_init(&env->out, UINT32_MAX);
}

void interpreter_env_free(struct interpreter_env *env)
{
    dialect_table_free(&env->learnt);
    buf_free(&env->out);
}

void interpreter_init(struct interpreter *i, struct interpreter_env *env, uint64_t held_max)
{
    *i = (struct interpreter){.env = env, .held_max = held_max};
    arena_init(&i->mem, MEM_SLACK);
    arena_init(&i->kept, KEPT_MAX);
    buf_init(&i->body, BODY_SLACK);
}

void interpreter_drop(struct interpreter *i)
{
    openai_reply_free(i->reply);
    i->reply = NULL;
    i->alien_coding = false;
    arena_free(&i->kept);
}

void interpreter_sent(struct interpreter *i)
{
    buf_free(&i->body);
    arena_free(&i->mem);
    i->env->counters->buffered -= i->held;
    i->held = 0;
}

void interpreter_free(struct interpreter *i)
{
    interpreter_drop(i);
    interpreter_sent(i);
}

/* ---- the request */

/* Counts what the translation takes as held. False: more than may be is held. */
static bool hold(struct interpreter *i)
{
    uint64_t *all = &i->env->counters->buffered, n = i->mem.used + i->body.cap;
    i->no_room = n > i->held_max - (*all < i->held_max ? *all : i->held_max);
    i->held = i->no_room ? 0 : n;
    *all += i->held;
    return !i->no_room;
}

enum openai_made interpreter_request(struct interpreter *i, const struct conf_endpoint *ce,
                                     uint32_t endpoint, struct str model, struct str body,
                                     uint64_t estimate)
{
    interpreter_free(i);
    i->key = str_c(ce->api_key);
    if (i->endpoint != endpoint || !str_eq(i->model, model)) {
        i->learnt = dialect_table_get(&i->env->learnt, endpoint, model);
        i->endpoint = endpoint;
        i->model = model;
        i->changes = 0;
    }
    struct openai_options o = {
        .model = model,
        .base_url = str_c(ce->base_url),
        .max_tokens = ce->max_tokens,
        .input_estimate = estimate ? estimate : 1,
        .learnt = &i->learnt,
    };
    arena_init(&i->mem, 8 * body.n + MEM_SLACK);
    buf_init(&i->body, 3 * body.n + BODY_SLACK);
    i->fault = NULL;
    i->no_room = i->env->counters->buffered + body.n / 2 > i->held_max;
    if (i->no_room) /* what comes of it is hardly shorter: it is not made in vain */
        return OPENAI_NO_ROOM;
    enum openai_made made = openai_request(body, &o, &i->mem, &i->body, &i->ctx, &i->fault);
    if (made != OPENAI_MADE || hold(i))
        return made;
    interpreter_sent(i);
    return OPENAI_NO_ROOM;
}

/* Tells the other workers what is kept of what was learnt. */
static void tell_learnt(const struct interpreter *i)
{
    char id[9];
    snprintf(id, sizeof id, "%08x", i->endpoint);
    struct dialect_learnt l = dialect_table_get(&i->env->learnt, i->endpoint, i->model);
    struct ipc_learnt_here m = {.endpoint = str_c(id),
                                .model = i->model,
                                .changes = l.changes,
                                .completion_field = l.completion_field,
                                .limit = l.limit};
    if (l.changes && i->model.n <= IPC_MODEL_MAX)
        uplink_send(i->env->uplink, ipc_put_v_learnt_here, &m);
}

bool interpreter_learn(struct interpreter *i, unsigned status, struct str refusal)
{
    if ((status != 400 && status != 404 && status != 422) || i->changes >= DIALECT_LEARN_MAX ||
        !dialect_learn(status, refusal, &i->ctx, &i->learnt))
        return false;
    i->changes++;
    dialect_table_put(&i->env->learnt, i->endpoint, i->model, &i->learnt);
    tell_learnt(i);
    return true;
}

void interpreter_on_learnt(struct interpreter_env *env, const struct ipc_learnt *m)
{
    char id[9] = "";
    memcpy(id, m->endpoint.p, min_size(m->endpoint.n, 8));
    uint32_t endpoint = (uint32_t)strtoul(id, NULL, 16);
    struct dialect_learnt l = dialect_table_get(&env->learnt, endpoint, m->model);
    l.changes |= m->changes;
    l.completion_field = m->completion_field;
    if (m->limit && (!l.limit || m->limit < l.limit))
        l.limit = m->limit;
    dialect_table_put(&env->learnt, endpoint, m->model, &l);
}

/* ---- the context of a reply, which outlives the request's body */

static bool keep(struct arena *a, struct str *s)
{
    const char *copy = arena_strndup(a, s->p ? s->p : "", s->n);
    *s = str_make(copy, copy ? s->n : 0);
    return copy != NULL;
}

static bool keep_list(struct arena *a, const struct str **list, size_t n)
{
    struct str *v = arena_alloc(a, (n + 1) * sizeof *v);
    bool ok = v != NULL;
    for (size_t k = 0; ok && k < n; k++) {
        v[k] = (*list)[k];
        ok = keep(a, &v[k]);
    }
    *list = v;
    return ok;
}

static bool keep_names(struct arena *a, const struct tool_name **list, size_t n)
{
    struct tool_name *v = arena_alloc(a, (n + 1) * sizeof *v);
    bool ok = v != NULL;
    for (size_t k = 0; ok && k < n; k++) {
        v[k] = (*list)[k];
        ok = keep(a, &v[k].sent) && keep(a, &v[k].client);
    }
    *list = v;
    return ok;
}

static bool keep_context(struct interpreter *i)
{
    struct dialect_context *c = &i->ctx;
    return keep(&i->kept, &c->model) && keep_list(&i->kept, &c->stops, c->nstops) &&
           keep_names(&i->kept, &c->names, c->nnames) && keep_list(&i->kept, &c->ids, c->nids);
}

/* ---- the reply */

bool interpreter_begin(struct interpreter *i, const struct http_head *h, uint64_t seed, size_t most)
{
    interpreter_drop(i);
    const struct http_field *type = http1_field(h, HDR_CONTENT_TYPE);
    const struct http_field *coding = http1_field(h, HDR_CONTENT_ENCODING);
    i->alien_coding = coding && !str_eq_nocase(coding->value, STR("identity"));
    buf_bound(&i->env->out, 2 * most + INTERPRETER_OUT_SLACK);
    i->reply = keep_context(i) ? openai_reply_new(&i->kept, &i->ctx, seed, most) : NULL;
    if (i->reply) {
        openai_reply_secret(i->reply, i->key);
        openai_reply_begin(i->reply, type ? type->value : STR(""));
    }
    return i->reply != NULL;
}

/* What the reply's fault is to the classifier. */
static void tell_fault(const struct interpreter *i, enum net_fault why, struct interpreted *in)
{
    const struct openai_failure *f = openai_reply_failure(i->reply);
    in->kind = EVIDENCE_SSE_ERROR;
    in->net = why;
    switch (f->fault) {
    case OPENAI_FAULT_TOLD:
        in->net = NET_NONE;
        in->body = f->body;
        break;
    case OPENAI_FAULT_ALIEN:
        in->net = NET_NONE;
        in->kind = EVIDENCE_BAD_200;
        in->body = f->body;
        break;
    case OPENAI_FAULT_EMPTY:
        in->net = why != NET_NONE ? why : NET_EMPTY;
        break;
    case OPENAI_FAULT_BOUND:
    case OPENAI_FAULT_CUT:
    case OPENAI_FAULT_NONE:
        in->net = why != NET_NONE ? why : NET_PARTIAL;
        break;
    }
}

static struct interpreted interpreted(struct interpreter *i, enum openai_fed fed,
                                      enum net_fault why)
{
    struct interpreted in = {.fed = fed, .bytes = buf_view(&i->env->out)};
    if (fed == OPENAI_FAILED)
        tell_fault(i, why, &in);
    return in;
}

/* Empties the buffer of the event before; what an unusual one has left is given back. */
static struct buf *out_begin(struct interpreter *i)
{
    struct buf *out = &i->env->out;
    if (out->cap > OUT_IDLE)
        buf_free(out);
    buf_drop(out, out->len);
    return out;
}

struct interpreted interpreter_feed(struct interpreter *i, const char *p, size_t n, bool end)
{
    struct buf *out = out_begin(i);
    if (i->alien_coding)
        return (struct interpreted){.fed = OPENAI_FAILED, .kind = EVIDENCE_BAD_200};
    enum openai_fed fed = openai_reply_feed(i->reply, p, n, out);
    if (fed == OPENAI_MORE && end)
        fed = openai_reply_end(i->reply, true, out);
    return interpreted(i, fed, NET_NONE);
}

struct interpreted interpreter_broken(struct interpreter *i, enum net_fault why)
{
    struct buf *out = out_begin(i);
    return interpreted(i, openai_reply_end(i->reply, false, out), why);
}

struct interpreted interpreter_quiet(struct interpreter *i)
{
    struct buf *out = out_begin(i);
    return interpreted(i, openai_reply_quiet(i->reply, out), NET_IDLE_TIMEOUT);
}

bool interpreter_finishing(const struct interpreter *i)
{
    return i->reply && openai_reply_finishing(i->reply);
}
