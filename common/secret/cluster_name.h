/* cluster_name: names of cells and marks as the engine has them. It knows each by H, a keyed hash;
 * beside the value stands the name itself, sealed with a key of the cluster's secret, so that each
 * host can use what another has found out without having seen that name before. H is the cipher's
 * initial vector (as in SIV): a sealed name that was changed does not fit its H. Pure. */
#ifndef QCC_COMMON_SECRET_CLUSTER_NAME_H
#define QCC_COMMON_SECRET_CLUSTER_NAME_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "common/secret/cluster_keys.h"

/* Bytes of the longest name, and of what it is sealed to. */
enum { CLUSTER_NAME_MAX = 144, CLUSTER_SEALED_MAX = CLUSTER_NAME_MAX / 3 * 4 };

/* H of a name, which is never 0. */
uint64_t cluster_name_hash(const struct cluster_keys *k, struct str name);

/* Seals a name of at most CLUSTER_NAME_MAX bytes without NUL: base64url, of one of a few lengths.
 * Returns H. */
uint64_t cluster_name_seal(const struct cluster_keys *k, struct str name,
                           char out[static CLUSTER_SEALED_MAX + 1]);

/* Opens one. False: it is not that of H; out is undefined. */
bool cluster_name_open(const struct cluster_keys *k, uint64_t h, struct str sealed,
                       char out[static CLUSTER_NAME_MAX + 1]) MUST_CHECK;

#endif
