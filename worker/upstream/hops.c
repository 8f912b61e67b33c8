#include "worker/upstream/hops.h"

static bool digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!ascii_digit(s.p[i]))
            return false;
    return s.n > 0;
}

enum hops hops_count(struct forward_request *r)
{
    const struct http_field *found = NULL;
    if (!str_eq(r->method, STR("OPTIONS")) && !str_eq(r->method, STR("TRACE")))
        return HOPS_NONE;
    for (size_t i = 0; i < r->nf; i++) {
        if (r->f[i].id != HDR_MAX_FORWARDS)
            continue;
        if (found)
            return HOPS_BAD;
        found = &r->f[i];
    }
    if (!found)
        return HOPS_NONE;
    uint64_t n;
    if (!digits(found->value))
        return HOPS_BAD;
    if (!str_to_u64(found->value, UINT32_MAX, &n))
        n = UINT32_MAX;
    if (n == 0)
        return HOPS_OVER;
    r->counted = true;
    r->max_forwards = (uint32_t)n - 1;
    return HOPS_LEFT;
}
