/* conf_table: every scalar key of qcc.yaml, once. From these rows come the structs (conf.h), the
 * YAML setters, defaults, bounds, messages, `--print-reference`, and the frames that carry the
 * configuration to the workers.
 *
 *   F(kind, key, default, low, high, flags, help)
 *
 * kind     member type      in YAML
 * ms       int64_t          duration: 250ms 30s 5m 5h
 * bytes    uint64_t         size: 64KiB 64MiB 512
 * u32      uint32_t         whole number
 * flag     bool             true/yes/on, false/no/off
 * ppm      uint64_t         decimal number, kept as millionths: 1 1.25 0.000001
 * str      char * or NULL   text; null is NULL
 * ENUM     enum conf_ENUM   one of the words in CONF_ENUM_…
 *
 * The default is written as in the file and parsed by the same setter (conf_value.h). Bounds hold
 * for ms (milliseconds), bytes, u32 and ppm (millionths). Flags: CONF_SECRET is never printed and
 * wiped when freed; CONF_SUP is not sent to workers; CONF_OFF: off, no and false are NULL. */
#ifndef QCC_COMMON_CONF_CONF_TABLE_H
#define QCC_COMMON_CONF_CONF_TABLE_H

enum { CONF_SECRET = 1, CONF_SUP = 2, CONF_OFF = 4 };

/*   E(word, symbol) */
#define CONF_ENUM_strategy(E)                                                                      \
    E("weighted", STRATEGY_WEIGHTED)                                                               \
    E("round_robin", STRATEGY_ROUND_ROBIN)                                                         \
    E("random", STRATEGY_RANDOM)                                                                   \
    E("least_connections", STRATEGY_LEAST_CONNECTIONS)                                             \
    E("priority_failover", STRATEGY_PRIORITY_FAILOVER)                                             \
    E("least_latency", STRATEGY_LEAST_LATENCY)
#define CONF_ENUM_probe(E)                                                                         \
    E("conversational", PROBE_CONVERSATIONAL)                                                      \
    E("http", PROBE_HTTP)                                                                          \
    E("off", PROBE_OFF)
#define CONF_ENUM_auth(E)                                                                          \
    E("auto", AUTH_AUTO)                                                                           \
    E("x-api-key", AUTH_X_API_KEY)                                                                 \
    E("bearer", AUTH_BEARER)                                                                       \
    E("both", AUTH_BOTH)
#define CONF_ENUM_protocol(E)                                                                      \
    E("anthropic", PROTOCOL_ANTHROPIC)                                                             \
    E("openai", PROTOCOL_OPENAI)
#define CONF_ENUM_loglevel(E)                                                                      \
    E("debug", LOGLEVEL_DEBUG)                                                                     \
    E("info", LOGLEVEL_INFO)                                                                       \
    E("warning", LOGLEVEL_WARNING)                                                                 \
    E("error", LOGLEVEL_ERROR)
#define CONF_ENUM_logformat(E)                                                                     \
    E("text", LOGFORMAT_TEXT)                                                                      \
    E("json", LOGFORMAT_JSON)
#define CONF_ENUM_historyon(E)                                                                     \
    E("auto", HISTORY_AUTO)                                                                        \
    E("true", HISTORY_ON)                                                                          \
    E("false", HISTORY_OFF)
#define CONF_ENUM_historyrows(E)                                                                   \
    E("all", HISTORY_ROWS_ALL)                                                                     \
    E("failed", HISTORY_ROWS_FAILED)                                                               \
    E("off", HISTORY_ROWS_OFF)

#define CONF_TOP(F)                                                                                \
    F(u32, workers, "auto", 0, 256, 0, "Worker processes; auto (0): one per CPU core.")            \
    F(str, user, "null", 0, 0, CONF_SUP, "Drop privileges to this user when started as root.")     \
    F(str, state_dir, "null", 0, 0, CONF_SUP,                                                      \
      "Where bindings, failure queue and counters last; null: memory only.")                       \
    F(str, control_socket, "null", 0, 0, CONF_SUP,                                                 \
      "Path of qccctl's socket; null: control.sock in $RUNTIME_DIRECTORY, else "                   \
      "$XDG_RUNTIME_DIR/qcc, else /run/qcc (as root), else /tmp/qcc-UID.")                         \
    F(ms, stream_ping, "15s", 0, 3600000, 0,                                                       \
      "Send `event: ping` after so much silence in a stream; 0s: never.")                          \
    F(flag, expose_headers, "true", 0, 0, 0,                                                       \
      "Add x-qcc-endpoint, x-qcc-attempts and x-qcc-request-id to replies.")

#define CONF_ADMIN(F)                                                                              \
    F(str, listen, "127.0.0.1:7861", 0, 0, CONF_OFF, "Address of the admin listener; off: none.")  \
    F(str, token, "null", 0, 0, CONF_SECRET,                                                       \
      "Bearer token of the admin listener; required unless on loopback or unix.")

#define CONF_LIMITS(F)                                                                             \
    F(u32, max_connections, "10000", 1, 1000000, 0, "Client connections per worker.")              \
    F(bytes, max_header_bytes, "64KiB", 1024, 1048576, 0, "Largest request head; beyond: 431.")    \
    F(bytes, max_body_bytes, "64MiB", 1024, 1073741824, 0, "Largest request body; beyond: 413.")   \
    F(bytes, max_buffered_bytes, "512MiB", 1048576, 1099511627776, 0,                              \
      "Request bodies held per worker; beyond: 503 with retry-after.")                             \
    F(ms, header_timeout, "15s", 10, 3600000, 0, "Time for a whole request head.")                 \
    F(ms, body_timeout, "60s", 10, 3600000, 0, "Time between two pieces of a request body.")       \
    F(bytes, min_body_rate, "1KiB", 0, 1073741824, 0,                                              \
      "Bytes of a request body a second, on average over 10s and more; slower: 408. 0: any.")      \
    F(ms, idle_timeout, "120s", 10, 86400000, 0, "Time a kept-alive connection may be idle.")      \
    F(ms, write_timeout, "120s", 10, 86400000, 0, "Time in which a client takes nothing.")         \
    F(ms, drain_timeout, "10m", 0, 86400000, 0, "Time to finish what is in flight at a stop.")

#define CONF_POOL(F)                                                                               \
    F(u32, max_connections, "100", 1, 100000, 0, "Connections to one endpoint, per worker.")       \
    F(u32, max_idle, "20", 0, 100000, 0, "Idle connections kept to one endpoint, per worker.")     \
    F(ms, idle_expiry, "30s", 10, 86400000, 0, "Time an idle connection is kept.")                 \
    F(ms, max_age, "1h", 10, 86400000, 0, "Age at which a kept connection ends, when it is idle.")

#define CONF_UPSTREAM(F)                                                                           \
    F(ms, connect_timeout, "10s", 10, 600000, 0, "Time to resolve, connect and shake hands.")      \
    F(ms, first_byte_timeout, "300s", 10, 86400000, 0,                                             \
      "Time from the request's last byte to the reply's first.")                                   \
    F(ms, first_content_timeout, "60s", 0, 86400000, 0,                                            \
      "Time from the request's last byte to a stream's first content, where another endpoint "     \
      "could serve instead; 0s: any.")                                                             \
    F(ms, idle_timeout, "120s", 10, 86400000, 0, "Time between two pieces of a reply.")            \
    F(bytes, max_response_header_bytes, "256KiB", 1024, 1048576, 0, "Largest reply head.")         \
    F(str, ca_file, "null", 0, 0, 0, "CA certificates for https endpoints; null: the system's.")   \
    F(str, proxy, "null", 0, 0, CONF_SECRET,                                                       \
      "http://…, socks5://… or socks5h://… proxy for all endpoints; may hold user:password@.")     \
    F(flag, warm_up, "false", 0, 0, 0,                                                             \
      "Open and check a connection to each endpoint at start and reload.")                         \
    F(flag, list_models, "true", 0, 0, 0,                                                          \
      "Ask endpoints for their lists of models, of which GET /v1/models is answered.")

#define CONF_RETRY(F)                                                                              \
    F(u32, max_attempts, "5", 1, 100, 0, "Attempts for one request.")                              \
    F(u32, max_attempts_per_endpoint, "2", 1, 100, 0, "Attempts of one request at one endpoint.")  \
    F(ms, transient_delay, "200ms", 0, 60000, 0, "Pause before a repeat at the same endpoint.")    \
    F(ms, hold_stream_head, "2s", 0, 60000, 0,                                                     \
      "How long the head of a stream is held for its first content.")                              \
    F(bytes, hold_reply, "1MiB", 0, 67108864, 0, "How much of a non-stream reply is held.")        \
    F(ms, max_wait, "0s", 0, 600000, 0, "How long a request may wait for a cooling endpoint.")     \
    F(ms, max_retry_after, "59s", 1000, 3600000, 0, "Longest retry-after that QCC itself sends.")

#define CONF_RATE_LIMIT(F)                                                                         \
    F(ms, default_cooldown, "30s", 0, 3600000, 0,                                                  \
      "Longest cooldown of an endpoint that told none.")                                           \
    F(ms, max_cooldown, "1h", 0, 604800000, 0, "Longest cooldown, whatever an endpoint says.")

#define CONF_HEALTH(F)                                                                             \
    F(ms, degraded_for, "10s", 0, 3600000, 0, "How long a transient failure degrades an endpoint.")

#define CONF_BREAKER(F)                                                                            \
    F(u32, failure_threshold, "3", 1, 1000, 0, "Consecutive failures that open the breaker.")      \
    F(ms, open_duration, "60s", 10, 86400000, 0, "How long it stays open the first time.")         \
    F(ms, max_open_duration, "10m", 10, 86400000, 0, "Longest time it stays open (doubling).")

#define CONF_AFFINITY(F)                                                                           \
    F(flag, enabled, "true", 0, 0, 0, "Keep each conversation on its endpoint.")                   \
    F(ms, ttl, "5h", 1000, 2592000000, 0, "How long a binding lasts from its last use.")           \
    F(ms, cache_ttl, "5m", 0, 86400000, 0,                                                         \
      "Idle for so long, a conversation may leave a lower-priority endpoint.")                     \
    F(ms, cleanup_interval, "5m", 100, 86400000, 0, "How often expired bindings are swept.")       \
    F(u32, max_sessions, "1000000", 1, 10000000, 0, "Bindings kept; beyond, the oldest go.")

#define CONF_FAILURE_QUEUE(F)                                                                      \
    F(ms, verify_interval, "60s", 100, 86400000, 0, "Longest pause between verifications.")        \
    F(ms, verify_disabled_interval, "10m", 0, 604800000, 0,                                        \
      "Pause between verifications of an endpoint disabled by an auth failure; 0s: never.")        \
    F(probe, probe, "conversational", 0, 0, 0, "How an endpoint is verified.")                     \
    F(str, probe_model, "auto", 0, 0, 0,                                                           \
      "Model asked; auto: the one last served by the endpoint.")                                   \
    F(ms, probe_timeout, "30s", 10, 600000, 0, "Time for one verification.")

#define CONF_BALANCE(F)                                                                            \
    F(strategy, strategy, "weighted", 0, 0, 0, "How an endpoint is chosen within its tier.")       \
    F(flag, use_priority, "false", 0, 0, 0, "Group endpoints by priority for every strategy.")

#define CONF_HISTORY(F)                                                                            \
    F(historyon, enabled, "auto", 0, 0, CONF_SUP,                                                  \
      "Whether requests and usage are kept in state_dir; auto: where that is set.")                \
    F(historyrows, requests, "all", 0, 0, CONF_SUP,                                                \
      "Rows of all requests, of those that failed or were retried, or off: sums only.")            \
    F(ms, keep_requests, "30d", 3600000, INT64_C(1825) * 86400000, CONF_SUP,                       \
      "How long rows of requests are kept.")                                                       \
    F(ms, keep_usage, "400d", 3600000, INT64_C(1825) * 86400000, CONF_SUP,                         \
      "How long hourly sums and events are kept; sums of 15 minutes: 35d, or this if shorter.")    \
    F(bytes, max_size, "1GiB", 16777216, INT64_C(1) << 40, CONF_SUP,                               \
      "Largest file; beyond, the oldest requests go, day by day, then only sums are stored.")      \
    F(bytes, min_free, "256MiB", 0, INT64_C(1) << 40, CONF_SUP,                                    \
      "Less free space on the disk: nothing is stored.")                                           \
    F(flag, clients, "true", 0, 0, CONF_SUP, "Whether the names of clients are kept.")

#define CONF_PRICES(F)                                                                             \
    F(str, file, "null", 0, 0, CONF_SUP,                                                           \
      "File of list prices; null: the prices.yaml that QCC brings along.")

/* Beside these: sentinels, share. */
#define CONF_CLUSTER(F)                                                                            \
    F(str, url, "null", 0, 0, CONF_SECRET | CONF_SUP,                                              \
      "Redis or Valkey that hosts share state through: "                                           \
      "`redis://[user[:password]@]host[:6379][/db]`, "                                             \
      "`rediss://…` (TLS), `unix:///path[?db=N]`; null: this host is alone.")                      \
    F(str, secret, "null", 0, 0, CONF_SECRET | CONF_SUP,                                           \
      "The same on all hosts, at least 32 bytes (`openssl rand -hex 32`). Needed with `url`.")     \
    F(str, secret_file, "null", 0, 0, CONF_SUP, "File with it, instead of `secret`.")              \
    F(str, password_file, "null", 0, 0, CONF_SUP,                                                  \
      "File with the engine's password, instead of one in `url`.")                                 \
    F(str, prefix, "qcc", 0, 0, CONF_SUP,                                                          \
      "Separates clusters in one engine, [A-Za-z0-9._-]{1,32}.")                                   \
    F(str, name, "null", 0, 0, CONF_SUP,                                                           \
      "Of this host in listings, [A-Za-z0-9._-]{1,64}; null: its host name.")                      \
    F(str, ca_file, "null", 0, 0, CONF_SUP,                                                        \
      "CA certificates for `rediss`; null: the system's. The host name is verified.")              \
    F(str, certificate, "null", 0, 0, CONF_SUP,                                                    \
      "PEM file: certificate of this host, if the engine asks for one.")                           \
    F(str, private_key, "null", 0, 0, CONF_SUP, "PEM file: its key, no passphrase.")               \
    F(ms, timeout, "500ms", 50, 10000, CONF_SUP,                                                   \
      "An engine that has not answered for so long is lost.")                                      \
    F(ms, lease, "10s", 2000, 300000, CONF_SUP,                                                    \
      "After so long without a sign of life a host is taken for dead.")

#define CONF_LOG(F)                                                                                \
    F(loglevel, level, "info", 0, 0, 0, "Least level that is written.")                            \
    F(logformat, format, "text", 0, 0, 0, "Form of a line.")                                       \
    F(str, file, "stderr", 0, 0, CONF_SUP, "stderr, or a path.")                                   \
    F(flag, access, "true", 0, 0, 0, "One line for each request.")

/* One element of `endpoints`. Beside these: api_key_file, models {allow, map}, paths {allow, deny},
 * headers. */
#define CONF_ENDPOINT(F)                                                                           \
    F(str, name, "null", 0, 0, 0, "Unique, [A-Za-z0-9._-]{1,64}. Required.")                       \
    F(str, base_url, "null", 0, 0, 0, "http or https, may have a path. Required.")                 \
    F(protocol, protocol, "anthropic", 0, 0, 0,                                                    \
      "What it speaks; openai: Chat Completions, into which messages are translated.")             \
    F(str, api_key, "null", 0, 0, CONF_SECRET,                                                     \
      "Sent as the endpoint's credentials; none: the client's own pass through (openai: none).")   \
    F(auth, auth, "auto", 0, 0, 0,                                                                 \
      "Where the key goes; auto: x-api-key for *.anthropic.com, bearer for openai, else both.")    \
    F(u32, max_tokens, "0", 0, 100000000, 0,                                                       \
      "openai: most that is asked for as max_tokens, whatever the client asks for; 0: no cap.")    \
    F(flag, enabled, "true", 0, 0, 0, "Whether it takes requests.")                                \
    F(u32, weight, "100", 0, 1000000, 0, "Share of requests; 0: only when no other is left.")      \
    F(u32, priority, "1", 1, 1000, 0, "1 primary, 2 secondary, 3 fallback …")                      \
    F(u32, max_concurrent, "0", 0, 1000000, 0,                                                     \
      "Open requests at most, over all workers; 0: no limit.")                                     \
    F(str, proxy, "null", 0, 0, CONF_SECRET,                                                       \
      "Proxy for this endpoint, instead of upstream.proxy; off: none for this one.")               \
    F(ms, first_byte_timeout, "null", 10, 86400000, 0,                                             \
      "As in `upstream`, which holds where this and the two below are not given.")                 \
    F(ms, first_content_timeout, "null", 10, 86400000, 0,                                          \
      "Time to a stream's first content, where another endpoint could serve instead.")             \
    F(ms, idle_timeout, "null", 10, 86400000, 0, "Time between two pieces of a reply.")            \
    F(ppm, price_factor, "1", 0, 1000000000, CONF_SUP,                                             \
      "What it charges of the list price; 0: nothing, as with a subscription.")

/* endpoints[].breaker, of the supervisor alone. 0, which no file can have: as the common one. */
#define CONF_ENDPOINT_BREAKER(F)                                                                   \
    F(u32, failure_threshold, "null", 1, 1000, CONF_SUP,                                           \
      "Consecutive failures that open its breakers; not given, as the two below: as in "           \
      "`breaker`.")                                                                                \
    F(ms, open_duration, "null", 10, 86400000, CONF_SUP,                                           \
      "How long they stay open the first time.")                                                   \
    F(ms, max_open_duration, "null", 10, 86400000, CONF_SUP,                                       \
      "Longest time they stay open (doubling).")

/* The sections that are plain mappings:  S(struct and member name, path in the file, table) */
#define CONF_SECTIONS(S)                                                                           \
    S(admin, "admin", CONF_ADMIN)                                                                  \
    S(limits, "limits", CONF_LIMITS)                                                               \
    S(upstream, "upstream", CONF_UPSTREAM)                                                         \
    S(pool, "upstream.pool", CONF_POOL)                                                            \
    S(retry, "retry", CONF_RETRY)                                                                  \
    S(rate_limit, "rate_limit", CONF_RATE_LIMIT)                                                   \
    S(health, "health", CONF_HEALTH)                                                               \
    S(breaker, "breaker", CONF_BREAKER)                                                            \
    S(affinity, "affinity", CONF_AFFINITY)                                                         \
    S(failure_queue, "failure_queue", CONF_FAILURE_QUEUE)                                          \
    S(balance, "balance", CONF_BALANCE)                                                            \
    S(history, "history", CONF_HISTORY)                                                            \
    S(prices, "prices", CONF_PRICES)                                                               \
    S(cluster, "cluster", CONF_CLUSTER)                                                            \
    S(log, "log", CONF_LOG)

#endif
