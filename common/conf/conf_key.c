#include "common/conf/conf_key.h"

const char conf_default_listen[] = "127.0.0.1:7860";
const char conf_default_paths_allow[] = "/v1/*", conf_default_paths_deny[] = "/v1/organizations/*";
const char *const conf_default_keys[] = {"header:x-conversation-id",
                                         "header:x-claude-code-session-id", "body:conversation_id",
                                         "body:metadata.user_id"};
const size_t conf_default_nkeys = COUNT_OF(conf_default_keys);

const char *const conf_default_share[] = {"bindings", "endpoints", "places"};
const size_t conf_default_nshare = COUNT_OF(conf_default_share);

#define ROW(kind, key, dflt, lo, hi, flags, help)                                                  \
    {#key, CONF_K_##kind, dflt, lo, hi, flags, help, offsetof(self, key)},

/* A row of conf_table.h cannot name its struct, so every set of rows stands in a function with its
 * own type `self`. */
#define KEYS(name, type, ...)                                                                      \
    static const struct conf_key *keys_##name(size_t *n)                                           \
    {                                                                                              \
        typedef type self;                                                                         \
        static const struct conf_key rows[] = {__VA_ARGS__};                                       \
        *n = COUNT_OF(rows);                                                                       \
        return rows;                                                                               \
    }

#define KEYS_SECTION(name, path, TABLE) KEYS(name, struct conf_##name, TABLE(ROW))
CONF_SECTIONS(KEYS_SECTION)
#undef KEYS_SECTION

KEYS(top, struct conf, CONF_TOP(ROW))
KEYS(endpoint, struct conf_endpoint, CONF_ENDPOINT(ROW))

/* A row of a key that is not a scalar of conf_table.h; `offset` is that of the member itself. */
#define LIST(key, kind, member, dflt, help)                                                        \
    {key, CONF_K_##kind, dflt, 0, 0, 0, help, offsetof(self, member)},
#define PATH(key, help) {#key, CONF_K_str, "null", 0, 0, CONF_SUP, help, offsetof(self, key)},

KEYS(top_listen, struct conf,
     LIST("listen", listens, listen, "127.0.0.1:7860",
          "Where clients connect: one address or a list. Each is `IPv4:port`, `[IPv6]:port` (IPv6 "
          "alone, also `[::]`), `*:port`, `unix:/path`, or a mapping with `address` and `tls`."))
KEYS(top_clients, struct conf,
     LIST("clients", clients, clients, "[]",
          "Who may connect; empty: everybody, allowed on loopback and unix addresses only."))
KEYS(top_hosts, struct conf,
     LIST("hosts", strs, hosts, "[]",
          "Without `clients`: further names that a request may give in `Host`, for any port; `*`: "
          "any. "
          "Addresses, `localhost` and `*.localhost` always may."))
KEYS(cors, struct conf,
     LIST("origins", strs, origins, "[]",
          "Pages that may ask: `scheme://host[:port]` as the browser sends it in `Origin`, or "
          "`null`."))
KEYS(top_endpoints, struct conf,
     LIST("endpoints", endpoints, endpoints, "", "Where requests go; at least one. Required."))
KEYS(affinity_keys, struct conf,
     LIST("keys", affinity, keys,
          "[\"header:x-conversation-id\", \"header:x-claude-code-session-id\", "
          "\"body:conversation_id\", \"body:metadata.user_id\"]",
          "Where the conversation is looked for, in order: `header:NAME`, `body:MEMBER` or "
          "`body:MEMBER.MEMBER`."))
KEYS(models, struct conf,
     {"override", CONF_K_str, "null", 0, 0, 0, "Send every request with this model.",
      offsetof(self, model_override)},
     LIST("map", map, model_map, "{}",
          "Model aliases: {asked: sent}; `asked` may be a pattern with `*`."))
KEYS(prices_models, struct conf,
     LIST("models", prices, overrides, "[]",
          "Models with prices of your own, in the form of the file: each replaces all rows of that "
          "model."))
KEYS(cluster_more, struct conf,
     {"sentinels", CONF_K_strs, "[]", 0, 0, CONF_SUP,
      "`host:port` of Sentinels; the host in `url` is then the name of the master.",
      offsetof(self, cluster_more.sentinels)},
     {"share", CONF_K_strs, "[bindings, endpoints, places]", 0, 0, CONF_SUP,
      "What is shared: conversations' endpoints, states of endpoints, `max_concurrent`.",
      offsetof(self, cluster_more.share)})
KEYS(endpoint_more, struct conf_endpoint,
     PATH(api_key_file, "File with the key, instead of `api_key`.")
         LIST("headers", map, headers, "{}",
              "Headers added to each request, in place of the client's own of that name."))
KEYS(endpoint_models, struct conf_endpoint,
     LIST("allow", strs, allow, "[]", "Models it offers: names, or patterns with `*`; empty: all.")
         LIST("map", map, map, "{}",
              "Model aliases at this endpoint: {asked: sent}; an exact name goes before patterns."))
KEYS(endpoint_paths, struct conf_endpoint,
     LIST("allow", strs, paths_allow, "[\"/v1/*\"]",
          "Paths besides those of messages that the endpoint's key may be used for, with `*`.")
         LIST("deny", strs, paths_deny, "[\"/v1/organizations/*\"]",
              "Of these, paths that it may not."))
KEYS(endpoint_breaker, struct conf_breaker, CONF_ENDPOINT_BREAKER(ROW))
KEYS(listen_address, struct conf_listen,
     {"address", CONF_K_str, "null", 0, 0, 0, "The address, as above. Required.",
      offsetof(self, address)})
/* The paths are sent to the workers, so that a worker's messages can name them. */
KEYS(listen_tls, struct conf_listen,
     {"certificate", CONF_K_str, "null", 0, 0, 0, "PEM file: certificate, then its chain.",
      offsetof(self, certificate)},
     {"private_key", CONF_K_str, "null", 0, 0, 0, "PEM file: the certificate's key, no passphrase.",
      offsetof(self, private_key)})
KEYS(client, struct conf_client,
     {"name", CONF_K_str, "null", 0, 0, 0, "Unique, [A-Za-z0-9._-]{1,64}. Required.",
      offsetof(self, name)},
     {"token", CONF_K_token, "", 0, 0, CONF_SECRET,
      "What the client sends as `Authorization: Bearer` or `x-api-key`.",
      offsetof(self, token_sha256)},
     {"token_sha256", CONF_K_digest, "", 0, 0, 0,
      "Instead of `token`: its SHA-256 in hex, so that the file holds no secret.",
      offsetof(self, token_sha256)})

#define SECTION(name, path, TABLE) {path, offsetof(struct conf, name), keys_##name},
static const struct conf_section top_sections[] = {
    {"", 0, keys_top_listen},
    {"", 0, keys_top},
    {"", 0, keys_top_clients},
    {"", 0, keys_top_hosts},
    {"cors", 0, keys_cors},
    CONF_SECTIONS(SECTION){"affinity", 0, keys_affinity_keys},
    {"prices", 0, keys_prices_models},
    {"cluster", 0, keys_cluster_more},
    {"models", 0, keys_models},
    {"", 0, keys_top_endpoints}};
#undef SECTION
static const struct conf_section listen_sections[] = {{"", 0, keys_listen_address},
                                                      {"tls", 0, keys_listen_tls}};
static const struct conf_section client_sections[] = {{"", 0, keys_client}};
static const struct conf_section endpoint_sections[] = {
    {"", 0, keys_endpoint},
    {"", 0, keys_endpoint_more},
    {"models", 0, keys_endpoint_models},
    {"paths", 0, keys_endpoint_paths},
    {"breaker", offsetof(struct conf_endpoint, breaker), keys_endpoint_breaker}};

static const struct conf_group groups[CONF_G__COUNT] = {
    [CONF_G_TOP] = {"", top_sections, COUNT_OF(top_sections)},
    [CONF_G_LISTEN] = {"listen", listen_sections, COUNT_OF(listen_sections)},
    [CONF_G_CLIENT] = {"clients", client_sections, COUNT_OF(client_sections)},
    [CONF_G_ENDPOINT] = {"endpoints", endpoint_sections, COUNT_OF(endpoint_sections)},
};

const struct conf_group *conf_group(enum conf_group_id id)
{
    return &groups[id];
}

bool conf_iter_next(const struct conf_group *g, struct conf_iter *it, const struct conf_section **s,
                    const struct conf_key **k)
{
    for (; it->section < g->n; it->section++, it->key = 0) {
        size_t n;
        const struct conf_key *keys = g->sections[it->section].keys(&n);
        if (it->key < n) {
            *s = &g->sections[it->section];
            *k = &keys[it->key++];
            return true;
        }
    }
    return false;
}

#define WORD(word, symbol) word,
#define WORDS(kind)                                                                                \
    case CONF_K_##kind: {                                                                          \
        static const char *const words[] = {CONF_ENUM_##kind(WORD)};                               \
        *n = COUNT_OF(words);                                                                      \
        return words;                                                                              \
    }

const char *const *conf_words(enum conf_kind kind, size_t *n)
{
    *n = 0;
    switch (kind) {
        WORDS(strategy)
        WORDS(probe)
        WORDS(auth)
        WORDS(protocol)
        WORDS(loglevel)
        WORDS(logformat)
        WORDS(historyon)
        WORDS(historyrows)
    case CONF_K_ms:
    case CONF_K_bytes:
    case CONF_K_u32:
    case CONF_K_flag:
    case CONF_K_ppm:
    case CONF_K_str:
    case CONF_K_strs:
    case CONF_K_map:
    CONF_CASE_LIST:
    case CONF_K_token:
    case CONF_K_digest:
        break;
    }
    return NULL;
}
