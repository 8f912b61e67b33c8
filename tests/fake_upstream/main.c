/* clang-format off */
/* fake_upstream: simulated endpoints that speak the Messages API (JSON and event streams), for
 * `make run`, the tests and the bench. One process, one thread. This comment is the reference.
 *
 *   fake_upstream [--listen ADDR:PORT]... [--tls CERT KEY --listen ADDR:PORT...] [--quiet]
 *                 [--journal FILE]
 *
 * Listeners named after --tls speak TLS. Port 0 takes a free one; each listener prints `listening
 * ADDR:PORT` on stdout, in order, when it is open. --quiet: no line for each request. --journal: a
 * JSON line in FILE for each request that was read, each exchange that ended and each PUT /_site:
 *   what, t, n             "begin", "end" or "set"; when (µs, CLOCK_MONOTONIC); number of the request,
 *                          which is the N of the reply's `request-id: req_fake_N`
 *   site, id, method, target, model, stream, sha256   of the request; id: its header x-chaos-id
 *   conn, head             number of the connection; when the head had come
 *   status, fails          as planned (0: no HTTP); whether this request is to fail
 *   whole, sent, content   end: as intended, else the peer closed; bytes; when content went out (0: never)
 *
 * The base path selects an endpoint and its behaviour:
 *   /good          quick                            (these are the ones of `make run`)
 *   /slow          150 ms an event
 *   /flaky         each third request fails: 503, 529, reset, error event, in turn
 *   /limited       429 after 3 requests in 10 s
 *   /openai        quick, and speaks Chat Completions
 *   /s/SPEC        behaves by SPEC; each SPEC is an endpoint with counters of its own
 *   /n/NAME        behaves by the last `PUT /_site/NAME` (body: a SPEC); well before the first
 *   /bench/SPEC    cheap: one canned reply, the body is counted and not read; so an event stream
 *                  only with `stream` in SPEC
 *   (none)         /v1/... behaves well
 * A header `x-fake: SPEC` replaces the behaviour for its request (not under /bench).
 *
 * SPEC is key=value and key, separated by commas, values percent-encoded:
 *   name=TEXT              has no effect: distinguishes endpoints of equal behaviour
 *   status=N               an error reply; type and message have defaults by status
 *   error=TYPE             type of the error; with status 200: an error inside a 200
 *   message=TEXT           message of the error
 *   retry_after=TEXT       value of retry-after
 *   body=TEXT type=TEXT    this body, this content type, with any status
 *   header=NAME:%20VALUE   one more header line (repeatable)
 *   delay_ms=N             wait before the head
 *   events=N               deltas of a stream (5). In all it has N + 5 events: message_start,
 *                          content_block_start, N times content_block_delta, content_block_stop,
 *                          message_delta, message_stop
 *   gap_ms=N gap_us=N      wait between two events; burst=N: not among the first N (1)
 *   event_bytes=N          size of each delta but the first, which repeats the user's text
 *   reply_bytes=N          size of a JSON reply or an error body
 *   in_tokens=N out_tokens=N   usage
 *   framing=length|chunked|eof   default: JSON by length, streams chunked
 *   stream                 always an event stream
 *   mute                   does not repeat the user's text (so a verification fails)
 *   crlf                   lines of events end with CRLF
 *   echo                   the message has a member `echo` (in a stream: the message of
 *                          message_start): method, target, headers, model, body_bytes, body_sha256
 *   openai=MAKER           speaks Chat Completions as MAKER does: openai, azure, deepseek, qwen, glm, kimi,
 *                          openrouter, vllm, ollama, llama.cpp, gemini, mistral, groq; errors too
 *   tool=NAME arguments=JSON   with openai: calls that tool where the request has tools, and answers its
 *                          result; think=TEXT: a thought before; refuse=FIELD: 400 that names the field
 *                          for requests that have it
 *   key=TEXT               401 unless x-api-key or bearer is TEXT
 *   model=PATTERN          404 for other models
 *   limit=N limit_window_ms=N   429 with retry-after beyond N (at most 63) in the window (10 s)
 *   count_tokens=N         status of count_tokens
 *   continue_1xx=N info_status=N   so many interim replies before the head, of that status (103)
 *   read_delay_ms=N        leaves the body unread for so long
 *   close_idle             closes after each reply, without `connection: close`
 *   close_idle_ms=N        as close_idle, but N ms after the reply
 *   http10                 HTTP/1.0, closes
 * Failing on the wire:
 *   close reset hang       instead of a reply: FIN, RST, nothing for ever
 *   close_after_events=N   breaks off after N events of all (0: after the head); with reset: by RST
 *   close_after_bytes=N    breaks off after N bytes of the body; with reset: by RST
 *   end_after_events=N     ends cleanly, but early
 *   hang_after_events=N    stalls
 *   sse_error_first=TYPE   the first event is an error (no stream: a 200 with an error body)
 *   sse_error_after=N sse_error=TYPE   an error event after N events, then the end
 *   half_head              half of the head, then close (or hang, reset)
 *   early_reply            replies before it reads the body, then closes
 *   garbage                no HTTP
 *   json                   JSON where a stream was asked for (a stream for JSON: `stream`)
 *   html                   a page, with any status (html_200: with 200); status=204: without a body
 *   gzip                   the body compressed, unasked
 *   pings=N ping_ms=N      N pings before the first event, so far apart (100)
 *   pings_after=N          nothing but pings after N events (0: from the start)
 *   date=N                 a `Date` that is wrong by N seconds (-3600)
 *   reset_s=N              anthropic-ratelimit-requests-reset N seconds after that `Date`
 *   raw=TEXT               these bytes, then close (or hang, reset)
 *   trickle_ms=N trickle_bytes=N   so few bytes at a time (1), so far apart
 *   extra_bytes_after_end  an unasked reply behind the reply
 *   two_lengths endless_headers endless_body gzip_bomb empty_200 html_200
 * Which requests fail by the keys above; all others are answered well:
 *   fail_first=N           the first N requests
 *   fail_every=N           each Nth
 *   flaky=N                each Nth, as /flaky does
 *   only_model=PATTERN     requests for these models
 *
 * For tests:
 *   GET /_stats            JSON: connections; for each site its requests, open exchanges and
 *                          streams now, completed, aborted by the peer, failed by intent, and the
 *                          last request (at_us: CLOCK_MONOTONIC, the same in all processes)
 *   POST /_reset           counters and turns to zero
 *   POST /_drop            closes idle connections
 *   POST /_kill            resets all connections that had a request
 *   PUT /_site/NAME        see /n/NAME
 *   PUT /_listen/PORT      off: that port refuses, its connections are reset; deaf: nothing is accepted
 *                          there any more; on
 * For tests: */
/* clang-format on */
#include "common/base/err.h"
#include "common/base/fd.h"
#include "common/base/mem.h"
#include "tests/fake_upstream/conn.h"
#include "tests/fake_upstream/listener.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: fake_upstream [--listen ADDR:PORT]... [--tls CERT KEY --listen ADDR:PORT...] "
    "[--quiet] [--journal FILE]\n"
    "\n"
    "Simulated Messages API endpoints: /good /slow /flaky /limited /openai /s/SPEC /n/NAME "
    "/bench/SPEC.\n"
    "Listeners named after --tls speak TLS; port 0 takes a free one.\n"
    "SPEC and the paths for tests are described at the head of tests/fake_upstream/main.c.\n";

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
                       const unsigned char *in, unsigned inlen, void *arg)
{
    static const unsigned char http11[] = "\x08http/1.1";
    (void)ssl;
    (void)arg;
    unsigned char *got;
    if (SSL_select_next_proto(&got, outlen, http11, sizeof http11 - 1, in, inlen) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = got;
    return SSL_TLSEXT_ERR_OK;
}

static bool tls_start(struct fake *f, const char *cert, const char *key, struct err *e)
{
    SSL_CTX_free(f->tls);
    f->tls = SSL_CTX_new(TLS_server_method());
    if (!f->tls || SSL_CTX_use_certificate_chain_file(f->tls, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(f->tls, key, SSL_FILETYPE_PEM) != 1)
        return err_set(e, "cannot use certificate %s with key %s", cert, key);
    SSL_CTX_set_mode(f->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                 SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_id_context(f->tls, (const unsigned char *)"fake", 4);
    SSL_CTX_set_alpn_select_cb(f->tls, choose_alpn, NULL);
    return true;
}

static void on_signal(struct ev_loop *loop, ev_signal *w, int events)
{
    (void)w;
    (void)events;
    ev_break(loop, EVBREAK_ALL);
}

/* Reads the command line and opens its listeners. False with *e set: what is wrong; *e empty: help
 * was asked for. */
static bool options(struct fake *f, int argc, char **argv, struct err *e)
{
    e->msg[0] = '\0';
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quiet") == 0) {
            f->quiet = true;
        } else if (strcmp(argv[i], "--journal") == 0 && i + 1 < argc && !f->journal) {
            f->journal = fopen(argv[++i], "ae");
            if (!f->journal)
                return err_sys(e, "%s", argv[i]);
        } else if (strcmp(argv[i], "--listen") == 0 && i + 1 < argc) {
            if (!listener_open(f, argv[++i], f->tls != NULL, e))
                return false;
        } else if (strcmp(argv[i], "--tls") == 0 && i + 2 < argc) {
            if (!tls_start(f, argv[i + 1], argv[i + 2], e))
                return false;
            i += 2;
        } else {
            return strcmp(argv[i], "--help") == 0 ? false
                                                  : err_set(e, "cannot make sense of %s", argv[i]);
        }
    }
    return listener_any() || err_set(e, "no --listen");
}

int main(int argc, char **argv)
{
    static struct fake f;
    struct err e;
    signal(SIGPIPE, SIG_IGN);
    fd_raise_limit();
    f.loop = ev_default_loop(0);
    list_init(&f.conns);
    due_start(&f.due, f.loop);
    sites_start(&f.sites);
    f.scratch = mem_zalloc(1, SCRATCH);
    f.filler = mem_zalloc(1, SCRATCH);
    memset(f.filler, 'x', SCRATCH);
    int rc = EXIT_SUCCESS;
    if (options(&f, argc, argv, &e)) {
        ev_signal term, intr;
        ev_signal_init(&term, on_signal, SIGTERM);
        ev_signal_init(&intr, on_signal, SIGINT);
        ev_signal_start(f.loop, &term);
        ev_signal_start(f.loop, &intr);
        ev_run(f.loop, 0);
        ev_signal_stop(f.loop, &term);
        ev_signal_stop(f.loop, &intr);
    } else if (e.msg[0]) {
        fprintf(stderr, "fake_upstream: %s\n", e.msg);
        rc = EXIT_FAILURE;
    } else {
        fputs(usage, stdout);
    }
    listener_end_all();
    conn_end_all(&f);
    due_stop(&f.due);
    sites_stop(&f.sites);
    SSL_CTX_free(f.tls);
    mem_free(f.scratch);
    mem_free(f.filler);
    ev_loop_destroy(f.loop);
    if (f.journal)
        fclose(f.journal);
    return rc;
}
