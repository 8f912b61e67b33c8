/* Fuzz target of feature.h: requests of a hostile client, refused by a hostile endpoint. Lines up
 * to an empty one are the request's items (a letter, a name, after a blank its value), the rest is
 * the refusal. What is named is a mark's name that can be put into the table and found there. */
#include "common/policy/feature.h"
#include "tests/fuzz/fuzz.h"

static void offer(struct feature *f, struct str line)
{
    if (line.n == 0)
        return;
    struct str name = str_make(line.p + 1, line.n - 1), value = {0};
    ptrdiff_t blank = str_find(name, STR(" "));
    if (blank >= 0) {
        value = str_make(name.p + blank + 1, name.n - (size_t)blank - 1);
        name.n = (size_t)blank;
    }
    ptrdiff_t dot = str_find(name, STR("."));
    if (line.p[0] == 'h')
        feature_header(f, name, value);
    else if (line.p[0] == 't')
        feature_tool(f, name);
    else if (dot >= 0)
        feature_member(f, str_make(name.p, (size_t)dot),
                       str_make(name.p + dot + 1, name.n - (size_t)dot - 1), value);
    else
        feature_member(f, STR(""), name, value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct feature f;
    char *copy = fuzz_copy(data, size);
    struct str s = str_make(copy, size), items = s;
    ptrdiff_t split = str_find(s, STR("\n\n"));
    size_t at = split < 0 ? size : (size_t)split + 2;
    items.n = split < 0 ? size : (size_t)split;
    feature_read(&f, str_make(copy + at, size - at));
    while (items.n) {
        const char *lf = memchr(items.p, '\n', items.n);
        size_t n = lf ? (size_t)(lf - items.p) : items.n;
        offer(&f, str_make(items.p, n));
        n += lf != NULL;
        items = str_make(items.p + n, items.n - n);
    }
    enum mark_kind k;
    struct str name = feature_named(&f, &k);
    if (name.n) {
        struct marks t = {.mem = &mem_heap};
        MUST(mark_is_feature(k) && name.n <= MARK_NAME_MAX);
        MUST(marks_put(&t, 1, k, name, true, 10, 0) && t.n == 1);
        struct str outer, last;
        if (k == MARK_FIELD) {
            feature_path_of(name, &outer, &last);
            MUST(last.n);
        }
        marks_free(&t);
    }
    free(copy);
    return 0;
}
