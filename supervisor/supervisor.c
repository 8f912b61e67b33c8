#include "supervisor/supervisor.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "supervisor/process/systemd.h"

#include <fcntl.h>
#include <sched.h>

enum { SWEEP_PAUSE_MS = 10 }; /* pause between two pieces of one sweep of bindings */

/* ---- a configuration */

void supervisor_take_conf(struct supervisor *s, struct conf *c)
{
    s->conf = c;
    s->operate.conf = c;
}

void supervisor_drop_next(struct supervisor *s)
{
    listen_close(&s->next.listen);
    control_drop(&s->control);
    fd_close(&s->next.log_fd);
    conf_unref(s->next.conf);
    s->next.conf = NULL;
}

void supervisor_use_log(const struct supervisor *s)
{
    log_take_fd(s->log_fd == -1 ? -1 : fcntl(s->log_fd, F_DUPFD_CLOEXEC, 3));
}

/* The number of CPUs that this process may use, for `workers: auto`. */
static size_t online_cpus(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : min_size((size_t)n, SLOTS_MAX / 2);
}

static void sweep_again(struct supervisor *s, int64_t wait_ms);

static void on_sweep(struct ev_loop *loop, ev_timer *w, int events)
{
    struct supervisor *s = CONTAINER_OF(w, struct supervisor, sweep);
    (void)loop;
    (void)events;
    bool more = bindings_sweep(&s->bindings, clock_boot_ms());
    sweep_again(s, more ? SWEEP_PAUSE_MS : s->bindings.cleanup_ms);
}

static void sweep_again(struct supervisor *s, int64_t wait_ms)
{
    ev_timer_stop(s->loop, &s->sweep);
    ev_timer_init(&s->sweep, on_sweep, (double)wait_ms / 1000.0, 0);
    ev_timer_start(s->loop, &s->sweep);
}

void supervisor_use_conf(struct supervisor *s)
{
    _Static_assert((int)LOGLEVEL_DEBUG == LOG_L_DEBUG && (int)LOGLEVEL_ERROR == LOG_L_ERROR &&
                       (int)LOGFORMAT_TEXT == LOG_F_TEXT && (int)LOGFORMAT_JSON == LOG_F_JSON,
                   "conf_table.h and log.h name the same things in the same order");
    log_setup((enum log_level)s->conf->log.level, (enum log_format)s->conf->log.format);
    supervisor_use_log(s);
    s->intent.workers = s->conf->workers ? s->conf->workers : online_cpus();
    totals_conf(&s->totals, s->conf);
    bindings_conf(&s->bindings, s->conf);
    sweep_again(s, 0);
    health_conf(&s->health, s->conf, clock_boot_ms());
    marked_conf(&s->marks, s->conf);
    model_lists_conf(&s->lists, s->conf, clock_boot_ms());
    recorder_use_conf(&s->recorder, s->conf, s->state.dir.fd);
    supervisor_use_cluster(s);
}

void supervisor_use_cluster(struct supervisor *s)
{
    bool on = s->conf->cluster.url && !predecessor_holding(&s->predecessor);
    if (on && !s->hosts_kept)
        s->peers.seen = s->hosts_kept = store_host_seen(s->state.dir.fd);
    if (on && !s->host[0])
        store_host_id(s->state.dir.fd, s->host);
    if (predecessor_holding(&s->predecessor))
        return;
    bool anew =
        peers_conf(&s->peers, s->conf,
                   str_make((const char *)s->state.secret, sizeof s->state.secret), s->host);
    s->bindings.tell_ms = s->peers.tell_ms;
    s->bindings.changed = s->peers.binds && on ? peers_binding_changed : NULL;
    s->health.permit = on ? peers_permit : NULL;
    s->marks.told = on ? peers_mark_changed : NULL;
    if (on && !s->serving && !s->join_until_ms && s->link.phase == LINK_SLOT_OFF && s->link.program)
        s->join_until_ms = clock_boot_ms() + s->conf->cluster.timeout;
    link_slot_want(&s->link, on, anew);
}

void supervisor_keep_hosts(struct supervisor *s)
{
    if (s->peers.seen == s->hosts_kept)
        return;
    s->hosts_kept = s->peers.seen;
    store_host_keep_seen(s->state.dir.fd, s->hosts_kept);
}

bool supervisor_give_cluster(void *arg, struct handover_cluster *c)
{
    const struct supervisor *s = arg;
    if (!s->peers.on)
        return false;
    *c = (struct handover_cluster){
        .conn = s->peers.conn, .known = s->peers.clock.known, .clock_ms = s->peers.clock.offset_ms};
    memcpy(c->host, s->peers.host, sizeof c->host);
    return true;
}

void supervisor_take_cluster(void *arg, const struct handover_cluster *c)
{
    struct supervisor *s = arg;
    memcpy(s->host, c->host, sizeof s->host);
    s->peers.conn = c->conn;
    s->peers.clock.known = c->known;
    s->peers.clock.offset_ms = c->clock_ms;
}

void supervisor_count(void *arg, const char *id, enum health_count what)
{
    struct supervisor *s = arg;
    if (what == HEALTH_TRIPPED)
        totals_tripped(&s->totals, str_c(id));
    else
        totals_verified(&s->totals, str_c(id), what == HEALTH_VERIFIED);
}

/* ---- the end, and an upgrade */

void supervisor_stop(struct supervisor *s, enum plan_want want)
{
    if (s->intent.want == want)
        return;
    s->intent.want = want;
    /* only the supervisor that owns the state sends STOPPING */
    if (s->successor.phase != SUCCESSOR_DONE && !predecessor_holding(&s->predecessor))
        systemd_stopping();
    supervisor_drop_next(s);
    /* Sockets are shared: connections are refused only when the workers, which get DRAIN in this
     * same turn, have closed theirs too. */
    listen_close(&s->listen);
}

void supervisor_fail(struct supervisor *s, const char *why)
{
    if (s->exit_code == SUPERVISOR_EXIT_OK) {
        log_error("%s", why);
        predecessor_fail(&s->predecessor, why);
    }
    s->exit_code = SUPERVISOR_EXIT_FAULT;
    supervisor_stop(s, PLAN_STOP);
}

bool supervisor_begin_upgrade(struct supervisor *s, const struct asker *from, const char *by,
                              struct err *e)
{
    const struct successor_order o = {.program = s->program,
                                      .by = by,
                                      .conf_path = s->conf_path,
                                      .listen = &s->listen,
                                      .handover = {.lock = s->state.dir.lock,
                                                   .control = control_fd(&s->control),
                                                   .control_dev = s->control.now.dev,
                                                   .control_ino = s->control.now.ino,
                                                   .ring = s->ring_fd,
                                                   .ring_reader = s->ring_reader,
                                                   .feed = s->recorder.feed,
                                                   .feed_reader = s->recorder.feed_in}};
    bool going = successor_going(&s->successor); /* then successor_begin refuses */
    if (!going && s->intent.want != PLAN_SERVE)
        return err_set(e, "the supervisor is stopping");
    if (!going && (!s->serving || s->next.conf))
        return err_set(e, "a %s is under way", s->serving ? "reload" : "start");
    return successor_begin(&s->successor, &o, from, e);
}
