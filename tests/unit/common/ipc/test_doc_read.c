#include "common/ipc/doc.h"
#include "common/ipc/doc_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct doc_value next(struct rd *r, enum doc_kind kind)
{
    struct doc_value v;
    assert_true(doc_read(r, 1, &v));
    assert_int_equal(v.kind, kind);
    return v;
}

/* What doc writes, doc_read gives back. */
static void what_doc_writes(void **state)
{
    (void)state;
    struct doc d;
    struct rd r;
    struct str key;
    doc_init(&d, 4096);
    doc_map(&d, 6);
    doc_kv_int(&d, "below", INT64_MIN);
    doc_kv_int(&d, "above", INT64_MAX);
    doc_kv_flag(&d, "flag", true);
    doc_text(&d, "nil");
    doc_nil(&d);
    doc_text(&d, "milli");
    doc_milli(&d, 983);
    doc_text(&d, "list");
    doc_array(&d, 1);
    doc_text(&d, "x");
    rd_init(&r, buf_view(&d.b));
    assert_int_equal(next(&r, DOC_MAP).n, 6);
    assert_true(doc_key(&r, &key) && str_eq(key, STR("below")));
    assert_int_equal(next(&r, DOC_INT).i, INT64_MIN);
    assert_true(doc_key(&r, &key));
    assert_int_equal(next(&r, DOC_INT).i, INT64_MAX);
    assert_true(doc_key(&r, &key));
    assert_true(next(&r, DOC_FLAG).flag);
    assert_true(doc_key(&r, &key));
    next(&r, DOC_NIL);
    assert_true(doc_key(&r, &key));
    assert_true(str_eq(next(&r, DOC_DECIMAL).text, STR("0.983")));
    assert_true(doc_key(&r, &key));
    assert_int_equal(next(&r, DOC_ARRAY).n, 1);
    assert_true(str_eq(next(&r, DOC_TEXT).text, STR("x")));
    assert_true(rd_end(&r));
    doc_free(&d);
}

static void what_is_none(void **state)
{
    (void)state;
    static const struct str none[] = {
        STR_LIT(""),
        STR_LIT("\xc1"),                 /* never used */
        STR_LIT("\xca\0\0\0\0"),         /* a float */
        STR_LIT("\xa2x"),                /* cut */
        STR_LIT("\x82\xa1x\xc0"),        /* more pairs than can be there */
        STR_LIT("\xdb\x7f\xff\xff\xffx") /* a text of 2 GiB */
    };
    struct doc_value v;
    struct rd r;
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        rd_init(&r, none[i]);
        assert_false(doc_read(&r, 0, &v));
        assert_ptr_equal(r.p, none[i].p);
    }
    rd_init(&r, STR("\x90\x90"));
    assert_true(doc_read(&r, 16, &v));
    assert_false(doc_read(&r, 17, &v));
    rd_init(&r, STR("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"));
    assert_true(doc_read(&r, 0, &v) && v.kind == DOC_BIG && v.u == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_doc_writes),
        cmocka_unit_test(what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
