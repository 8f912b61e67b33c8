/* model_name: the one name of a model that vendors and relays write in several ways: what prices
 * are found by, and what the model that was asked for is compared by with the one that served.
 * Pure.
 *
 * "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic/claude-sonnet-4.5" and
 * "Claude-Sonnet-4-5[1m]" are claude-sonnet-4-5. Nothing is guessed: claude-sonnet-9 is itself. */
#ifndef QCC_COMMON_POLICY_MODEL_NAME_H
#define QCC_COMMON_POLICY_MODEL_NAME_H

#include "common/base/str.h"

/* Bytes of the longest name that is read. */
enum { MODEL_NAME_MAX = 128 };

/* Writes the normalized name to out: in lower case; without the vendor in front ("anthropic/",
 * "anthropic.", "eu.anthropic."), and without "[1m]", "@20250929", "-20250929", "-v1:0" and
 * "-latest" behind, in any order; '.' between digits is '-'. A part that is the whole name stays.
 * The result borrows from out. Empty: the name is empty or too long. */
struct str model_name(struct str name, char out[static MODEL_NAME_MAX]);

/* Writes the family of a model's name to out, by which limits are pooled: of the normalized
 * "claude-…" the first part that is a word of letters ("opus" of claude-opus-4-8 and of
 * claude-3-opus), else the whole normalized name. As model_name otherwise. */
struct str model_family(struct str name, char out[static MODEL_NAME_MAX]);

/* Hash of a model's name or family, as in OUTCOME, MODELS and struct ep_block. */
uint64_t model_hash(struct str model);

/* Whether another model served than was asked for. False where one is not known (empty). */
static inline bool model_name_differs(struct str asked, struct str served)
{
    char a[MODEL_NAME_MAX], b[MODEL_NAME_MAX];
    return asked.n && served.n && !str_eq(asked, served) &&
           !str_eq(model_name(asked, a), model_name(served, b));
}

#endif
