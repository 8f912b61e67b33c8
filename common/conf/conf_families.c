#include "common/conf/conf_families.h"

uint32_t conf_families(const struct conf_endpoint *e, uint64_t own[static CELLS_OWN])
{
    uint32_t n = 0;
    for (size_t i = 0; i < e->allow.n; i++)
        n = cells_own(own, n, str_c(e->allow.v[i]));
    for (size_t i = 0; i < e->map.n; i++)
        n = cells_own(own, n, str_c(e->map.v[i].to));
    return n;
}
