/* Fuzz target of openai_error.h: any reply becomes an error of Anthropic's API, in JSON, with the
 * key in no part of it. The first byte chooses the status. */
#include "tests/fuzz/fuzz.h"
#include "worker/dialect/reply/openai_error.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct str key = STR_LIT("sk-fuzz-key");
    if (!size)
        return 0;
    struct buf out;
    unsigned status = 200 + 2u * data[0];
    char *body = fuzz_copy(data + 1, size - 1);
    buf_init(&out, 1 << 20);
    unsigned sent = openai_error(status, str_make(body, size - 1), STR("ds"), key, &out);
    MUST(sent == status || sent == 400);
    json_error_t e;
    json_t *j = json_loadb(buf_view(&out).p, out.len, JSON_ALLOW_NUL, &e);
    MUST(j);
    json_t *error = json_object_get(j, "error"), *message = json_object_get(error, "message");
    MUST(json_is_string(json_object_get(error, "type")) && json_is_string(message));
    MUST(json_string_length(message) > 0 && json_string_length(message) <= OPENAI_ERROR_MESSAGE);
    MUST(str_find(str_make(json_string_value(message), json_string_length(message)), key) < 0);
    json_decref(j);
    buf_free(&out);
    free(body);
    return 0;
}
