#include "common/policy/outcome.h"

static const char *const outcome_names[OUTCOME__COUNT] = {
    [OUTCOME_OK] = "ok",     [OUTCOME_TRANSIENT] = "transient", [OUTCOME_RATE_LIMIT] = "rate_limit",
    [OUTCOME_AUTH] = "auth", [OUTCOME_PERMANENT] = "permanent", [OUTCOME_UNKNOWN] = "unknown",
};

static const char *const fault_names[FAULT__COUNT] = {
    [FAULT_NONE] = "none",
    [FAULT_REQUEST] = "request",
    [FAULT_ENDPOINT] = "endpoint",
    [FAULT_UNCLEAR] = "unclear",
};

static const char *const scope_names[SCOPE__COUNT] = {
    [SCOPE_NONE] = "none",
    [SCOPE_REQUEST] = "request",
    [SCOPE_CONVERSATION] = "conversation",
    [SCOPE_FEATURE] = "feature",
    [SCOPE_NAME] = "name",
    [SCOPE_MODEL] = "model",
    [SCOPE_ENDPOINT] = "endpoint",
};

static const struct {
    const char *text;
    bool unsent, timeout;
} net_rows[NET__COUNT] = {
    [NET_NONE] = {"none", false, false},
    [NET_RESOLVE] = {"host name not found", true, false},
    [NET_REFUSED] = {"connection refused", true, false},
    [NET_CONNECT] = {"connect failed", true, false},
    [NET_CONNECT_TIMEOUT] = {"connect timeout", true, true},
    [NET_PROXY] = {"outgoing proxy failed", true, false},
    [NET_TLS] = {"TLS handshake failed", true, false},
    [NET_CERT] = {"certificate not accepted", true, false},
    [NET_SEND] = {"connection broke while sending", false, false},
    [NET_RESET] = {"connection reset", false, false},
    [NET_EMPTY] = {"empty reply", false, false},
    [NET_PARTIAL] = {"reply cut off", false, false},
    [NET_GARBAGE] = {"invalid HTTP reply", false, false},
    [NET_FIRST_BYTE_TIMEOUT] = {"first byte timeout", false, true},
    [NET_IDLE_TIMEOUT] = {"idle timeout in the reply", false, true},
    [NET_LOCAL] = {"local resource exhausted", true, false},
    [NET_SILENT] = {"no content in the stream", false, true},
};

const char *outcome_name(enum outcome o)
{
    return (unsigned)o < OUTCOME__COUNT ? outcome_names[o] : "?";
}

const char *scope_name(enum scope s)
{
    return (unsigned)s < SCOPE__COUNT ? scope_names[s] : "?";
}

const char *fault_name(enum fault f)
{
    return (unsigned)f < FAULT__COUNT ? fault_names[f] : "?";
}

const char *net_fault_text(enum net_fault n)
{
    return (unsigned)n < NET__COUNT ? net_rows[n].text : "?";
}

bool net_fault_unsent(enum net_fault n)
{
    return (unsigned)n < NET__COUNT && net_rows[n].unsent;
}

bool net_fault_timeout(enum net_fault n)
{
    return (unsigned)n < NET__COUNT && net_rows[n].timeout;
}
