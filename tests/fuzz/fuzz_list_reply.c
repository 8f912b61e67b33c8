/* Lists of models of any endpoint: what is packed is read again, the same. */
#include "common/ipc/model_pack.h"
#include "tests/fuzz/fuzz.h"
#include "worker/verify/list_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = fuzz_copy(data, size);
    struct buf out, again;
    buf_init(&out, MODEL_PACK_MAX);
    buf_init(&again, MODEL_PACK_MAX);
    if (list_reply_read(str_make(copy, size), &out)) {
        struct str rest = buf_view(&out);
        struct model_listed m;
        size_t n = 0;
        while (model_pack_next(&rest, &m)) {
            MUST(m.id.n > 0 && ++n <= MODELS_LISTED);
            MUST(model_pack_add(&again, &m));
        }
        MUST(rest.n == 0 && str_eq(buf_view(&out), buf_view(&again)));
    }
    struct str raw = str_make(copy, size); /* of another process: anything */
    struct model_listed m;
    while (model_pack_next(&raw, &m))
        MUST(m.id.n > 0);
    buf_free(&out);
    buf_free(&again);
    free(copy);
    return 0;
}
