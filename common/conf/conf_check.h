/* conf_check: rules between several values, such as names that must differ, and members derived
 * from values: parts of URLs, ids. Pure: reads no file, asks no resolver. */
#ifndef QCC_COMMON_CONF_CONF_CHECK_H
#define QCC_COMMON_CONF_CONF_CHECK_H

#include "common/conf/conf.h"

/* Called for each fault. `path` names the place as "endpoints[2].base_url"; msg fits behind
 * "PATH: ". Both are borrowed for the call. A warning does not make the check fail. */
typedef void conf_check_fn(void *arg, bool warning, const char *path, const char *msg);

/* Checks all and fills in the members that conf.h marks as derived; addresses become numeric, names
 * of affinity headers and hosts lower case. api_key must be filled in already when it comes from a
 * file. True when nothing but warnings was found. */
bool conf_check(struct conf *c, conf_check_fn *fault, void *arg) MUST_CHECK;

struct err;
/* Splits "header:NAME" or "body:MEMBER"; *name borrows from text. False with e: another form. */
bool conf_affinity_parse(struct str text, enum conf_key_kind *kind, struct str *name,
                         struct err *e) MUST_CHECK;

#endif
