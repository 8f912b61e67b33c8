/* Fuzz target of store_cells.h: a file of cells from any bytes, as a whole and with a right
 * checksum. It is refused, or all that it declares exists and is within bounds. */
#include "supervisor/store/store_cells.h"
#include "tests/fuzz/fuzz.h"

static void walk(struct saved_cells *c)
{
    uint32_t id;
    MUST(c->n <= STORE_CELLS && c->nnames <= STORE_NAMES);
    for (size_t i = 0; i < c->n; i++) {
        MUST(binding_table_id(str_c(c->v[i].id), &id));
        MUST(strnlen(c->v[i].family, sizeof c->v[i].family) <= IPC_MODEL_MAX);
        MUST(strnlen(c->v[i].model, sizeof c->v[i].model) <= IPC_MODEL_MAX);
        MUST(c->v[i].by_cells <= 1 && c->v[i].open_ms >= 0);
    }
    for (size_t i = 0; i < c->nnames; i++)
        MUST(binding_table_id(str_c(c->names[i].id), &id));
    saved_cells_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct saved_cells c;
    struct err e = {""};
    char *p = fuzz_copy(data, size);
    if (store_cells_parse(str_make(p, size), 1 << 30, &c, &e))
        walk(&c);
    else
        MUST(e.msg[0] && !c.v && c.n == 0 && !c.names && c.nnames == 0);
    for (unsigned version = 1; version <= STORE_CELLS_VERSION; version++)
        if (store_cells_body(str_make(p, size), version, 1 << 30, &c, &e))
            walk(&c);
    free(p);
    return 0;
}
