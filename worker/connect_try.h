/* connect_try: tries whether the endpoints of a configuration can be reached: name, connection,
 * TLS, and a HEAD that costs nothing. For `qcc-supervisor -t --connect`. */
#ifndef QCC_WORKER_CONNECT_TRY_H
#define QCC_WORKER_CONNECT_TRY_H

/* Reads a configuration (conf_wire.h) from fd, asks all its endpoints at once and prints a line for
 * each, in their order. Returns the process's exit code: 0 all answered, 1 not all, 2 no
 * configuration came. */
int connect_try(int fd);

#endif
