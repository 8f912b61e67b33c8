/* conversation: finds the conversation that a request belongs to, by the first of affinity.keys
 * that it has. The id is hashed to 128 bits together with the client's name, and never kept
 * itself. */
#ifndef QCC_WORKER_INTAKE_CONVERSATION_H
#define QCC_WORKER_INTAKE_CONVERSATION_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "common/conf/conf.h"
#include "worker/http/http1.h"
#include "worker/json/json_find.h"

/* Members of the body that may be keys at most. */
enum { CONVERSATION_BODY_KEYS = 8 };

/* Fills want[CONVERSATION_BODY_KEYS] with the body's members that are keys, in the order of
 * affinity.keys. Returns how many. */
size_t conversation_wants(const struct conf *c, struct json_want *want);

/* Finds the conversation and sets key. hits: json_find's results for conversation_wants, or NULL
 * when the body was not read. client: its configured name, or NULL. False: the request belongs to
 * no conversation. */
bool conversation_find(const struct conf *c, const struct http_field *f, size_t nf,
                       const struct json_hit *hits, const char *client, const uint8_t secret[32],
                       uint64_t key[2]);

/* Hashes an id: SHA-256 over secret, lengths, client (NULL: none) and id, cut to 128 bits. */
void conversation_hash(const uint8_t secret[32], const char *client, struct str id,
                       uint64_t key[2]);

#endif
