/* conf_key: the schema as rows: the scalars of conf_table.h, and the keys whose values are lists or
 * texts of a special form. The YAML reader, the defaults, the freeing, the frames and the reference
 * walk these rows, so a key that is here exists everywhere. Static, never freed. */
#ifndef QCC_COMMON_CONF_CONF_KEY_H
#define QCC_COMMON_CONF_CONF_KEY_H

#include "common/conf/conf.h"

enum conf_kind {
    CONF_K_ms,
    CONF_K_bytes,
    CONF_K_u32,
    CONF_K_flag,
    CONF_K_ppm,
    CONF_K_str,
    CONF_K_strategy,
    CONF_K_probe,
    CONF_K_auth,
    CONF_K_protocol,
    CONF_K_loglevel,
    CONF_K_logformat,
    CONF_K_historyon,
    CONF_K_historyrows,
    CONF_K_strs,      /* struct conf_strs: a list of texts */
    CONF_K_map,       /* struct conf_map: a mapping of texts to texts */
    CONF_K_affinity,  /* conf.keys */
    CONF_K_listens,   /* conf.listen, elements of CONF_G_LISTEN */
    CONF_K_clients,   /* conf.clients, elements of CONF_G_CLIENT */
    CONF_K_endpoints, /* conf.endpoints, elements of CONF_G_ENDPOINT */
    CONF_K_prices,    /* conf.overrides, in the form of supervisor/config/price_file.h */
    CONF_K_token,     /* a client's token, kept as token_sha256 */
    CONF_K_digest     /* token_sha256 itself, 64 hex digits */
};

/* Labels of a switch: kinds whose value is one of conf_words, and lists whose elements are more
 * than texts. */
#define CONF_CASE_WORD                                                                             \
    case CONF_K_strategy:                                                                          \
    case CONF_K_probe:                                                                             \
    case CONF_K_auth:                                                                              \
    case CONF_K_protocol:                                                                          \
    case CONF_K_loglevel:                                                                          \
    case CONF_K_logformat:                                                                         \
    case CONF_K_historyon:                                                                         \
    case CONF_K_historyrows
#define CONF_CASE_LIST                                                                             \
    case CONF_K_affinity:                                                                          \
    case CONF_K_listens:                                                                           \
    case CONF_K_clients:                                                                           \
    case CONF_K_endpoints:                                                                         \
    case CONF_K_prices

/* One key. `offset` is from the start of its section's struct; low and high as in conf_table.h. */
struct conf_key {
    const char *name;
    enum conf_kind kind;
    const char *dflt;
    int64_t low, high;
    unsigned flags;
    const char *help;
    size_t offset;
};

/* Keys that share a mapping of the file and a struct. Several sections may have one path. `offset`
 * is that of the section's struct in the group's struct. */
struct conf_section {
    const char *path; /* "", "limits", "upstream.pool" */
    size_t offset;
    const struct conf_key *(*keys)(size_t *n);
};

/* Sections that live in one struct: the whole configuration, or an element of a list. */
enum conf_group_id { CONF_G_TOP, CONF_G_LISTEN, CONF_G_CLIENT, CONF_G_ENDPOINT, CONF_G__COUNT };

struct conf_group {
    const char *name; /* "", "listen", "clients", "endpoints" */
    const struct conf_section *sections;
    size_t n;
};

/* The group of that id, with its sections. */
const struct conf_group *conf_group(enum conf_group_id id);

/* The position of a walk over all keys of a group. Zero bytes are the start. */
struct conf_iter {
    size_t section, key;
};
/* Gives the next key and its section, in the order of the table. False: no more. */
bool conf_iter_next(const struct conf_group *g, struct conf_iter *it, const struct conf_section **s,
                    const struct conf_key **k);

/* The address of the key's member in an object of its group. */
static inline void *conf_member(void *object, const struct conf_section *s,
                                const struct conf_key *k)
{
    return (char *)object + s->offset + k->offset;
}

/* The address of the key's member in an object of its group that is only read. */
static inline const void *conf_member_c(const void *object, const struct conf_section *s,
                                        const struct conf_key *k)
{
    return (const char *)object + s->offset + k->offset;
}

/* The words of an enum kind, in the order of their values; NULL for other kinds. */
const char *const *conf_words(enum conf_kind kind, size_t *n);

/* Defaults of `listen`, `affinity.keys`, `cluster.share` and an endpoint's `paths`. */
extern const char conf_default_listen[];
extern const char conf_default_paths_allow[], conf_default_paths_deny[];
extern const char *const conf_default_keys[];
extern const size_t conf_default_nkeys;
extern const char *const conf_default_share[];
extern const size_t conf_default_nshare;

#endif
