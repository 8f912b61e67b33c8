#include "tests/fake_upstream/reply/play.h"

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/mem.h"

/* Bytes of a reply that are stored, more than any canned one has; larger replies use filler. */
enum { BYTES_MAX = 96 * 1024 * 1024 };

struct play *play_new(void)
{
    struct play *p = mem_zalloc(1, sizeof *p);
    p->refs = 1;
    p->close_idle_us = -1;
    p->content_from = UINT64_MAX;
    buf_init(&p->bytes, BYTES_MAX);
    return p;
}

struct play *play_ref(struct play *p)
{
    p->refs++;
    return p;
}

void play_unref(struct play *p)
{
    if (!p || --p->refs)
        return;
    buf_free(&p->bytes);
    mem_free(p->v);
    mem_free(p);
}

static void push(struct play *p, struct step s)
{
    if (p->n == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 8;
        p->v = mem_realloc(p->v, p->cap, sizeof *p->v);
    }
    p->v[p->n++] = s;
}

void play_send(struct play *p, size_t off, size_t len, uint64_t count, int64_t gap_us)
{
    if (len == 0 || count == 0)
        return;
    struct step *last = p->n ? &p->v[p->n - 1] : NULL;
    if (last && last->kind == STEP_SEND && last->count == 1 && count == 1 && gap_us == 0 &&
        last->off + last->len == off) {
        last->len += len;
        return;
    }
    push(p, (struct step){STEP_SEND, off, len, count, gap_us});
}

void play_fill(struct play *p, uint64_t n, int64_t gap_us)
{
    if (n)
        push(p, (struct step){STEP_FILL, 0, 0, n, gap_us});
}

void play_text(struct play *p, struct str s, int64_t gap_us)
{
    size_t off = p->bytes.len;
    if (!buf_str(&p->bytes, s))
        die("reply too large");
    play_send(p, off, s.n, 1, gap_us);
}

void play_lead(struct play *p, struct str head, int64_t gap_us)
{
    if (p->content_from != UINT64_MAX)
        p->content_from += head.n;
    bool join = p->n && p->v[0].kind == STEP_SEND && p->v[0].count == 1 && p->v[0].gap_us == 0;
    size_t off = p->bytes.len;
    if (!buf_str(&p->bytes, head))
        die("reply too large");
    if (join) {
        /* Head and body in one write, as servers send small replies. The body's bytes are copied,
         * as the head is known only after the body. */
        struct step *s = &p->v[0];
        if (!buf_reserve(&p->bytes, s->len) ||
            !buf_add(&p->bytes, buf_data(&p->bytes) + s->off, s->len))
            die("reply too large");
        *s = (struct step){STEP_SEND, off, head.n + s->len, 1, gap_us};
        return;
    }
    push(p, (struct step){0});
    for (size_t i = p->n - 1; i > 0; i--)
        p->v[i] = p->v[i - 1];
    p->v[0] = (struct step){STEP_SEND, off, head.n, 1, gap_us};
}

static uint64_t step_size(const struct step *s)
{
    uint64_t each = s->kind == STEP_SEND ? s->len : 1;
    return s->count > UINT64_MAX / each ? UINT64_MAX : s->count * each;
}

uint64_t play_size(const struct play *p)
{
    uint64_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        uint64_t one = step_size(&p->v[i]);
        n = one > UINT64_MAX - n ? UINT64_MAX : n + one;
    }
    return n;
}

void play_content(struct play *p)
{
    if (p->content_from == UINT64_MAX)
        p->content_from = play_size(p);
}

void play_cut(struct play *p, uint64_t n)
{
    for (size_t i = 0; i < p->n; i++) {
        struct step *s = &p->v[i];
        if (step_size(s) <= n) {
            n -= step_size(s);
            continue;
        }
        struct step part = *s;
        p->n = i;
        if (s->kind == STEP_FILL) {
            play_fill(p, n, part.gap_us);
            return;
        }
        if (n / part.len)
            push(p, (struct step){STEP_SEND, part.off, part.len, n / part.len, part.gap_us});
        if (n % part.len)
            push(p, (struct step){STEP_SEND, part.off, n % part.len, 1, part.gap_us});
        return;
    }
}
