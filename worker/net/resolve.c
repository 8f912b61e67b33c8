#include "worker/net/resolve.h"

#include "common/base/clock.h"
#include "common/base/mem.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

/* Threads that may wait for name servers at once; one a name, so that only many names that hang
 * reach it. */
enum { THREADS = 64 };

/* Where threads put their answers. Freed by the last of the resolver and the threads. */
struct mailbox {
    pthread_mutex_t lock;
    unsigned users; /* the resolver, if it is there, and the threads */
    bool closed;    /* the resolver is gone: `loop` and `async` too */
    struct ev_loop *loop;
    ev_async *async;
    struct lookup *answered;
};

/* One call of getaddrinfo. A thread's until it is in mailbox.answered. */
struct lookup {
    struct mailbox *to;
    struct lookup *next;
    resolve_ask *ask;
    char *host;
    int error;
    struct addresses *found; /* NULL: error */
};

/* A name: its cached answer, and who waits for a new one. */
struct name {
    struct list node;
    struct list waiting; /* struct resolve */
    char *host;
    int64_t until;           /* clock_boot_ms up to which `known` is used; 0: forgotten */
    bool asking;             /* a thread asks for it */
    struct addresses *known; /* NULL: it was never found */
};

struct resolver {
    struct ev_loop *loop;
    resolve_ask *ask;
    struct mailbox *box; /* made with the first question */
    ev_async async;
    struct list names;
    unsigned threads;
};

/* ---- in a thread */

static void lookup_free(struct lookup *l)
{
    mem_free(l->host);
    mem_free(l->found);
    mem_free(l);
}

/* Ends a use of the mailbox; called with its lock, which it gives back. */
static void leave(struct mailbox *m)
{
    bool last = --m->users == 0;
    struct lookup *l = last ? m->answered : NULL;
    pthread_mutex_unlock(&m->lock);
    if (!last)
        return;
    while (l) {
        struct lookup *next = l->next;
        lookup_free(l);
        l = next;
    }
    pthread_mutex_destroy(&m->lock);
    mem_free(m);
}

static struct addresses *addresses_new(size_t n)
{
    return mem_zalloc(1, sizeof(struct addresses) + n * sizeof(struct address));
}

/* Copies what getaddrinfo found. */
static struct addresses *taken(const struct addrinfo *found)
{
    size_t n = 0;
    for (const struct addrinfo *a = found; a && n < RESOLVE_MAX; a = a->ai_next)
        n++;
    struct addresses *out = addresses_new(n);
    for (const struct addrinfo *a = found; a && n > 0; a = a->ai_next, n--)
        if ((a->ai_family == AF_INET || a->ai_family == AF_INET6) &&
            a->ai_addrlen <= sizeof out->v[0].to)
            memcpy(&out->v[out->n++].to, a->ai_addr, a->ai_addrlen);
    return out;
}

static void *look_up(void *arg)
{
    struct lookup *l = arg;
    struct mailbox *m = l->to;
    struct addrinfo *found = NULL, hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    l->error = l->ask(l->host, NULL, &hints, &found);
    if (!l->error) {
        l->found = taken(found);
        l->error = l->found->n ? 0 : EAI_NONAME;
        freeaddrinfo(found);
    }
    pthread_mutex_lock(&m->lock);
    l->next = m->answered;
    m->answered = l;
    if (!m->closed)
        ev_async_send(m->loop, m->async);
    leave(m);
    return NULL;
}

/* ---- names */

static struct name *find(struct resolver *r, const char *host)
{
    LIST_EACH(n, tmp, &r->names)
    {
        struct name *x = LIST_ENTRY(n, struct name, node);
        if (strcmp(x->host, host) == 0)
            return x;
    }
    return NULL;
}

static void name_free(struct name *x)
{
    list_remove(&x->node);
    mem_free(x->host);
    mem_free(x->known);
    mem_free(x);
}

/* Forgets names that were not asked for in the last ten minutes: a configuration may have gone
 * through many. */
static void forget_old(struct resolver *r, int64_t now)
{
    LIST_EACH(n, tmp, &r->names)
    {
        struct name *x = LIST_ENTRY(n, struct name, node);
        if (!x->asking && list_empty(&x->waiting) &&
            now - x->until > INT64_C(10) * RESOLVE_CACHE_MS)
            name_free(x);
    }
}

static struct name *find_or_add(struct resolver *r, const char *host)
{
    struct name *x = find(r, host);
    if (x)
        return x;
    forget_old(r, clock_boot_ms());
    x = mem_zalloc(1, sizeof *x);
    x->host = mem_strdup(host);
    list_init(&x->waiting);
    list_push_back(&r->names, &x->node);
    return x;
}

static bool same(const struct address *a, const struct address *b)
{
    if (a->to.any.sa_family != b->to.any.sa_family)
        return false;
    if (a->to.any.sa_family == AF_INET)
        return a->to.v4.sin_addr.s_addr == b->to.v4.sin_addr.s_addr;
    return a->to.v6.sin6_scope_id == b->to.v6.sin6_scope_id &&
           memcmp(&a->to.v6.sin6_addr, &b->to.v6.sin6_addr, sizeof b->to.v6.sin6_addr) == 0;
}

static const struct address *in(const struct addresses *l, const struct address *a)
{
    for (size_t i = 0; l && i < l->n; i++)
        if (same(&l->v[i], a))
            return &l->v[i];
    return NULL;
}

/* A list with the addresses of a, each once; those that failed behind the others, each in the order
 * that it had. */
static struct addresses *failed_last(const struct addresses *a)
{
    struct addresses *out = addresses_new(a->n);
    for (int failed = 0; failed < 2; failed++)
        for (size_t i = 0; i < a->n; i++)
            if (a->v[i].failed == (failed == 1) && !in(out, &a->v[i]))
                out->v[out->n++] = a->v[i];
    return out;
}

/* Makes a, whose ownership is not taken, the known addresses. */
static void know(struct name *x, const struct addresses *a)
{
    struct addresses *sorted = failed_last(a);
    mem_free(x->known);
    x->known = sorted;
}

/* Takes over what a thread has found; what is known of an address stays with it. */
static void learn(struct name *x, struct addresses *found)
{
    for (size_t i = 0; i < found->n; i++) {
        const struct address *old = in(x->known, &found->v[i]);
        found->v[i].failed = old && old->failed;
    }
    know(x, found);
    x->until = clock_boot_ms() + RESOLVE_CACHE_MS;
}

static void answer(struct resolver *r, struct lookup *l)
{
    struct name *x = find(r, l->host);
    if (!x)
        return;
    x->asking = false;
    if (l->error == 0)
        learn(x, l->found);
    /* a callback may ask again, which is then another question */
    struct list waiting;
    list_init(&waiting);
    while (!list_empty(&x->waiting)) {
        struct list *n = x->waiting.next;
        list_remove(n);
        list_push_back(&waiting, n);
    }
    while (!list_empty(&waiting)) {
        struct resolve *q = LIST_ENTRY(waiting.next, struct resolve, node);
        list_remove(&q->node);
        q->done(q, l->error ? NULL : x->known, l->error);
    }
}

static void on_async(struct ev_loop *loop, ev_async *w, int revents)
{
    (void)loop, (void)revents;
    struct resolver *r = CONTAINER_OF(w, struct resolver, async);
    pthread_mutex_lock(&r->box->lock);
    struct lookup *l = r->box->answered;
    r->box->answered = NULL;
    pthread_mutex_unlock(&r->box->lock);
    while (l) {
        struct lookup *next = l->next;
        r->threads--;
        answer(r, l);
        lookup_free(l);
        l = next;
    }
}

/* ---- interface */

struct addresses *addresses_copy(const struct addresses *a)
{
    struct addresses *out = addresses_new(a->n);
    out->n = a->n;
    memcpy(out->v, a->v, a->n * sizeof a->v[0]);
    return out;
}

bool addresses_news(const struct addresses *a, const struct addresses *tried)
{
    for (size_t i = 0; i < a->n; i++)
        if (!in(tried, &a->v[i]))
            return true;
    return false;
}

struct resolver *resolver_new(struct ev_loop *loop, resolve_ask *ask)
{
    struct resolver *r = mem_zalloc(1, sizeof *r);
    r->loop = loop;
    r->ask = ask;
    list_init(&r->names);
    ev_async_init(&r->async, on_async);
    return r;
}

static void open_box(struct resolver *r)
{
    struct mailbox *m = mem_zalloc(1, sizeof *m);
    pthread_mutex_init(&m->lock, NULL);
    m->users = 1;
    m->loop = r->loop;
    m->async = &r->async;
    r->box = m;
    ev_async_start(r->loop, &r->async);
    ev_unref(r->loop);
}

void resolver_free(struct resolver *r)
{
    if (!r)
        return;
    if (r->box) {
        ev_ref(r->loop);
        ev_async_stop(r->loop, &r->async);
        pthread_mutex_lock(&r->box->lock);
        r->box->closed = true;
        leave(r->box);
    }
    LIST_EACH(n, tmp, &r->names)
    name_free(LIST_ENTRY(n, struct name, node));
    mem_free(r);
}

const struct addresses *resolve_cached(struct resolver *r, const char *host, int64_t now)
{
    const struct name *x = find(r, host);
    return x && x->known && now < x->until ? x->known : NULL;
}

/* Starts a thread, in which no signal of the worker is handled. */
static bool run(struct lookup *l)
{
    sigset_t all, before;
    pthread_attr_t attr;
    pthread_t thread;
    sigfillset(&all);
    if (pthread_attr_init(&attr) != 0)
        return false;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool ok = pthread_create(&thread, &attr, look_up, l) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return ok;
}

static bool ask(struct resolver *r, struct name *x)
{
    if (r->threads >= THREADS)
        return false;
    if (!r->box)
        open_box(r);
    struct lookup *l = mem_zalloc(1, sizeof *l);
    *l = (struct lookup){.to = r->box, .ask = r->ask, .host = mem_strdup(x->host)};
    pthread_mutex_lock(&r->box->lock);
    r->box->users++;
    pthread_mutex_unlock(&r->box->lock);
    if (!run(l)) {
        pthread_mutex_lock(&r->box->lock);
        leave(r->box);
        lookup_free(l);
        return false;
    }
    r->threads++;
    x->asking = true;
    return true;
}

bool resolve_start(struct resolver *r, struct resolve *q, const char *host)
{
    struct name *x = find_or_add(r, host);
    if (!x->asking && !ask(r, x))
        return false;
    list_push_back(&x->waiting, &q->node);
    return true;
}

void resolve_cancel(struct resolve *q)
{
    list_remove(&q->node);
}

void resolve_tell(struct resolver *r, const char *host, const struct addresses *a, bool reached)
{
    struct name *x = find(r, host);
    if (!x || !x->known)
        return;
    for (size_t i = 0; i < x->known->n; i++) {
        const struct address *told = in(a, &x->known->v[i]);
        if (told)
            x->known->v[i].failed = told->failed;
    }
    know(x, x->known);
    if (!reached)
        x->until = 0;
}
