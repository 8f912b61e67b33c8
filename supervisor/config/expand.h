/* expand: ${NAME} in texts of the configuration, replaced by the environment. */
#ifndef QCC_SUPERVISOR_CONFIG_EXPAND_H
#define QCC_SUPERVISOR_CONFIG_EXPAND_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/conf/conf_value.h"

/* Replaces each ${NAME} of s by the environment's value; "$${" stands for "${". t->s is valid as
 * long as s and out. file: the configuration's, beside which an environment file may lie that the
 * message names. False with e. */
bool expand(struct str s, bool quoted, const char *file, struct buf *out, struct conf_text *t,
            struct err *e) MUST_CHECK;

/* Whether s is $NAME, which is not replaced and rarely meant, or ends in a word of that form. */
bool expand_forgot_braces(struct str s);

#endif
