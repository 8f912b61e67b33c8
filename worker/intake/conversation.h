/* conversation: which conversation a request belongs to: the first of affinity.keys that it has,
 * hashed to 128 bits on arrival together with the client's name. The id itself is never kept. */
#ifndef QCC_WORKER_INTAKE_CONVERSATION_H
#define QCC_WORKER_INTAKE_CONVERSATION_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "common/conf/conf.h"
#include "worker/http/http1.h"
#include "worker/json/json_find.h"

/* Members of the body that may be keys: as many as json_find is asked for. */
enum { CONVERSATION_BODY_KEYS = 8 };

/* The members to look for in the body, in the order of affinity.keys. Returns how many. */
size_t conversation_wants(const struct conf *c, struct json_want *want);

/* Finds the conversation. hits: answers to conversation_wants, or NULL when the body was not looked
 * into. client: its configured name, or NULL. False: the request belongs to none. */
bool conversation_find(const struct conf *c, const struct http_field *f, size_t nf,
                       const struct json_hit *hits, const char *client, const uint8_t secret[32],
                       uint64_t key[2]);

/* The session's part of a metadata.user_id: of a JSON text its "session_id", else what follows the
 * last "_session_"; empty if it has none: a user is no conversation. */
struct str conversation_session(struct str user_id);

#endif
