#include "common/price/price_table.h"

#include "common/base/mem.h"

#include <stdlib.h>

static bool below(uint64_t v, uint64_t max)
{
    return v == PRICE_NONE || v <= max;
}

static bool row_is_sound(const struct price_row *r)
{
    bool ok = r->above_class <= PRICE_RATE_CLASS && below(r->web, PRICE_WEB_MAX) &&
              below(r->fast, PRICE_TIMES_MAX) && below(r->batch, PRICE_TIMES_MAX) &&
              below(r->geo_us, PRICE_TIMES_MAX);
    for (size_t i = 0; i < PRICE_TOKENS; i++)
        ok = ok && below(r->base[i], PRICE_TOKEN_MAX) && below(r->above[i], PRICE_TOKEN_MAX);
    return ok;
}

static bool model_is_sound(const struct price_model *m)
{
    char normal[MODEL_NAME_MAX];
    size_t n = strnlen(m->name, sizeof m->name);
    if (n == 0 || n > MODEL_NAME_MAX || m->n == 0 || m->n > PRICE_ROWS_MAX ||
        strnlen(m->source, sizeof m->source) > PRICE_SOURCE_MAX)
        return false;
    for (size_t i = 0; i < m->n; i++)
        if (!row_is_sound(&m->rows[i]))
            return false;
    return str_eq(model_name(str_make(m->name, n), normal), str_make(m->name, n));
}

static int by_time(const void *a, const void *b)
{
    const struct price_row *x = a, *y = b;
    return (x->from_s > y->from_s) - (x->from_s < y->from_s);
}

static void model_free(struct price_model *m)
{
    mem_free(m->rows);
    mem_free(m);
}

/* A copy with its rows in order. NULL: two of them begin at one time. */
static struct price_model *model_copy(const struct price_model *m)
{
    struct price_model *copy = mem_zalloc(1, sizeof *copy);
    *copy = *m;
    copy->rows = mem_zalloc(m->n, sizeof *m->rows);
    memcpy(copy->rows, m->rows, m->n * sizeof *m->rows);
    qsort(copy->rows, copy->n, sizeof *copy->rows, by_time);
    for (size_t i = 1; i < copy->n; i++)
        if (copy->rows[i].from_s == copy->rows[i - 1].from_s) {
            model_free(copy);
            return NULL;
        }
    return copy;
}

bool price_table_put(struct price_table *t, const struct price_model *m)
{
    if (!model_is_sound(m))
        return false;
    bool there;
    size_t i = price_place(t, str_c(m->name), &there);
    size_t rows = t->rows + m->n - (there ? t->v[i]->n : 0);
    if (rows > PRICE_ROWS_TOTAL || (!there && t->n == PRICE_MODELS_MAX))
        return false;
    struct price_model *copy = model_copy(m);
    if (!copy)
        return false;
    if (there) {
        model_free(t->v[i]);
    } else {
        t->v = mem_realloc(t->v, t->n + 1, sizeof *t->v);
        memmove(t->v + i + 1, t->v + i, (t->n - i) * sizeof *t->v);
        t->n++;
    }
    t->v[i] = copy;
    t->rows = rows;
    return true;
}

void price_table_free(struct price_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        model_free(t->v[i]);
    mem_free(t->v);
    *t = (struct price_table){0};
}
