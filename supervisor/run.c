#include "supervisor/run.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/logring.h"
#include "common/base/mem.h"
#include "common/secret/rnd.h"
#include "supervisor/config/load.h"
#include "supervisor/loop.h"
#include "supervisor/process/container.h"
#include "supervisor/process/signals.h"
#include "supervisor/start.h"

#include <signal.h>
#include <stdio.h>

/* What this host shares with others. */
static void share(struct supervisor *s, struct ev_loop *loop)
{
    peers_init(&s->peers, &(struct peers_env){.health = &s->health,
                                              .bindings = &s->bindings,
                                              .marks = &s->marks,
                                              .events = &s->events,
                                              .send = loop_send_link,
                                              .arg = s});
    s->bindings.changed_arg = s->health.permit_arg = s->marks.told_arg = &s->peers;
    link_slot_init(&s->link, loop, start_find_link(), &loop_link_ops, s);
}

/* What operators' queries read. */
static void connect_operators(struct supervisor *s)
{
    s->operate = (struct operate_env){.loop = s->loop,
                                      .conf_path = s->conf_path,
                                      .boot_ms = s->boot_ms,
                                      .listen = &s->listen,
                                      .slots = &s->slots,
                                      .recorder = &s->recorder,
                                      .peers = &s->peers,
                                      .intent = &s->intent,
                                      .serving = &s->serving,
                                      .health = &s->health,
                                      .marks = &s->marks,
                                      .recent = &s->recent,
                                      .events = &s->events,
                                      .totals = &s->totals,
                                      .bindings = &s->bindings,
                                      .reloads = &s->query.reloads,
                                      .successor = &s->successor,
                                      .state_dir = &s->state.path,
                                      .state_failed = s->state.why};
}

/* An empty supervisor, its parts connected with each other. */
static struct supervisor *supervisor_new(struct ev_loop *loop, const char *conf_path)
{
    struct supervisor *s = mem_zalloc(1, sizeof *s);
    s->loop = loop;
    s->conf_path = conf_path;
    s->boot_ms = (uint64_t)clock_wall_ms();
    rnd_bytes(s->tickets, sizeof s->tickets);
    s->log_fd = s->next.log_fd = s->ring_fd = s->ring_reader = -1;
    health_init(&s->health, supervisor_send, s);
    s->health.counted = supervisor_count;
    s->health.events = &s->events;
    marked_init(&s->marks, &s->health, &s->events, supervisor_send, s);
    s->lists = (struct model_lists){.send = supervisor_send, .arg = s};
    bindings_init(&s->bindings, supervisor_send_bindings, s);
    store_init(&s->state, &(struct store_env){.loop = loop,
                                              .health = &s->health,
                                              .totals = &s->totals,
                                              .bindings = &s->bindings,
                                              .marks = &s->marks});
    s->slot_env = (struct slot_env){.loop = loop,
                                    .health = &s->health,
                                    .events = &s->events,
                                    .intent = &s->intent,
                                    .ops = &loop_slot_ops,
                                    .arg = s};
    recorder_init(&s->recorder, loop, start_find_recorder(), &s->events, &loop_recorder_ops, s);
    share(s, loop);
    successor_init(&s->successor, &(struct successor_env){.loop = loop,
                                                          .intent = &s->intent,
                                                          .stops = &s->stops,
                                                          .health = &s->health,
                                                          .marks = &s->marks,
                                                          .lists = &s->lists,
                                                          .recent = &s->recent,
                                                          .totals = &s->totals,
                                                          .store = &s->state,
                                                          .events = &s->events,
                                                          .ops = &loop_successor_ops,
                                                          .arg = s});
    connect_operators(s);
    query_init(&s->query, &s->operate, &loop_query_ops, s);
    control_init(&s->control, loop, &s->query);
    return s;
}

/* Returns false if what lasts could not be saved. */
static bool supervisor_free(struct supervisor *s)
{
    successor_fini(&s->successor);
    bool saved = store_close(&s->state);
    control_close(&s->control);
    slots_free(&s->slots);
    recorder_free(&s->recorder);
    link_slot_free(&s->link);
    peers_fini(&s->peers);
    supervisor_drop_next(s);
    listen_close(&s->listen);
    health_fini(&s->health);
    marked_fini(&s->marks);
    model_lists_fini(&s->lists);
    recent_kept_fini(&s->recent);
    totals_fini(&s->totals);
    query_fini(&s->query);
    bindings_fini(&s->bindings);
    events_fini(&s->events);
    predecessor_fini(&s->predecessor);
    conf_unref(s->conf);
    mem_free(s->program);
    mem_free(s->worker_path);
    fd_close(&s->log_fd);
    fd_close(&s->ring_fd);
    fd_close(&s->ring_reader);
    log_take_fd(-1);
    mem_free(s);
    return saved;
}

/* Takes the predecessor's log ring over, so that `qccctl logs -f` goes on, or makes one. Without a
 * ring `qccctl logs` has nothing to show; the log itself is not affected. */
static void have_ring(struct supervisor *s)
{
    struct err e;
    struct handover *in = &s->predecessor.handover;
    if (in->ring != -1 && in->ring_reader != -1 && logring_use(in->ring, &e)) {
        s->ring_fd = in->ring;
        s->ring_reader = in->ring_reader;
        in->ring = in->ring_reader = -1;
    } else if (!logring_make(&s->ring_fd, &s->ring_reader, &e) || !logring_use(s->ring_fd, &e)) {
        log_warn("there is no log ring for qccctl: %s", e.msg);
    }
    s->control.ring_reader = s->ring_reader;
}

/* Prints why the start failed: on stderr as a plain sentence, in the journal as a log line. */
static void cannot_start(const char *why)
{
    if (log_to_journal())
        log_error("%s", why);
    else
        fprintf(stderr, "qcc-supervisor: %s\n", why);
}

/* Receives the descriptors of the predecessor, if there is one. */
static bool take_over(struct supervisor *s, struct err *e)
{
    const struct predecessor_env env = {.loop = s->loop,
                                        .intent = &s->intent,
                                        .health = &s->health,
                                        .marks = &s->marks,
                                        .lists = &s->lists,
                                        .recent = &s->recent,
                                        .totals = &s->totals,
                                        .bindings = &s->bindings,
                                        .store = &s->state,
                                        .successor = &s->successor,
                                        .ops = &loop_predecessor_ops,
                                        .arg = s};
    if (!predecessor_take(&s->predecessor, &env, e))
        return false;
    store_allow(&s->state, !predecessor_holding(&s->predecessor));
    return true;
}

/* Loads the configuration. False: the file has faults, which are printed; *e is the first of
 * them. */
static bool load(struct supervisor *s, struct err *e)
{
    struct faults f = {0};
    supervisor_take_conf(s, conf_load(s->conf_path, &f));
    if (log_to_journal() || log_is_json())
        faults_log(&f);
    else
        faults_print(&f, stderr);
    if (!s->conf) {
        err_set(e, "the configuration is faulty");
        if (f.n)
            faults_line(&f, 0, e->msg, sizeof e->msg);
    }
    faults_free(&f);
    return s->conf != NULL;
}

/* Takes the predecessor's feed over, into which its workers write on. The recorder starts when the
 * predecessor's has ended. */
static void take_feed(struct supervisor *s)
{
    struct handover *in = &s->predecessor.handover;
    if (!predecessor_holding(&s->predecessor))
        return;
    recorder_take_feed(&s->recorder, in->feed_reader, in->feed);
    recorder_hold(&s->recorder, RECORDER_HELD_BEFORE);
    in->feed = in->feed_reader = -1;
}

/* Runs the loop until it ends. All that can fail at a start was done before. */
static void serve(struct supervisor *s)
{
    ev_now_update(s->loop); /* the start may have taken seconds */
    s->conf->gen = s->intent.gen = s->predecessor.gen + 1;
    take_feed(s);
    supervisor_use_conf(s);
    store_restore(&s->state, s->predecessor.handover.state);
    fd_close(&s->predecessor.handover.state);
    uint64_t files = fd_raise_limit();
    log_info("qcc " QCC_VERSION " starts with %s: %zu workers, %zu endpoints, %llu open files each",
             s->conf_path, s->intent.workers, s->conf->nendpoints, (unsigned long long)files);
    if (!predecessor_holding(&s->predecessor))
        control_start(&s->control);
    loop_start(s);
    predecessor_start(&s->predecessor, s->conf);
    ev_run(s->loop, 0);
    if (s->exit_code == SUPERVISOR_EXIT_OK)
        log_info("stopped");
}

/* Does all that can fail at a start. False: *e says why; `printed`: it is on stderr already. */
static bool prepare(struct supervisor *s, bool *printed, struct err *e)
{
    *printed = false;
    if (!take_over(s, e))
        return false;
    have_ring(s);
    *printed = !load(s, e);
    return !*printed && start_prepare(s, e);
}

int supervisor_run(const char *conf_path)
{
    struct err e;
    bool printed;
    start_std_fds();
    signal(SIGPIPE, SIG_IGN);
    signals_block(true);
    struct ev_loop *loop = ev_default_loop(0);
    if (!loop) {
        cannot_start("no event loop");
        return SUPERVISOR_EXIT_FAULT;
    }
    struct supervisor *s = supervisor_new(loop, conf_path);
    if (prepare(s, &printed, &e)) {
        serve(s);
    } else {
        s->exit_code = SUPERVISOR_EXIT_FAULT;
        if (!printed)
            cannot_start(e.msg);
        predecessor_fail(&s->predecessor, e.msg);
    }
    int code = s->exit_code;
    bool stays = container_is_init() && s->successor.phase == SUCCESSOR_DONE;
    int last = s->successor.pid ? SUPERVISOR_EXIT_OK : s->successor.code;
    if (!supervisor_free(s) && code == SUPERVISOR_EXIT_OK)
        code = SUPERVISOR_EXIT_FAULT;
    return stays ? container_outlive(last) : code;
}
