/* Fuzz target of store_file.h: a state file from any bytes, as a whole and with a right checksum.
 * It is refused, or all that it declares exists and is within bounds. */
#include "supervisor/store/store_file.h"
#include "tests/fuzz/fuzz.h"

static void walk(struct store_image *im)
{
    struct str block;
    uint32_t blocks = im->nblocks, seen = 0;
    uint64_t sum = 0;
    MUST(im->nendpoints <= STORE_ENDPOINTS);
    for (uint32_t i = 0; i < im->nendpoints; i++) {
        uint32_t id;
        MUST(binding_table_id(str_c(im->endpoints[i].id), &id));
        MUST(im->endpoints[i].disabled < SAVED_DISABLED__COUNT);
    }
    for (; (block = store_block(im)).n; seen++) {
        MUST(block.n % STORE_BINDING == 0 && block.n <= STORE_BLOCK * STORE_BINDING);
        for (size_t i = 0; i < block.n / STORE_BINDING; i++)
            sum += store_binding_at(block, i).age_ms;
    }
    MUST(seen == blocks && sum <= (uint64_t)UINT32_MAX * STORE_BLOCK * blocks);
    store_image_fini(im);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store_image im;
    struct err e = {""};
    char *p = fuzz_copy(data, size);
    if (store_file_parse(str_make(p, size), &im, &e))
        walk(&im);
    else
        MUST(e.msg[0]);
    if (store_body_parse(str_make(p, size), &im, &e))
        walk(&im);
    free(p);
    return 0;
}
