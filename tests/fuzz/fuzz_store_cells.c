/* Fuzz target of store_cells.h: a file of cells from any bytes, as a whole and with a right
 * checksum. It is refused, or all that it declares exists and is within bounds. */
#include "common/base/mem.h"
#include "supervisor/store/store_cells.h"
#include "tests/fuzz/fuzz.h"

static void walk(struct saved_cell *v, size_t n)
{
    MUST(n <= STORE_CELLS);
    for (size_t i = 0; i < n; i++) {
        uint32_t id;
        MUST(binding_table_id(str_c(v[i].id), &id));
        MUST(strnlen(v[i].family, sizeof v[i].family) <= IPC_MODEL_MAX);
        MUST(strnlen(v[i].model, sizeof v[i].model) <= IPC_MODEL_MAX);
        MUST(v[i].by_cells <= 1 && v[i].open_ms >= 0);
    }
    mem_free(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct saved_cell *v;
    size_t n;
    struct err e = {""};
    char *p = fuzz_copy(data, size);
    if (store_cells_parse(str_make(p, size), 1 << 30, &v, &n, &e))
        walk(v, n);
    else
        MUST(e.msg[0] && !v && n == 0);
    if (store_cells_body(str_make(p, size), 1 << 30, &v, &n, &e))
        walk(v, n);
    free(p);
    return 0;
}
