#include "common/policy/endpoint/offers.h"

#include "common/base/mem.h"

#include <string.h>

/* ---- texts */

static bool has_star(struct str s)
{
    return s.n && memchr(s.p, '*', s.n);
}

static bool is_everything(const struct offer *f)
{
    return !f->limited || f->star;
}

bool offer_covers(const struct offer_text *q, const struct offer_text *p)
{
    if (q->name)
        return str_eq(q->text, p->text) && (p->name || !has_star(p->text));
    /* The '*' of p is a character here, that only a '*' of q can match: it takes whatever stands for it. */
    return str_glob(q->text, p->text);
}

void offers_init(struct offers *o, size_t n)
{
    *o = (struct offers){.v = mem_zalloc(n + 1, sizeof *o->v), .n = n};
}

void offers_fini(struct offers *o)
{
    for (size_t i = 0; i < o->n; i++)
        mem_free(o->v[i].text);
    for (size_t i = 0; i < o->ntexts; i++)
        mem_free((char *)o->text[i].text.p);
    mem_free(o->v);
    mem_free(o->text);
    *o = (struct offers){0};
}

/* The text's place among all. */
static size_t text_at(struct offers *o, struct str s, bool name)
{
    for (size_t t = 0; t < o->ntexts; t++)
        if (o->text[t].name == name && str_eq(o->text[t].text, s))
            return t;
    o->text = mem_realloc(o->text, o->ntexts + 1, sizeof *o->text);
    o->text[o->ntexts] = (struct offer_text){.text = str_make(mem_strndup(s.p, s.n), s.n), .name = name};
    return o->ntexts++;
}

static void add(struct offers *o, size_t i, struct str s, bool name)
{
    struct offer *f = &o->v[i];
    size_t t = text_at(o, s, name);
    for (size_t k = 0; k < f->n; k++)
        if (f->text[k] == t)
            return;
    f->text = mem_realloc(f->text, f->n + 1, sizeof *f->text);
    f->text[f->n++] = t;
}

void offers_add_pattern(struct offers *o, size_t i, struct str pattern)
{
    o->v[i].limited = true;
    o->v[i].star |= str_glob(pattern, STR("")) && pattern.n;
    add(o, i, pattern, false);
}

void offers_add_name(struct offers *o, size_t i, struct str name)
{
    add(o, i, name, true);
}

static bool covers(const struct offers *o, const struct offer *f, const struct offer_text *p)
{
    for (size_t k = 0; k < f->n; k++)
        if (offer_covers(&o->text[f->text[k]], p))
            return true;
    return false;
}

void offers_set_usable(struct offers *o, size_t i, bool usable)
{
    struct offer *f = &o->v[i];
    if (f->usable == usable)
        return;
    f->usable = usable;
    if (is_everything(f)) {
        o->everything = usable ? o->everything + 1 : o->everything - 1;
        return;
    }
    for (size_t t = 0; t < o->ntexts; t++)
        if (covers(o, f, &o->text[t]))
            o->text[t].usable = usable ? o->text[t].usable + 1 : o->text[t].usable - 1;
}

bool offers_last(const struct offers *o, size_t i)
{
    const struct offer *f = &o->v[i];
    if (is_everything(f))
        return o->everything == f->usable;
    if (o->everything)
        return false;
    for (size_t k = 0; k < f->n; k++)
        if (o->text[f->text[k]].usable == f->usable)
            return true;
    return false;
}
