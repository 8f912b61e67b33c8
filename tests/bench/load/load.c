#include "tests/bench/load/load.h"

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "tests/bench/load/conn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Nanoseconds of CPU time that all threads of the watched processes have used. */
static uint64_t cpu_ns(const struct load *l)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < l->npids; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/task", l->pids[i]);
        DIR *d = opendir(path);
        for (struct dirent *e; d && (e = readdir(d));) {
            if (e->d_name[0] == '.')
                continue;
            char file[400], text[64] = "";
            snprintf(file, sizeof file, "%s/%s/schedstat", path, e->d_name);
            int fd = open(file, O_RDONLY | O_CLOEXEC);
            if (fd == -1)
                continue;
            if (read(fd, text, sizeof text - 1) > 0)
                sum += strtoull(text, NULL, 10);
            fd_close(&fd);
        }
        if (d)
            closedir(d);
    }
    return sum;
}

/* One turn of the loop: events, then openings, ends of pauses and timeouts. Returns the time. */
static int64_t turn(struct load *l, int64_t now)
{
    struct epoll_event ev[512];
    int n = epoll_wait(l->ep, ev, COUNT_OF(ev), l->pause_us || l->opened < l->conns ? 1 : 100);
    for (int i = 0; i < n; i++)
        conn_event(l, ev[i].data.ptr, ev[i].events);
    int64_t then = now;
    now = clock_mono_us();
    while (l->opened < l->conns && now >= l->from_us + (int64_t)(l->opened * l->stagger_us))
        conn_open(l, &l->v[l->opened++]);
    if (!l->pause_us && then / 100000 == now / 100000)
        return now;
    for (uint32_t i = 0; i < l->opened; i++) {
        struct conn *c = &l->v[i];
        if (c->state == CONN_PAUSED && now >= c->resume_us)
            conn_send(l, c);
        else if (c->state != CONN_CLOSED && c->state != CONN_PAUSED &&
                 now - c->heard_us > SILENCE_US)
            conn_fail(l, c, "silence");
        else if (c->state == CONN_CLOSED && l->mode != MODE_HOLD && l->failed < 1000)
            conn_open(l, c);
    }
    return now;
}

static int order(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t percentile(const struct samples *s, unsigned p)
{
    return s->n ? s->v[(s->n - 1) * p / 100] : 0;
}

static void report_times(const char *name, struct samples *s)
{
    qsort(s->v, s->n, sizeof *s->v, order);
    printf(",\"%s\":{\"p50\":%u,\"p90\":%u,\"p99\":%u,\"max\":%u}", name, percentile(s, 50),
           percentile(s, 90), percentile(s, 99), percentile(s, 100));
}

static void report(struct load *l, int64_t us, uint64_t cpu)
{
    printf("{\"seconds\":%.3f,\"replies\":%" PRIu64 ",\"events\":%" PRIu64 ",\"bytes\":%" PRIu64
           ",\"failed\":%" PRIu64 ",\"why\":\"%s\",\"resumed\":%" PRIu64 ",\"cpu_us\":%.1f",
           (double)us / 1e6, l->replies, l->events, l->bytes, l->failed, l->why, l->resumed,
           (double)cpu / 1e3);
    report_times("ttfb_us", &l->first_byte);
    report_times("gap_us", &l->gaps);
    printf("}\n");
}

void load_run(struct load *l)
{
    int64_t now = l->from_us = clock_mono_us();
    while (l->opened < l->conns || l->busy + l->rested < l->conns ||
           now < l->from_us + (int64_t)(l->warm * 1e6)) {
        now = turn(l, now);
        if (l->failed >= 1000)
            break;
    }
    l->measuring = true;
    int64_t start = clock_mono_us();
    uint64_t cpu = cpu_ns(l);
    while (now - start < (int64_t)(l->seconds * 1e6) && (!l->count || l->replies < l->count) &&
           l->failed < 1000)
        now = turn(l, now);
    cpu = cpu_ns(l) - cpu;
    l->measuring = false;
    report(l, clock_mono_us() - start, cpu);
}

void load_hold(struct load *l)
{
    int64_t now = l->from_us = clock_mono_us();
    int64_t until = now + (int64_t)(l->seconds * 1e6);
    while (l->begun < l->conns && now < until && !l->failed)
        now = turn(l, now);
    printf("{\"held\":%u,\"failed\":%" PRIu64 ",\"why\":\"%s\"}\n", l->begun, l->failed, l->why);
    fflush(stdout);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &(struct conn){.state = CONN_CLOSED}};
    char c;
    bool piped = epoll_ctl(l->ep, EPOLL_CTL_ADD, STDIN_FILENO, &ev) == 0;
    if (piped && fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) == -1)
        die("stdin: %s", strerror(errno));
    l->measuring = true;
    int64_t start = clock_mono_us();
    while (piped && now < until && read(STDIN_FILENO, &c, 1) == -1)
        now = turn(l, now);
    report(l, clock_mono_us() - start, 0);
}
