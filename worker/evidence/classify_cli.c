#include "worker/evidence/classify_cli.h"

#include "common/base/buf.h"
#include "common/policy/classify/date.h"
#include "worker/evidence/evidence.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4 << 20, ARENA_MAX = 16 << 20, FIELDS_MAX = 128 };

/* ---- libcurl's codes */

/* Meanings of libcurl's codes for which there is no enum net_fault: QCC's own transport cannot fail
 * so. */
enum special {
    AS_NET,
    AS_ADDRESS, /* the endpoint's URL itself is wrong */
    AS_REWIND   /* the request's body could not be sent a second time */
};

static const struct {
    const char *name; /* without CURLE_ */
    enum net_fault fault;
    enum special special;
} curl_codes[] = {
    {"COULDNT_RESOLVE_HOST", NET_RESOLVE, AS_NET},
    {"COULDNT_RESOLVE_PROXY", NET_PROXY, AS_NET},
    {"PROXY", NET_PROXY, AS_NET},
    {"COULDNT_CONNECT", NET_CONNECT, AS_NET},
    {"OPERATION_TIMEDOUT", NET_IDLE_TIMEOUT, AS_NET},
    {"SSL_CONNECT_ERROR", NET_TLS, AS_NET},
    {"USE_SSL_FAILED", NET_TLS, AS_NET},
    {"SSL_SHUTDOWN_FAILED", NET_TLS, AS_NET},
    {"PEER_FAILED_VERIFICATION", NET_CERT, AS_NET},
    {"SSL_CACERT", NET_CERT, AS_NET},
    {"SSL_PEER_CERTIFICATE", NET_CERT, AS_NET},
    {"SSL_ISSUER_ERROR", NET_CERT, AS_NET},
    {"SSL_PINNEDPUBKEYNOTMATCH", NET_CERT, AS_NET},
    {"SSL_INVALIDCERTSTATUS", NET_CERT, AS_NET},
    {"SSL_CLIENTCERT", NET_CERT, AS_NET},
    {"SEND_ERROR", NET_SEND, AS_NET},
    {"SEND_FAIL_REWIND", NET_SEND, AS_REWIND},
    {"RECV_ERROR", NET_RESET, AS_NET},
    {"HTTP2", NET_RESET, AS_NET},
    {"HTTP2_STREAM", NET_RESET, AS_NET},
    {"HTTP3", NET_RESET, AS_NET},
    {"QUIC_CONNECT_ERROR", NET_CONNECT, AS_NET},
    {"GOT_NOTHING", NET_EMPTY, AS_NET},
    {"PARTIAL_FILE", NET_PARTIAL, AS_NET},
    {"ECH_REQUIRED", NET_TLS, AS_NET},
    {"WEIRD_SERVER_REPLY", NET_GARBAGE, AS_NET},
    {"BAD_CONTENT_ENCODING", NET_GARBAGE, AS_NET},
    {"HTTP_RETURNED_ERROR", NET_GARBAGE, AS_NET},
    {"URL_MALFORMAT", NET_LOCAL, AS_ADDRESS},
    {"UNSUPPORTED_PROTOCOL", NET_LOCAL, AS_ADDRESS},
    {"TOO_MANY_REDIRECTS", NET_LOCAL, AS_ADDRESS},
};

static bool has(struct str text, struct str what)
{
    return str_find_nocase(text, what) >= 0;
}

static struct str curl_name(struct str code)
{
    static const struct str prefix = STR_LIT("CURLE_");
    return str_starts(code, prefix) ? str_make(code.p + prefix.n, code.n - prefix.n) : code;
}

enum net_fault classify_cli_curl(struct str code, struct str text)
{
    code = curl_name(code);
    enum net_fault fault = NET_LOCAL;
    for (size_t i = 0; i < COUNT_OF(curl_codes); i++)
        if (str_eq(code, str_c(curl_codes[i].name)))
            fault = curl_codes[i].fault;
    if (fault == NET_IDLE_TIMEOUT) {
        if (has(text, STR("resolving")))
            return NET_RESOLVE;
        if (has(text, STR("proxy")))
            return NET_PROXY;
        if (has(text, STR("connection timed out")) || has(text, STR("connect timed out")) ||
            has(text, STR("failed to connect")) || has(text, STR("connection timeout")))
            return NET_CONNECT_TIMEOUT;
        if (has(text, STR("with 0 bytes received")) || has(text, STR("0 out of 0 bytes")))
            return NET_FIRST_BYTE_TIMEOUT;
    }
    if (fault == NET_CONNECT && has(text, STR("refused")))
        return NET_REFUSED;
    if (fault == NET_TLS &&
        (has(text, STR("certificate verify")) || has(text, STR("certificate has expired")) ||
         has(text, STR("self signed")) || has(text, STR("self-signed"))))
        return NET_CERT;
    if (fault == NET_RESET && (has(text, STR("proxy connect")) || has(text, STR("from proxy"))))
        return NET_PROXY;
    return fault;
}

static void classify_curl(struct str code, struct str text, struct verdict *v)
{
    enum net_fault net = classify_cli_curl(code, text);
    classify_net(net, net == NET_PARTIAL, v); /* PARTIAL_FILE: there was a body */
    enum special special = AS_NET;
    for (size_t i = 0; i < COUNT_OF(curl_codes); i++)
        if (str_eq(curl_name(code), str_c(curl_codes[i].name)))
            special = curl_codes[i].special;
    if (special == AS_ADDRESS) {
        v->cls = OUTCOME_PERMANENT;
        v->fault = FAULT_ENDPOINT;
        v->scope = SCOPE_ENDPOINT;
        v->rule = "curl-address";
    } else if (special == AS_REWIND) {
        v->fault = FAULT_UNCLEAR;
        v->scope = SCOPE_REQUEST;
        v->rule = "curl-rewind";
    }
}

/* ---- one line */

static struct str text_of(json_t *o, const char *name)
{
    json_t *v = json_object_get(o, name);
    return json_is_string(v) ? str_make(json_string_value(v), json_string_length(v))
                             : (struct str){0};
}

static size_t fields_of(json_t *headers, struct http_field *f)
{
    size_t n = 0;
    const char *name;
    json_t *v;
    json_object_foreach(headers, name, v)
    {
        json_t *first = json_is_array(v) ? json_array_get(v, 0) : v;
        if (n < FIELDS_MAX && json_is_string(first))
            f[n++] = (struct http_field){
                .name = str_c(name),
                .value = str_make(json_string_value(first), json_string_length(first)),
            };
    }
    return n;
}

static void reply(json_t *o, struct verdict *v)
{
    struct str kind = text_of(o, "kind"), body = text_of(o, "body");
    json_t *status = json_object_get(o, "status");
    int64_t now = -1;
    if (!date_rfc3339(text_of(o, "received_at"), &now))
        now = -1;
    if (str_eq(kind, STR("curl"))) {
        classify_curl(text_of(o, "curl_code"), body, v);
        return;
    }
    struct http_field f[FIELDS_MAX];
    struct evidence ev;
    struct arena a;
    arena_init(&a, ARENA_MAX);
    enum evidence_kind what = str_eq(kind, STR("sse_error")) ? EVIDENCE_SSE_ERROR
                              : str_eq(kind, STR("bad_200")) ? EVIDENCE_BAD_200
                                                             : EVIDENCE_HTTP;
    json_int_t code = json_is_integer(status) ? json_integer_value(status)
                      : what == EVIDENCE_HTTP ? 0
                                              : 200;
    evidence_read(&ev, what, code > 0 && code < 1000 ? (unsigned)code : 0, f,
                  fields_of(json_object_get(o, "headers"), f), body, &a);
    ev.model = text_of(o, "model");
    classify(&ev, now, v);
    arena_free(&a);
}

static bool line(struct str s, size_t number)
{
    if (str_trim(s).n == 0)
        return true;
    json_error_t why;
    json_t *o = json_loadb(s.p, s.n, JSON_ALLOW_NUL, &why);
    if (!json_is_object(o)) {
        fprintf(stderr, "line %zu: %s\n", number, o ? "no object" : why.text);
        json_decref(o);
        return false;
    }
    struct verdict v;
    reply(o, &v);
    json_t *id = json_object_get(o, "id");
    json_t *out =
        json_pack("{s:O?, s:s, s:s, s:s, s:o, s:s}", "id", id, "class", outcome_name(v.cls),
                  "fault", fault_name(v.fault), "scope", scope_name(v.scope), "retry_after_s",
                  v.retry_after_ms < 0 ? json_null() : json_real((double)v.retry_after_ms / 1000.0),
                  "rule", v.rule);
    bool ok = out && json_dumpf(out, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15)) == 0 &&
              putchar('\n') != EOF;
    json_decref(out);
    json_decref(o);
    return ok;
}

int classify_cli(void)
{
    struct buf in;
    buf_init(&in, LINE_MAX_BYTES);
    bool ok = true, end = false, skip = false;
    for (size_t number = 1; !end || in.len;) {
        char *newline = in.len ? memchr(buf_data(&in), '\n', in.len) : NULL;
        if (newline || (end && in.len)) {
            size_t n = newline ? (size_t)(newline - buf_data(&in)) : in.len;
            if (!skip)
                ok = line(str_make(buf_data(&in), n), number) && ok;
            skip = false;
            buf_drop(&in, newline ? n + 1 : n);
            number++;
            continue;
        }
        if (!buf_reserve(&in, 65536)) {
            fprintf(stderr, "line %zu: longer than %d bytes\n", number, LINE_MAX_BYTES);
            buf_drop(&in, in.len);
            skip = true;
            ok = false;
            continue;
        }
        ssize_t got = read(STDIN_FILENO, buf_tail(&in), 65536);
        if (got > 0)
            buf_added(&in, (size_t)got);
        else if (got == 0 || errno != EINTR)
            end = true;
    }
    buf_free(&in);
    return fflush(stdout) == 0 && ok ? 0 : 1;
}
