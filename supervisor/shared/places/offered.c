#include "supervisor/shared/places/offered.h"

#include "common/base/mem.h"
#include "common/conf/conf_models.h"

#include <stdlib.h>
#include <string.h>

void offered_fini(struct offered *o)
{
    mem_free(o->offers.v);
    mem_free(o->offers.text);
    mem_free(o->of);
    mem_free(o->bytes);
    *o = (struct offered){0};
}

/* How many texts an endpoint has: its patterns, and the names it maps. */
static size_t texts_of(const struct conf_endpoint *ce)
{
    return ce->allow.n + ce->map.n;
}

static struct offer_text text_at(const struct conf_endpoint *ce, size_t k)
{
    bool key = k >= ce->allow.n;
    struct str s = str_c(key ? ce->map.v[k - ce->allow.n].from : ce->allow.v[k]);
    return (struct offer_text){.text = s, .name = key && !conf_is_pattern(s)};
}

/* No list, or a pattern of nothing but stars. */
static bool is_everything(const struct conf_endpoint *ce)
{
    bool any = ce->allow.n == 0;
    for (size_t k = 0; k < texts_of(ce); k++) {
        struct offer_text t = text_at(ce, k);
        any |= !t.name && t.text.n && str_glob(t.text, STR(""));
    }
    return any;
}

static int order(const void *a, const void *b)
{
    return offer_text_order(a, b);
}

/* All texts, in order and each of them once; their bytes are c's. */
static void collect(struct offers *o, const struct conf *c, size_t most)
{
    struct offer_text *v = mem_zalloc(most + 1, sizeof *v);
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < c->nendpoints; i++)
        for (size_t k = 0; k < texts_of(&c->endpoints[i]); k++)
            v[n++] = text_at(&c->endpoints[i], k);
    qsort(v, n, sizeof *v, order);
    for (size_t t = 0; t < n; t++)
        if (kept == 0 || order(&v[kept - 1], &v[t]) != 0)
            v[kept++] = v[t];
    o->text = v;
    o->ntexts = kept;
}

static char *copy_bytes(struct offers *o)
{
    size_t sum = 0, at = 0;
    for (size_t t = 0; t < o->ntexts; t++)
        sum += o->text[t].text.n;
    char *bytes = mem_zalloc(sum + 1, 1);
    for (size_t t = 0; t < o->ntexts; t++) {
        struct str *s = &o->text[t].text;
        if (s->n)
            memcpy(bytes + at, s->p, s->n);
        s->p = bytes + at;
        at += s->n;
    }
    return bytes;
}

void offered_conf(struct offered *o, const struct conf *c)
{
    offered_fini(o);
    size_t sum = 0, at = 0;
    for (size_t i = 0; i < c->nendpoints; i++)
        sum += texts_of(&c->endpoints[i]);
    collect(&o->offers, c, sum);
    o->bytes = copy_bytes(&o->offers);
    o->of = mem_zalloc(sum + 1, sizeof(void *));
    o->offers.v = mem_zalloc(c->nendpoints + 1, sizeof *o->offers.v);
    o->offers.n = c->nendpoints;
    for (size_t i = 0; i < c->nendpoints; i++) {
        const struct conf_endpoint *ce = &c->endpoints[i];
        o->offers.v[i] =
            (struct offer){.text = o->of + at, .n = texts_of(ce), .everything = is_everything(ce)};
        for (size_t k = 0; k < texts_of(ce); k++) {
            struct offer_text t = text_at(ce, k);
            o->of[at++] = bsearch(&t, o->offers.text, o->offers.ntexts, sizeof t, order);
        }
    }
}
