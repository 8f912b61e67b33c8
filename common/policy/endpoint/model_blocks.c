#include "common/policy/endpoint/model_blocks.h"

void model_blocks_add(struct model_blocks *b, uint64_t model, int64_t until_ms)
{
    struct ep_block *at = NULL;
    for (uint32_t i = 0; i < b->n && !at; i++)
        if (b->v[i].model == model)
            at = &b->v[i];
    if (!at && b->n < EP_BLOCKS)
        at = &b->v[b->n++];
    for (uint32_t i = 0; i < b->n && (!at || at->model != model); i++)
        if (!at || b->v[i].until_ms < at->until_ms)
            at = &b->v[i];
    *at = (struct ep_block){model, until_ms};
}

bool model_blocks_drop(struct model_blocks *b, int64_t now_ms)
{
    uint32_t kept = 0, was = b->n;
    for (uint32_t i = 0; i < was; i++)
        if (b->v[i].until_ms > now_ms)
            b->v[kept++] = b->v[i];
    b->n = kept;
    return kept < was;
}

int64_t model_blocks_next_ms(const struct model_blocks *b)
{
    int64_t next = INT64_MAX;
    for (uint32_t i = 0; i < b->n; i++)
        if (b->v[i].until_ms < next)
            next = b->v[i].until_ms;
    return next;
}
