/* err: one sentence that says why something failed, filled by the function that failed.
 * The caller owns it (usually on its stack); it holds no pointers. */
#ifndef QCC_COMMON_BASE_ERR_H
#define QCC_COMMON_BASE_ERR_H

#include "common/base/base.h"

struct err {
    char msg[512];
};

/* Formats the sentence, cutting it at the size of msg. Returns false, so that a failing
 * function can `return err_set(…)`. */
bool err_set(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Like err_set, with ": " and the text of errno behind. */
bool err_sys(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
