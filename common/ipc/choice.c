#include "common/ipc/choice.h"

#include <string.h>

enum { SKIP_BYTES = 5 };

void choice_add(struct choices *c, const struct choice *x, const struct choice_skip *v, size_t n)
{
    size_t left = CHOICES_BYTES - c->len;
    if (left < sizeof *x) {
        c->missed = (uint8_t)(c->missed + (c->missed < UINT8_MAX));
        return;
    }
    size_t listed = min_size(min_size(n, CHOICE_LISTED), (left - sizeof *x) / SKIP_BYTES);
    struct choice head = *x;
    head.listed = (uint8_t)listed;
    head.others = (uint16_t)min_size(x->others + n - listed, UINT16_MAX);
    c->before = c->last;
    c->last = c->len;
    uint8_t *p = c->bytes + c->len;
    memcpy(p, &head, sizeof head);
    p += sizeof head;
    for (size_t i = 0; i < listed; i++, p += SKIP_BYTES) {
        memcpy(p, &v[i].endpoint, sizeof v[i].endpoint);
        p[4] = v[i].why;
    }
    c->len = (uint8_t)(p - c->bytes);
}

static bool last(const struct choices *c, struct choice *x)
{
    if (c->len == 0)
        return false;
    memcpy(x, c->bytes + c->last, sizeof *x);
    return true;
}

bool choice_again(struct choices *c, enum sel_end end, uint32_t endpoint)
{
    struct choice x;
    if (end == SEL_CHOSEN || !last(c, &x) || x.end != end ||
        (end == SEL_NEED_TRIAL && x.endpoint != endpoint))
        return false;
    x.again = (uint8_t)(x.again + (x.again < UINT8_MAX));
    memcpy(c->bytes + c->last, &x, sizeof x);
    return true;
}

void choice_undo(struct choices *c)
{
    struct choice x, was;
    if (c->missed || !last(c, &x))
        return;
    x.end = SEL_ALL_FULL;
    x.flags |= CHOICE_UNDONE;
    memcpy(c->bytes + c->last, &x, sizeof x);
    if (c->last == 0)
        return;
    memcpy(&was, c->bytes + c->before, sizeof was);
    if (!(was.flags & CHOICE_UNDONE) || was.endpoint != x.endpoint)
        return;
    c->len = c->last;
    c->last = c->before;
    (void)!choice_again(c, SEL_ALL_FULL, was.endpoint);
}

bool choice_next(const struct choices *c, size_t *at, struct choice *x)
{
    if (c->len > CHOICES_BYTES || *at > c->len || c->len - *at < sizeof *x)
        return false;
    memcpy(x, c->bytes + *at, sizeof *x);
    *at += sizeof *x;
    return x->end < SEL_END__COUNT && x->bound <= SEL_BOUND_LEFT && x->listed <= CHOICE_LISTED &&
           c->len - *at >= (size_t)x->listed * SKIP_BYTES;
}

bool choice_next_skip(const struct choices *c, size_t *at, struct choice_skip *s)
{
    if (c->len > CHOICES_BYTES || *at > c->len || c->len - *at < SKIP_BYTES)
        return false;
    memcpy(&s->endpoint, c->bytes + *at, sizeof s->endpoint);
    s->why = c->bytes[*at + 4];
    *at += SKIP_BYTES;
    return s->why < SEL_SKIP__COUNT;
}

const char *choice_bound_text(const struct choice *x)
{
    switch ((enum sel_bound)x->bound) {
    case SEL_BOUND_NO:
        return x->flags & CHOICE_CONVERSATION ? "not bound" : NULL;
    case SEL_BOUND_USED:
        return "bound here";
    case SEL_BOUND_SPARED:
        return "bound elsewhere, which stands";
    case SEL_BOUND_LEFT:
        return "was bound elsewhere, which ends";
    }
    return NULL;
}

bool choices_sound(const struct choices *c, unsigned *n)
{
    struct choice x;
    struct choice_skip skip;
    size_t at = 0;
    for (*n = 0; at < c->len; ++*n) {
        if (!choice_next(c, &at, &x))
            return false;
        for (unsigned i = 0; i < x.listed; i++)
            if (!choice_next_skip(c, &at, &skip))
                return false;
    }
    return true;
}
