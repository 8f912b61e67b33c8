/* Lists of models of other makers: what is translated is one JSON object, twice the same. */
#include "tests/fuzz/fuzz.h"
#include "worker/dialect/model_list.h"
#include "worker/json/json_find.h"

enum { OUT_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct json_want want[] = {{.name = STR_LIT("has_more")}};
    struct json_hit hit[1] = {0};
    char *copy = fuzz_copy(data, size);
    struct buf a, b;
    buf_init(&a, OUT_MAX);
    buf_init(&b, OUT_MAX);
    bool ok = model_list_translate(str_make(copy, size), &a);
    MUST(model_list_translate(str_make(copy, size), &b) == ok);
    if (ok) {
        MUST(str_eq(buf_view(&a), buf_view(&b)));
        MUST(json_find(buf_view(&a), want, hit, 1));
        MUST(hit[0].kind == JSON_IS_ABSENT || hit[0].kind == JSON_IS_FALSE);
    }
    buf_free(&a);
    buf_free(&b);
    free(copy);
    return 0;
}
