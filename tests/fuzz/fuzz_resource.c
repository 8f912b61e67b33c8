/* Ids in bodies, and replies to requests for batches. */
#include "tests/fuzz/fuzz.h"
#include "worker/intake/resource.h"

#include <stdlib.h>

static bool on_id(void *ctx, struct str id, bool container)
{
    size_t *n = ctx;
    (void)container;
    if (id.n == 0 || id.n > RESOURCE_ID_MAX)
        abort();
    return ++*n < 8;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = str_make((const char *)data, size);
    size_t n = 0;
    struct buf out;
    resource_ids(s, size % 2, on_id, &n);
    if (n > 8)
        abort();
    buf_init(&out, 2 * size + 4096);
    if (resource_move_urls(s, STR("https://localhost:7860"), &out) && out.len == 0)
        abort();
    buf_free(&out);
    struct resource_path p = resource_path(s);
    if (p.id.n > size)
        abort();
    return 0;
}
