/* write_check: `-t` tries whether what the configuration names can be written, and leaves nothing
 * behind. */
#ifndef QCC_SUPERVISOR_WRITE_CHECK_H
#define QCC_SUPERVISOR_WRITE_CHECK_H

#include "common/conf/conf.h"
#include "supervisor/process/user.h"

/* Tries log.file and state_dir as this process, which would start the service, and prints a warning
 * for each that a start would fail by. conf_path: for messages. user: who serves after the start;
 * without a name, the same user. */
void write_check_start(const char *conf_path, const struct conf *c, const struct user *user);

/* Tries them as this process, which is that user now. False: a line is printed for each that fails.
 */
bool write_check_serve(const char *conf_path, const struct conf *c,
                       const struct user *user) MUST_CHECK;

#endif
