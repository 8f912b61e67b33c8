#include "supervisor/shared/places/offers.h"

#include <string.h>

/* ---- texts */

int offer_text_order(const struct offer_text *a, const struct offer_text *b)
{
    size_t n = a->text.n < b->text.n ? a->text.n : b->text.n;
    int by = n ? memcmp(a->text.p, b->text.p, n) : 0;
    if (by)
        return by;
    if (a->text.n != b->text.n)
        return a->text.n < b->text.n ? -1 : 1;
    return (int)a->name - (int)b->name;
}

static bool has_star(struct str s)
{
    return s.n && memchr(s.p, '*', s.n);
}

/* Whether all that p stands for is in what q stands for. */
static bool text_covers(const struct offer_text *q, const struct offer_text *p)
{
    if (q->name)
        return str_eq(q->text, p->text) && (p->name || !has_star(p->text));
    /* The '*' of p is a character here, that only a '*' of q can match: it takes whatever stands
     * for it. */
    return str_glob(q->text, p->text);
}

/* What all that it covers begins with. */
static struct str beginning(const struct offer_text *q)
{
    const char *star = q->text.n && !q->name ? memchr(q->text.p, '*', q->text.n) : NULL;
    return star ? str_make(q->text.p, (size_t)(star - q->text.p)) : q->text;
}

/* The first text that begins with s, or is behind all that do. */
static size_t first_with(const struct offers *o, struct str s)
{
    struct offer_text sought = {.text = s};
    size_t lo = 0, hi = o->ntexts;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (offer_text_order(&o->text[mid], &sought) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* ---- endpoints */

/* Whether one of its first n texts covers p. */
static bool covers(const struct offer *f, size_t n, const struct offer_text *p)
{
    for (size_t k = 0; k < n; k++)
        if (text_covers(f->text[k], p))
            return true;
    return false;
}

/* Counts the models asked for that f can serve now, and no others. */
static void recount(struct offers *o, struct offer *f)
{
    uint64_t is = f->usable ? f->asked & ~f->out : 0;
    for (uint64_t left = is ^ f->counted; left; left &= left - 1) {
        int place = __builtin_ctzll(left);
        uint32_t *n = &o->asked_usable[place];
        *n = is >> place & 1 ? *n + 1 : *n - 1;
    }
    f->counted = is;
}

bool offers_set_out(struct offers *o, size_t i, uint64_t out)
{
    bool changed = o->v[i].out != out;
    o->v[i].out = out;
    recount(o, &o->v[i]);
    return changed;
}

void offers_set_usable(struct offers *o, size_t i, bool usable)
{
    struct offer *f = &o->v[i];
    if (f->usable == usable)
        return;
    f->usable = usable;
    recount(o, f);
    if (f->everything) {
        o->everything = usable ? o->everything + 1 : o->everything - 1;
        return;
    }
    for (size_t k = 0; k < f->n; k++) {
        struct str begins = beginning(f->text[k]);
        for (size_t t = first_with(o, begins); t < o->ntexts; t++) {
            struct offer_text *p = &o->text[t];
            if (!str_starts(p->text, begins))
                break;
            if (text_covers(f->text[k], p) && !covers(f, k, p))
                p->usable = usable ? p->usable + 1 : p->usable - 1;
        }
    }
}

static bool offers_model(const struct offer *f, struct str model)
{
    bool any = f->everything || model.n == 0;
    for (size_t k = 0; k < f->n && !any; k++)
        any =
            f->text[k]->name ? str_eq(f->text[k]->text, model) : str_glob(f->text[k]->text, model);
    return any;
}

void offers_unasked(struct offers *o, size_t place)
{
    uint64_t bit = (uint64_t)1 << place;
    for (size_t i = 0; i < o->n; i++) {
        o->v[i].asked &= ~bit;
        o->v[i].out &= ~bit;
        recount(o, &o->v[i]);
    }
    o->asked &= ~bit;
}

void offers_asked(struct offers *o, size_t place, struct str model)
{
    uint64_t bit = (uint64_t)1 << place;
    offers_unasked(o, place);
    for (size_t i = 0; i < o->n; i++)
        if (offers_model(&o->v[i], model)) {
            o->v[i].asked |= bit;
            o->asked |= bit;
            recount(o, &o->v[i]);
        }
}

/* Whether it offers something at all that no other usable one offers. */
static bool last_of_any(const struct offers *o, size_t i)
{
    const struct offer *f = &o->v[i];
    if (f->everything)
        return o->everything == f->usable;
    if (o->everything)
        return false;
    for (size_t k = 0; k < f->n; k++)
        if (f->text[k]->usable == f->usable)
            return true;
    return false;
}

bool offers_last(const struct offers *o, size_t i)
{
    const struct offer *f = &o->v[i];
    if (o->asked == 0)
        return last_of_any(o, i);
    for (uint64_t left = f->asked; left; left &= left - 1)
        if (o->asked_usable[__builtin_ctzll(left)] == (f->counted >> __builtin_ctzll(left) & 1))
            return true;
    return false;
}
