/* clang-format off */
/* load: the bench's client. One thread on epoll; speaks to a proxy as Claude Code does, checks
 * every reply, and reads the CPU time of the proxy's processes at both ends of the measured time.
 * Prints one JSON line. Exit 1 if any reply was wrong.
 *
 *   load --to ADDR:PORT [--tls] [--mode MODE] [--conns N] [OPTIONS]
 *
 * Modes:
 *   json          N keep-alive connections, each sends the next request when it has the reply
 *   sse           the same with "stream": true; counts events. Streams open at the end are closed
 *   hold          opens N streams, prints {"held":N} when each has begun, holds them until a byte
 *                 (or the end) comes on stdin
 * Options:
 *   --body N      bytes of a request's body (2048)
 *   --seconds S   measured time (2); hold: at most
 *   --warm S      time before the measurement begins
 *   --count N     ends after so many replies, if sooner
 *   --reply N     bytes that each reply's body must have
 *   --events N    events that each complete stream must have
 *   --stagger US  time between two openings
 *   --pause US    time between a reply and the next request
 *   --conversations N  requests of N conversations, in no order (one a connection)
 *   --first N     number of the first conversation (0)
 *   --tools N     tools that a request offers, within its --body (0)
 *   --busy N      of the connections only the first N ask again, the others rest after one reply
 *   --fresh       a new connection for each request; ended by a reset, which leaves no TIME_WAIT
 *   --resume      the same, TLS sessions are resumed
 *   --pids P,...  processes whose CPU time is measured
 *   --path PATH */
/* clang-format on */
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "tests/bench/load/conn.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

static bool number(const char *s, uint64_t max, uint64_t *out)
{
    return str_to_u64(str_c(s), max, out);
}

static bool option_number(struct load *l, const char *name, const char *value)
{
    const struct {
        const char *name;
        uint64_t max;
        uint32_t *small;
        uint64_t *large; /* where small is NULL */
    } all[] = {
        {"--conns", CONNS_MAX, &l->conns, NULL},
        {"--busy", CONNS_MAX, &l->busy, NULL},
        {"--tools", TOOLS_MAX, &l->tools, NULL},
        {"--conversations", INT32_MAX, &l->conversations, NULL},
        {"--first", INT32_MAX, &l->first, NULL},
        {"--body", BODY_MAX, NULL, &l->body},
        {"--count", INT32_MAX, NULL, &l->count},
        {"--reply", INT32_MAX, NULL, &l->reply},
        {"--events", INT32_MAX, NULL, &l->want_events},
        {"--stagger", INT32_MAX, NULL, &l->stagger_us},
        {"--pause", INT32_MAX, NULL, &l->pause_us},
    };
    uint64_t n = 0;
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if (strcmp(name, all[i].name) != 0)
            continue;
        if (!number(value, INT32_MAX, &n))
            return false;
        n = n < all[i].max ? n : all[i].max;
        if (all[i].small)
            *all[i].small = (uint32_t)n;
        else
            *all[i].large = n;
        return true;
    }
    return false;
}

static bool option(struct load *l, const char *name, const char *value)
{
    uint64_t n = 0;
    if (strcmp(name, "--to") == 0) {
        const char *colon = strrchr(value, ':');
        char addr[INET_ADDRSTRLEN] = "";
        if (!colon || (size_t)(colon - value) >= sizeof addr || !number(colon + 1, 65535, &n))
            return false;
        memcpy(addr, value, (size_t)(colon - value));
        l->to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)n)};
        return inet_pton(AF_INET, addr, &l->to.sin_addr) == 1;
    }
    if (strcmp(name, "--mode") == 0) {
        static const char *const names[] = {"json", "sse", "hold"};
        for (size_t i = 0; i < COUNT_OF(names); i++) {
            if (strcmp(value, names[i]) == 0) {
                l->mode = (enum mode)i;
                return true;
            }
        }
        return false;
    }
    if (strcmp(name, "--pids") == 0) {
        struct str list = str_c(value), one;
        while (l->npids < PIDS_MAX && str_next_elem(&list, &one)) {
            if (!str_to_u64(one, INT32_MAX, &n))
                return false;
            l->pids[l->npids++] = (int)n;
        }
        return true;
    }
    if (strcmp(name, "--path") == 0) {
        l->path = value;
        return true;
    }
    if (strcmp(name, "--seconds") == 0 || strcmp(name, "--warm") == 0) {
        char *end;
        double s = strtod(value, &end);
        *(strcmp(name, "--warm") == 0 ? &l->warm : &l->seconds) = s;
        return *end == '\0' && s >= 0 && s < 86400;
    }
    return option_number(l, name, value);
}

int main(int argc, char **argv)
{
    static struct load l = {.path = "/v1/messages?beta=true",
                            .conns = 1,
                            .busy = CONNS_MAX,
                            .body = 2048,
                            .seconds = 2,
                            .ep = -1,
                            .opened = 0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--tls") == 0) {
            l.tls = true;
        } else if (strcmp(argv[i], "--fresh") == 0 || strcmp(argv[i], "--resume") == 0) {
            l.fresh = true;
            l.resume |= argv[i][2] == 'r';
        } else if (i + 1 == argc || !option(&l, argv[i], argv[i + 1])) {
            fprintf(stderr,
                    "load: cannot make sense of %s; the options stand at the head of "
                    "tests/bench/load/main.c\n",
                    argv[i]);
            return 2;
        } else {
            i++;
        }
    }
    if (!l.to.sin_port) {
        fprintf(stderr, "load: --to is missing\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    fd_raise_limit();
    l.asked = (uint64_t)clock_mono_us() % 1000000000; /* other conversations first than last time */
    l.ep = epoll_create1(EPOLL_CLOEXEC);
    l.ctx = SSL_CTX_new(TLS_client_method());
    if (l.ep == -1 || !l.ctx)
        die("cannot start");
    SSL_CTX_set_mode(l.ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
    l.in = mem_zalloc(1, READ);
    l.first_byte.v = mem_zalloc(SAMPLES_MAX, sizeof *l.first_byte.v);
    l.gaps.v = mem_zalloc(SAMPLES_MAX, sizeof *l.gaps.v);
    l.v = mem_zalloc(l.conns, sizeof *l.v);
    for (uint32_t i = 0; i < l.conns; i++) {
        l.v[i].id = i;
        l.v[i].fd = -1;
        buf_init(&l.v[i].head, HEAD_MAX + READ);
    }
    buf_init(&l.req, BODY_MAX + 65536);
    request_make(&l);
    if (l.mode == MODE_HOLD)
        load_hold(&l);
    else
        load_run(&l);
    for (uint32_t i = 0; i < l.conns; i++)
        conn_end(&l.v[i]);
    mem_free(l.v);
    mem_free(l.first_byte.v);
    mem_free(l.gaps.v);
    mem_free(l.in);
    buf_free(&l.req);
    SSL_CTX_free(l.ctx);
    fd_close(&l.ep);
    return l.failed ? 1 : 0;
}
