/* conf: one checked configuration, immutable once built, reference-counted: a reload makes a new
 * one, and the old one lives until the last request that began under it has ended. The functions
 * are in conf_alloc.c, since conf_key and conf_value need the types and the functions need
 * conf_key. */
#ifndef QCC_COMMON_CONF_CONF_H
#define QCC_COMMON_CONF_CONF_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "common/conf/conf_table.h"
#include "common/policy/price.h"

#define CONF_E(word, symbol) symbol,
enum conf_strategy { CONF_ENUM_strategy(CONF_E) };
enum conf_probe { CONF_ENUM_probe(CONF_E) };
enum conf_auth { CONF_ENUM_auth(CONF_E) };
enum conf_protocol { CONF_ENUM_protocol(CONF_E) };
enum conf_loglevel { CONF_ENUM_loglevel(CONF_E) };
enum conf_logformat { CONF_ENUM_logformat(CONF_E) };
enum conf_historyon { CONF_ENUM_historyon(CONF_E) };
enum conf_historyrows { CONF_ENUM_historyrows(CONF_E) };
#undef CONF_E

#define CONF_TYPE_ms int64_t
#define CONF_TYPE_bytes uint64_t
#define CONF_TYPE_u32 uint32_t
#define CONF_TYPE_flag bool
#define CONF_TYPE_ppm uint64_t
#define CONF_TYPE_str char *
#define CONF_TYPE_strategy enum conf_strategy
#define CONF_TYPE_probe enum conf_probe
#define CONF_TYPE_auth enum conf_auth
#define CONF_TYPE_protocol enum conf_protocol
#define CONF_TYPE_loglevel enum conf_loglevel
#define CONF_TYPE_logformat enum conf_logformat
#define CONF_TYPE_historyon enum conf_historyon
#define CONF_TYPE_historyrows enum conf_historyrows

#define CONF_MEMBER(kind, key, dflt, lo, hi, flags, help) CONF_TYPE_##kind key;
#define CONF_STRUCT(name, path, TABLE)                                                             \
    struct conf_##name {                                                                           \
        TABLE(CONF_MEMBER)                                                                         \
    };
CONF_SECTIONS(CONF_STRUCT)

/* Bounds of a configuration, checked when the file is read and when a worker decodes the frame.
 * CONF_LISTEN_MAX: one descriptor for each address travels to a worker. CONF_CA_MAX: a CA bundle is
 * about 220 KB. */
enum {
    CONF_TEXT_MAX = 8192,
    CONF_LISTEN_MAX = 32,
    CONF_CLIENTS_MAX = 10000,
    CONF_ENDPOINTS_MAX = 2000,
    CONF_KEYS_MAX = 16,
    CONF_LIST_MAX = 1000, /* elements of a list of texts or pairs */
    CONF_PEM_MAX = 256 << 10,
    CONF_CA_MAX = 2 << 20
};

/* A list of texts, in the order of the file. */
struct conf_strs {
    char **v;
    size_t n;
};
struct conf_pair {
    char *from, *to;
};
/* A list of pairs (models.map, headers), in the order of the file. */
struct conf_map {
    struct conf_pair *v;
    size_t n;
};

/* One address to listen on: "IPv4:port", "[IPv6]:port", "unix:/path" (conf_check has made
 * "localhost" and "*" numeric). With tls the certificate chain and key are carried as PEM text,
 * read by the supervisor: a worker opens no files. */
struct conf_listen {
    char *address;
    char *certificate, *private_key;         /* paths; NULL: no TLS */
    char *certificate_pem, *private_key_pem; /* their content, filled by the supervisor */
};

struct conf_client {
    char *name;
    uint8_t token_sha256[32];
};

struct conf_endpoint {
    CONF_ENDPOINT(CONF_MEMBER) /* proxy: after conf_check the one in force, which may come from
                                * upstream.proxy (NULL then); NULL: direct */
    char *api_key_file;        /* path; read into api_key by the supervisor, not sent to workers */
    bool key_unread;        /* a key is configured that could not be read; set by the supervisor */
    struct conf_strs allow; /* models.allow */
    struct conf_strs paths_allow, paths_deny; /* paths.allow, paths.deny (policy/side_path.h) */
    struct conf_map map;                      /* models.map */
    struct conf_map headers;
    struct conf_breaker breaker; /* 0: as the common one; not sent to workers */
    /* derived by conf_check: */
    char id[9]; /* 8 hex digits of SHA-256 of base_url|api_key */
    char *host; /* without brackets */
    uint16_t port;
    bool tls;
    char *base_path;   /* "" or "/x/y", never ending in '/' */
    char *host_header; /* host[:port] for the Host header */
};

/* What hosts may share, in the order of the words of cluster.share; a set is 1 << each, or'ed. */
enum conf_share { SHARE_BINDINGS, SHARE_ENDPOINTS, SHARE_PLACES, SHARE__COUNT };

/* What `cluster` has beside its scalars; not sent to workers. */
struct conf_cluster_more {
    struct conf_strs sentinels, share;
    /* filled by the supervisor from the files that the configuration names; NULL: none */
    char *password, *ca_pem, *certificate_pem, *private_key_pem;
    unsigned shares; /* set of enum conf_share, derived by conf_check */
};

enum conf_key_kind { CONF_KEY_HEADER, CONF_KEY_BODY };
struct conf_affinity_key { /* "header:NAME" or "body:MEMBER"; MEMBER has at most one dot */
    enum conf_key_kind kind;
    char *name; /* header names in lower case */
};

struct conf {
    CONF_TOP(CONF_MEMBER) /* admin.listen is NULL when off */
#define CONF_SECTION(name, path, TABLE) struct conf_##name name;
    CONF_SECTIONS(CONF_SECTION)
#undef CONF_SECTION
    struct conf_listen *listen;
    size_t nlisten;
    struct conf_client *clients;
    size_t nclients;
    struct conf_affinity_key *keys; /* affinity.keys */
    size_t nkeys;
    struct conf_strs hosts;    /* hosts; after conf_check in lower case, without a dot at the end */
    struct conf_strs origins;  /* cors.origins, as a browser writes them */
    char *model_override;      /* models.override */
    struct conf_map model_map; /* models.map */
    struct conf_endpoint *endpoints;
    size_t nendpoints;
    char *ca_pem; /* content of upstream.ca_file */
    struct conf_cluster_more cluster_more;
    struct price_table overrides;  /* prices.models */
    struct price_table price_list; /* of prices.file and prices.models, read by the supervisor; not
                                    * sent to workers */
    uint64_t gen; /* set by the supervisor when it takes the configuration into use */
    unsigned refs;
};

/* A configuration with one reference, all scalars at their defaults, lists empty (the reader of the
 * file fills in the defaults of affinity.keys, listen and an endpoint's paths). */
struct conf *conf_new(void) MUST_CHECK;

/* Each conf_add_ function appends an element with its defaults, for the readers of the file and of
 * the frame. Pointers into the list are stale afterwards. The caller has compared the number with
 * its bound above. conf_add_key copies the name. */
struct conf_listen *conf_add_listen(struct conf *c);
struct conf_client *conf_add_client(struct conf *c);
struct conf_endpoint *conf_add_endpoint(struct conf *c);
void conf_add_key(struct conf *c, enum conf_key_kind kind, struct str name);

/* Adds an owner. Returns c. */
struct conf *conf_ref(struct conf *c);

/* Removes an owner; the last one frees c and wipes its secrets. NULL: nothing is done. */
void conf_unref(struct conf *c);

#endif
