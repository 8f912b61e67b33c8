/* conf_value: one value of the configuration: from its text into a member, and back into text.
 * Defaults and the file go through the same functions, so that both obey the same bounds. */
#ifndef QCC_COMMON_CONF_CONF_VALUE_H
#define QCC_COMMON_CONF_CONF_VALUE_H

#include "common/base/err.h"
#include "common/conf/conf_key.h"

/* One text as it stands in the file, after ${NAME} was put in. */
struct conf_text {
    struct str s;
    bool quoted; /* "null" in quotes is a text */
    bool hidden; /* holds a value from the environment: never repeated in a message */
};

/* Sets the member at *member (conf_member) from its text. A str is copied, the old one freed.
 * Kinds: all scalars, token, digest; others abort. False with a sentence that fits behind
 * "KEY: "; the member is unchanged then. The sentence never repeats a secret. */
bool conf_value_set(const struct conf_key *k, void *member, struct conf_text text,
                    struct err *e) MUST_CHECK;

/* Whether a number or a duration need not be given ("null"): it is 0 then, whatever its bounds. */
bool conf_value_open(const struct conf_key *k);

/* Sets the key's default into its member: NULL, empty and zero for lists and required keys. */
void conf_value_default(const struct conf_key *k, void *member);

/* Whether a text may be kept at all: at most CONF_TEXT_MAX bytes of UTF-8, no control characters
 * (RFC 9110 5.5: they have no place in a header, nor in a log line), not empty. */
bool conf_text_check(struct str s, struct err *e) MUST_CHECK;

/* Appends a copy of the text or pair. The caller has compared n with CONF_LIST_MAX. */
void conf_strs_add(struct conf_strs *l, struct str s);
void conf_map_add(struct conf_map *m, struct str from, struct str to);

/* 250 → "250ms", 300000 → "5m": the largest unit that divides it. */
void conf_ms_text(int64_t ms, char out[static 32]);

/* 65536 → "64KiB", 1000 → "1000". */
void conf_bytes_text(uint64_t n, char out[static 32]);

/* 1250000 → "1.25", 1000000 → "1": millionths without zeros at the end. */
void conf_ppm_text(uint64_t ppm, char out[static 32]);

/* Whether the text means NULL: null, ~ or no text at all, without quotes. */
bool conf_is_null(struct conf_text t);
/* Whether the text is the off side of a switch: off, no, false. */
bool conf_is_off(struct str s);

/* The nearest of n words to a misspelt one, or NULL: at most two edits (a letter inserted, deleted
 * or replaced, two neighbours swapped), and fewer than half its letters. */
const char *conf_nearest(struct str word, const char *const *words, size_t n);

/* "; did you mean \"WORD\"?" with the nearest word and `suffix` behind it, or "". Returns out. */
const char *conf_did_you_mean(struct str word, const char *const *words, size_t n,
                              const char *suffix, char out[static 64]);

#endif
