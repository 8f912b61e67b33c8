/* Fuzz target of dialect_learn.h: any refusal changes something or nothing, and a maker that
 * repeats it is given up after a bounded number of changes. The first three bytes say what was
 * sent. */
#include "tests/fuzz/fuzz.h"
#include "worker/dialect/dialect_learn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    struct dialect_context ctx = {.put = (uint32_t)data[0] | (uint32_t)data[1] << 8,
                                  .max_tokens = (uint64_t)data[2] << 8};
    struct dialect_learnt l = {0};
    char *copy = fuzz_copy(data + 3, size - 3);
    unsigned changes = 0;
    for (;;) {
        struct dialect_learnt before = l;
        if (!dialect_learn(400, str_make(copy, size - 3), &ctx, &l)) {
            MUST(memcmp(&before, &l, sizeof l) == 0);
            break;
        }
        MUST(memcmp(&before, &l, sizeof l) != 0);
        MUST(++changes < 40);
        if (l.changes & DIALECT_LIMIT && l.limit < ctx.max_tokens)
            ctx.max_tokens = l.limit; /* as the next request would ask */
    }
    MUST(!dialect_learn(500, str_make(copy, size - 3), &ctx, &l));
    free(copy);
    return 0;
}
