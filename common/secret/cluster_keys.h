/* cluster_keys: what hosts of a cluster derive from their common secret: keys under which the
 * engine is told of endpoints and conversations, so that nothing in it can be tested against a
 * guess without the secret. Pure. */
#ifndef QCC_COMMON_SECRET_CLUSTER_KEYS_H
#define QCC_COMMON_SECRET_CLUSTER_KEYS_H

#include "common/base/base.h"
#include "common/base/str.h"

struct cluster_keys {
    uint8_t endpoint[32];     /* for endpoints */
    uint8_t conversation[32]; /* in place of the secret of state_dir */
    uint8_t name[32];         /* for names of cells and marks (cluster_name.h) */
    uint8_t cipher[32];       /* under which these are sealed */
    char print[33];           /* of the secret, in hex: hosts with another are refused */
};

/* Derives all (HKDF, RFC 5869, with SHA-256). */
void cluster_keys_make(struct cluster_keys *k, struct str secret);

/* Forgets them. */
void cluster_keys_wipe(struct cluster_keys *k);

/* The id of an endpoint: the first 8 bytes of HMAC-SHA256 of "BASE_URL|API_KEY". */
void cluster_keys_endpoint(const struct cluster_keys *k, struct str base_url, struct str api_key,
                           char cid[static 8]);

#endif
