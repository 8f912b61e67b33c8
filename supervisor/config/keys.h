/* keys: the files that a configuration names: API keys, certificates with their private keys, CA
 * certificates. Read by the supervisor, so that a worker opens no files, and checked here, so that
 * a wrong one is a fault of the configuration with its place, not a failure of a worker. */
#ifndef QCC_SUPERVISOR_CONFIG_KEYS_H
#define QCC_SUPERVISOR_CONFIG_KEYS_H

#include "common/conf/conf.h"
#include "supervisor/config/faults.h"

/* Reads every file into the configuration: api_key, certificate_pem and private_key_pem (they must
 * fit together), ca_pem (at least one certificate). A relative path starts at the folder of the
 * configuration file, f->file. Faults are added to f, with warnings for a key that all users may
 * read and for a certificate that is out of date. */
void keys_read(struct conf *c, struct faults *f);

#endif
