#include "supervisor/loop.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "supervisor/children/slot_send.h"
#include "supervisor/process/container.h"
#include "supervisor/process/logfile.h"
#include "supervisor/process/signals.h"
#include "supervisor/process/systemd.h"
#include "supervisor/reload.h"
#include "supervisor/shared/health/health_trials.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    START_DEATHS = 3, /* ends of one worker's processes that make the start fail */
    /* between two turns, which a tick makes every second: with more the process stood still */
    GAP_MS = 3000
};

/* ---- orders */

static const char by_signal[] = "a signal";

/* Adds one who gives an order that is already given. */
static void add_by(char by[static ASKER_BY], const char *who)
{
    size_t n = strlen(by);
    if (!n)
        snprintf(by, ASKER_BY, "%s", who);
    else if (strcmp(by, who) != 0 && n + 2 + strlen(who) < ASKER_BY)
        snprintf(by + n, ASKER_BY - n, ", %s", who);
}

/* Passes a signal on to the supervisor that serves, when this one is process 1 of a container,
 * which alone receives the signals. */
static bool pass_on(const struct supervisor *s, int sig)
{
    bool on = container_is_init() && s->successor.phase == SUCCESSOR_DONE;
    if (on)
        container_pass_on(sig);
    return on;
}

static void stop_check(struct supervisor *s)
{
    unsigned stops = s->stops > s->successor.stops ? s->stops : s->successor.stops;
    if (stops == s->stops_done || s->intent.want == PLAN_STOP)
        return;
    successor_stop(&s->successor);
    pass_on(s, SIGTERM);
    for (; s->stops_done != stops; s->stops_done++)
        predecessor_stop(&s->predecessor);
    if (stops > 1) {
        log_warn("stopping at once");
        events_add_by(&s->events, clock_wall_ms(), EVENT_STOP, NULL, s->stop_by, "at once");
        supervisor_stop(s, PLAN_STOP);
        return;
    }
    log_info("stopping: what is in flight has %lld s",
             (long long)s->conf->limits.drain_timeout / 1000);
    events_add_by(&s->events, clock_wall_ms(), EVENT_STOP, NULL, s->stop_by,
                  "what is in flight has %lld s", (long long)s->conf->limits.drain_timeout / 1000);
    /* Workers that are retiring already get DRAIN once more, with `quick`. */
    for (size_t i = 0; i < s->slots.n; i++)
        if (s->slots.v[i]->st.state == SLOT_RETIRING)
            slot_retire(s->slots.v[i], true, s->conf->limits.drain_timeout);
    supervisor_stop(s, PLAN_DRAIN);
}

static void query_reload(void *arg, const char *by)
{
    struct supervisor *s = arg;
    add_by(s->reload_by, by);
    s->want_reload = true;
}

static bool query_upgrade(void *arg, const struct asker *from, struct err *e)
{
    return supervisor_begin_upgrade(arg, from, from->by, e);
}

static unsigned query_stop(void *arg, bool once, const char *by)
{
    struct supervisor *s = arg;
    if (!s->stops || !once) {
        s->stops++;
        add_by(s->stop_by, by);
    }
    return s->stops;
}

const struct query_ops loop_query_ops = {
    .reload = query_reload, .upgrade = query_upgrade, .stop = query_stop};

static void upgrade_check(struct supervisor *s)
{
    struct err e;
    /* A start or reload that is under way must end first. */
    if (!s->want_upgrade || (s->intent.want == PLAN_SERVE && (!s->serving || s->next.conf)))
        return;
    s->want_upgrade = false;
    if (pass_on(s, SIGUSR2))
        return;
    if (supervisor_begin_upgrade(s, NULL, by_signal, &e))
        return;
    log_warn("no upgrade: %s", e.msg);
    events_add_by(&s->events, clock_wall_ms(), EVENT_UPGRADE, NULL, by_signal, "refused: %s",
                  e.msg);
}

static void reload_check(struct supervisor *s)
{
    /* A start or another reload that is under way must end first. */
    if (!s->want_reload || !s->serving || s->next.conf ||
        (successor_going(&s->successor) && s->successor.phase != SUCCESSOR_DONE))
        return;
    s->want_reload = false;
    if (successor_given(&s->successor) && !pass_on(s, SIGHUP))
        successor_pass_reload(&s->successor);
    if (s->intent.want == PLAN_SERVE)
        reload_begin(s);
}

static void reopen_check(struct supervisor *s)
{
    struct err e;
    int fd;
    if (!s->want_reopen)
        return;
    s->want_reopen = false;
    pass_on(s, SIGUSR1);
    predecessor_pass_reopen(&s->predecessor);
    if (!logfile_open(s->conf->log.file, &fd, &e)) {
        log_error("%s; the old one stays in use", e.msg);
        return;
    }
    fd_close(&s->log_fd);
    s->log_fd = fd;
    supervisor_use_log(s);
    for (size_t i = 0; i < s->slots.n; i++)
        slot_send_log(s->slots.v[i], s->log_fd);
    log_info("log files reopened");
}

/* ---- performing the plan */

static void serving(struct supervisor *s)
{
    for (size_t i = 0; i < s->listen.n; i++) {
        char at[160];
        listen_text(s->listen.v[i].l, at, sizeof at);
        log_info(s->listen.v[i].admin ? "admin listener on %s, %zu workers"
                                      : "serving on %s, %zu workers",
                 at, s->intent.workers);
    }
    s->serving = true;
    if (s->predecessor.pid)
        events_add_by(&s->events, clock_wall_ms(), EVENT_UPGRADE, NULL, s->predecessor.by,
                      "qcc " QCC_VERSION ", pid %d, serves in place of pid %u, qcc %s",
                      (int)getpid(), s->predecessor.pid, s->predecessor.build);
    else
        events_add(&s->events, clock_wall_ms(), EVENT_START, NULL,
                   "qcc " QCC_VERSION ", pid %d, serves", (int)getpid());
}

static void report_ready(void *arg)
{
    const struct supervisor *s = arg;
    char status[64];
    snprintf(status, sizeof status, "serving, generation %llu", (unsigned long long)s->conf->gen);
    systemd_ready(status);
}

static void announce(struct supervisor *s)
{
    s->intent.announced = s->intent.gen;
    if (predecessor_holding(&s->predecessor)) {
        predecessor_ready(&s->predecessor);
        return;
    }
    if (!s->serving)
        serving(s);
    else if (s->next.conf)
        reload_commit(s);
    report_ready(s);
}

static void go(void *arg)
{
    struct supervisor *s = arg;
    struct err e;
    store_allow(&s->state, true);
    supervisor_use_cluster(s);
    s->join_until_ms = 0; /* no moment without a supervisor that serves */
    for (size_t i = 0; i < s->slots.n; i++)
        slot_send_start(s->slots.v[i]);
    control_start(&s->control);
    /* The configuration may name another path than the one that was handed over. */
    if (control_next(&s->control, s->conf->control_socket, &e))
        control_commit(&s->control);
    else
        log_warn("%s", e.msg);
    serving(s);
}

static void fail(void *arg, const char *why)
{
    supervisor_fail(arg, why);
}

/* predecessor_ops.history */
static void take_history(void *arg)
{
    struct supervisor *s = arg;
    recorder_release(&s->recorder, RECORDER_HELD_BEFORE);
}

const struct predecessor_ops loop_predecessor_ops = {.cluster = supervisor_take_cluster,
                                                     .go = go,
                                                     .failed = fail,
                                                     .serves = report_ready,
                                                     .history = take_history};

/* successor_ops.serves: another supervisor serves. */
static void hand_over(void *arg)
{
    struct supervisor *s = arg;
    log_info("upgrade: pid %d serves; what is in flight here has %lld s", (int)s->successor.pid,
             (long long)s->conf->limits.drain_timeout / 1000);
    if (s->intent.want == PLAN_SERVE)
        s->intent.want = PLAN_DRAIN;
    ev_timer_stop(s->loop, &s->watchdog);
    store_leave(&s->state);
    listen_lend(&s->listen, true);
    listen_close(&s->listen);
    s->peers.on = false;
    (void)link_slot_stop(&s->link, true);
    control_hand_over(&s->control);
    /* A successor without a history would leave what the workers here still send. */
    if (!successor_records(&s->successor))
        recorder_release(&s->recorder, RECORDER_HELD_AFTER);
}

/* successor_ops.given */
static void give_history(void *arg)
{
    struct supervisor *s = arg;
    recorder_hold(&s->recorder, RECORDER_HELD_AFTER);
}

/* successor_ops.failed */
static void keep_history(void *arg)
{
    struct supervisor *s = arg;
    recorder_release(&s->recorder, RECORDER_HELD_AFTER);
}

static void send_endpoint(void *arg, const struct ipc_endpoint *m)
{
    supervisor_send(arg, HEALTH_ALL, ipc_put_v_endpoint, m);
}

static bool worker_alive(void *arg, unsigned slot)
{
    const struct supervisor *s = arg;
    return slot < s->slots.n && slot_alive(s->slots.v[slot]);
}

const struct successor_ops loop_successor_ops = {.cluster = supervisor_give_cluster,
                                                 .given = give_history,
                                                 .failed = keep_history,
                                                 .endpoint = send_endpoint,
                                                 .alive = worker_alive,
                                                 .serves = hand_over};

static void start_worker(struct supervisor *s, size_t at)
{
    struct slot *slot = slots_at(&s->slots, &s->slot_env, at);
    if (slot_start(slot, s->worker_path))
        supervisor_welcome(s, slot);
}

static void perform(struct supervisor *s, const struct plan_action *a)
{
    /* After an upgrade workers do not end quickly: clients that keep their connections may send one
     * more request. */
    bool stopping =
        s->intent.want != PLAN_SERVE && (!successor_given(&s->successor) || s->stops_done);
    switch (a->verb) {
    case PLAN_START:
        start_worker(s, a->slot);
        return;
    case PLAN_RETIRE:
        if (!stopping)
            slot_send_keep(s->slots.v[a->slot], &s->slots);
        slot_retire(s->slots.v[a->slot], stopping, s->conf->limits.drain_timeout);
        return;
    case PLAN_KILL:
        slot_kill(s->slots.v[a->slot], plan_why_text(a->why));
        return;
    case PLAN_ANNOUNCE:
        announce(s);
        return;
    case PLAN_EXIT:
        ev_break(s->loop, EVBREAK_ALL);
        return;
    }
}

/* Copies the slots for the plan. Slots that were never needed count as SLOT_EMPTY, up to the number
 * that may be wanted. */
static size_t plan_view(const struct supervisor *s, struct plan_slot *view)
{
    size_t n = min_size(SLOTS_MAX, s->slots.n + s->intent.workers);
    for (size_t i = 0; i < n; i++)
        view[i] = i < s->slots.n ? s->slots.v[i]->st : (struct plan_slot){.state = SLOT_EMPTY};
    return n;
}

static void follow_plan(struct supervisor *s)
{
    struct plan_slot view[SLOTS_MAX];
    struct plan p;
    int64_t now = clock_mono_ms();
    plan_make(&s->intent, view, plan_view(s, view), now, &p);
    /* The end waits for the predecessor's workers too: systemd kills them when the main process
     * ends. */
    if (p.n == 1 && p.v[0].verb == PLAN_EXIT && s->intent.want == PLAN_DRAIN &&
        predecessor_waiting(&s->predecessor))
        p.n = 0;
    /* The recorder stores what the last workers have sent. */
    if (p.n == 1 && p.v[0].verb == PLAN_EXIT && recorder_stop(&s->recorder))
        p.n = 0;
    /* The link gives back what this host has. */
    if (p.n == 1 && p.v[0].verb == PLAN_EXIT && link_slot_stop(&s->link, false))
        p.n = 0;
    for (size_t i = 0; i < p.n; i++)
        perform(s, &p.v[i]);
    ev_timer_stop(s->loop, &s->later);
    /* The actions may need another plan at once (a reload with more workers). */
    int64_t wait = p.n ? 0 : p.next == -1 ? -1 : p.next - now;
    if (wait == -1)
        return;
    ev_now_update(s->loop);
    ev_timer_set(&s->later, (double)wait / 1000.0, 0);
    ev_timer_start(s->loop, &s->later);
}

/* Has lists of models asked for, as long as this supervisor serves. */
static void ask_lists(struct supervisor *s, int64_t now_ms)
{
    if (!s->serving || s->intent.want != PLAN_SERVE || successor_given(&s->successor) ||
        !model_lists_due(&s->lists, now_ms))
        return;
    int slot = health_next_worker(&s->health);
    if (slot != HEALTH_NONE)
        model_lists_run(&s->lists, (unsigned)slot, now_ms);
}

/* The workers may accept once the states of the other hosts are there, or the engine has had its
 * time. */
static void mind_join(struct supervisor *s)
{
    bool waits =
        s->peers.on && s->peers.state == LINK_CONNECTING && clock_boot_ms() < s->join_until_ms;
    if (!s->join_until_ms || waits)
        return;
    s->join_until_ms = 0;
    for (size_t i = 0; i < s->slots.n; i++)
        slot_send_start(s->slots.v[i]);
}

/* Runs health for the time and the reports of this turn. The timer is of CLOCK_MONOTONIC: after a
 * suspension the tick, a second later at most, comes before it. */
static void mind_health(struct supervisor *s)
{
    int64_t now = clock_boot_ms();
    health_run(&s->health, now);
    marked_run(&s->marks, now);
    ask_lists(s, now);
    int64_t next = health_next(&s->health), marks = marked_next(&s->marks);
    if (marks < next)
        next = marks;
    int64_t lists = model_lists_next(&s->lists);
    if (lists < next && lists > now) /* what is due waits for a worker */
        next = lists;
    peers_turn(&s->peers, now);
    mind_join(s);
    if (s->join_until_ms && s->join_until_ms < next)
        next = s->join_until_ms;
    int64_t peers = peers_next(&s->peers);
    if (peers < next)
        next = peers;
    ev_timer_stop(s->loop, &s->health_due);
    if (next == INT64_MAX)
        return;
    ev_now_update(s->loop);
    ev_timer_set(&s->health_due, next > now ? (double)(next - now) / 1000.0 : 0, 0);
    ev_timer_start(s->loop, &s->health_due);
}

/* Notices that this process stood still (stopped by a signal, or with its machine), before a worker
 * is judged by the time that has passed. */
static void mind_gap(struct supervisor *s)
{
    int64_t now = clock_mono_ms(), gap = s->turn_ms ? now - s->turn_ms : 0;
    s->turn_ms = now;
    if (gap < GAP_MS)
        return;
    log_info("stood still for %.1f s", (double)gap / 1000);
    slots_stood_still(&s->slots, gap);
}

/* Called once a turn, before the loop sleeps. */
static void on_turn(struct ev_loop *loop, ev_prepare *w, int events)
{
    struct supervisor *s = w->data;
    (void)loop;
    (void)events;
    mind_gap(s);
    events_mind_clock(&s->events, clock_wall_ms(), clock_boot_ms());
    stop_check(s);
    reload_check(s);
    reopen_check(s);
    upgrade_check(s);
    follow_plan(s);
    bindings_flush(&s->bindings);
    if (!predecessor_holding(&s->predecessor))
        mind_health(s);
    recorder_send_events(&s->recorder);
    store_turn(&s->state);
    successor_turn(&s->successor);
}

static void slot_ended(void *arg, struct slot *slot)
{
    struct supervisor *s = arg;
    totals_gone(&s->totals, slot->number);
    successor_slot_gone(&s->successor, slot->number);
    recent_query_slot_gone(&s->query.recent, slot);
    health_slot_gone(&s->health, slot->number, clock_boot_ms());
    model_lists_slot_gone(&s->lists, slot->number, clock_boot_ms());
    if (s->intent.want != PLAN_SERVE)
        return;
    if (s->next.conf && slot->gen_sent == s->next.conf->gen && slot->st.gen != slot->gen_sent)
        reload_death(s, slot->name);
    if (s->serving || (slot->failures < START_DEATHS && !slot->cannot_start))
        return;
    struct err why;
    if (slot->cannot_start)
        err_set(&why, "%s does not start: %s", slot->name, slot->cannot_start);
    else
        err_set(&why, "%s does not start: it ended %d times", slot->name, START_DEATHS);
    supervisor_fail(s, why.msg);
}

static void recorder_answered(void *arg, const struct ipc_rec_answer *m)
{
    struct supervisor *s = arg;
    history_query_on_answer(&s->query.history, m);
}

static void recorder_gone(void *arg)
{
    struct supervisor *s = arg;
    history_query_gone(&s->query.history);
}

static void recorder_held(void *arg)
{
    struct supervisor *s = arg;
    if (successor_given(&s->successor))
        successor_send_history(&s->successor);
}

const struct recorder_ops loop_recorder_ops = {
    .answer = recorder_answered, .gone = recorder_gone, .held = recorder_held};

bool loop_send_link(void *arg, chan_put_fn *put, const void *m)
{
    struct supervisor *s = arg;
    return link_slot_send(&s->link, put, m);
}

static void link_started(void *arg)
{
    struct supervisor *s = arg;
    peers_link_started(&s->peers);
}

static bool link_frame(void *arg, struct ipc_frame *f, struct err *e)
{
    struct supervisor *s = arg;
    if (!peers_on_frame(&s->peers, f, e))
        return false;
    supervisor_keep_hosts(s);
    if (s->peers.anew) {
        s->peers.anew = false;
        memcpy(s->host, s->peers.host, sizeof s->host);
        link_slot_want(&s->link, true, true);
    }
    return true;
}

static void link_ended(void *arg, bool told)
{
    struct supervisor *s = arg;
    peers_link_ended(&s->peers, told);
}

const struct link_slot_ops loop_link_ops = {
    .started = link_started, .frame = link_frame, .ended = link_ended};

const struct slot_ops loop_slot_ops = {
    .frame = supervisor_on_frame, .room = supervisor_feed, .ended = slot_ended};

/* ---- callbacks of the loop */

static void on_stop_signal(struct ev_loop *loop, ev_signal *w, int events)
{
    struct supervisor *s = w->data;
    (void)loop;
    (void)events;
    s->stops++;
    add_by(s->stop_by, by_signal);
}

static void on_other_signal(struct ev_loop *loop, ev_signal *w, int events)
{
    struct supervisor *s = w->data;
    (void)loop;
    (void)events;
    if (w->signum == SIGHUP)
        query_reload(s, by_signal);
    else if (w->signum == SIGUSR1)
        s->want_reopen = true;
    else
        s->want_upgrade = true;
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
    struct supervisor *s = w->data;
    (void)loop;
    (void)events;
    for (size_t i = 0; i < s->slots.n; i++)
        slot_tick(s->slots.v[i]);
    store_tick(&s->state);
}

static void on_later(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop; /* nothing to do but wake the loop: on_turn follows */
    (void)w;
    (void)events;
}

static void on_watchdog(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop;
    (void)w;
    (void)events;
    systemd_watchdog();
}

static void watch_signal(struct supervisor *s, ev_signal *w, int signum,
                         void (*cb)(struct ev_loop *, ev_signal *, int))
{
    ev_signal_init(w, cb, signum);
    w->data = s;
    ev_signal_start(s->loop, w);
}

void loop_start(struct supervisor *s)
{
    watch_signal(s, &s->on_term, SIGTERM, on_stop_signal);
    watch_signal(s, &s->on_int, SIGINT, on_stop_signal);
    watch_signal(s, &s->on_hup, SIGHUP, on_other_signal);
    watch_signal(s, &s->on_usr1, SIGUSR1, on_other_signal);
    watch_signal(s, &s->on_usr2, SIGUSR2, on_other_signal);
    signals_block(false);
    ev_timer_init(&s->tick, on_tick, 1, 1);
    ev_timer_init(&s->later, on_later, 0, 0);
    ev_prepare_init(&s->turn, on_turn);
    ev_timer_init(&s->health_due, on_later, 0, 0);
    s->tick.data = s->later.data = s->turn.data = s;
    ev_timer_start(s->loop, &s->tick);
    ev_prepare_start(s->loop, &s->turn);
    double dog = (double)systemd_watchdog_ms() / 1000.0;
    ev_timer_init(&s->watchdog, on_watchdog, dog, dog);
    if (dog > 0)
        ev_timer_start(s->loop, &s->watchdog);
}
