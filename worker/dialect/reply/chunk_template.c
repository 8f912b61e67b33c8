#include "worker/dialect/reply/chunk_template.h"

#include "worker/json/json_skip.h"

void chunk_template_keep(struct chunk_template *t, struct str text, struct str value, uint8_t kind,
                         int64_t call)
{
    size_t front = (size_t)(value.p - text.p), back = text.n - front - value.n;
    t->kind = 0;
    if (front + back > CHUNK_TEMPLATE_MAX)
        return;
    memcpy(t->bytes, text.p, front);
    memcpy(t->bytes + front, value.p + value.n, back);
    t->front = (uint16_t)front;
    t->back = (uint16_t)back;
    t->kind = kind;
    t->call = call;
}

bool chunk_template_fits(const struct chunk_template *t, struct str text, struct str *value)
{
    size_t around = (size_t)t->front + t->back;
    if (!t->kind || text.n < around || memcmp(text.p, t->bytes, t->front) != 0 ||
        memcmp(text.p + text.n - t->back, t->bytes + t->front, t->back) != 0)
        return false;
    *value = str_make(text.p + t->front, text.n - around);
    /* The first quote behind the front must be that of the back. */
    bool escaped;
    return json_skip_best()->string(value->p, value->n + 1, &escaped) == value->n;
}
