#include "supervisor/reload.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "supervisor/children/slot_send.h"
#include "supervisor/config/load.h"
#include "supervisor/process/logfile.h"
#include "supervisor/process/systemd.h"
#include "supervisor/supervisor.h"

#include <string.h>

/* Sends the configuration to every worker that serves or starts. */
static void push(struct supervisor *s, struct conf *c)
{
    c->gen = ++s->intent.gen;
    for (size_t i = 0; i < s->slots.n; i++)
        if (slot_active(s->slots.v[i]))
            slot_send_conf(s->slots.v[i], c);
}

/* The event of a refused reload, with the first fault: it is what an operator mends first. */
static void add_refused(struct supervisor *s, const char *why, const struct faults *f)
{
    char line[1024] = "";
    for (size_t i = 0; f && i < f->n && !line[0]; i++)
        if (!f->v[i].warning)
            faults_line(f, i, line, sizeof line);
    events_add_by(&s->events, clock_wall_ms(), EVENT_RELOAD, NULL, s->next.by,
                  "refused, generation %llu stays in use: %s%s%s", (unsigned long long)s->conf->gen,
                  why, line[0] ? ": " : "", line);
}

static void refused(struct supervisor *s, const char *why, const struct faults *f)
{
    log_error("reload refused, generation %llu stays in use: %s", (unsigned long long)s->conf->gen,
              why);
    add_refused(s, why, f);
    systemd_ready("reload refused");
    query_reload_ended(&s->query, why, f);
}

/* Warns of changed keys that only a restart puts into use. */
static void warn_of_fixed(const struct conf *old, const struct conf *new)
{
    if (!str_eq(str_c(old->user), str_c(new->user)))
        log_warn("user: a change takes effect with the next start");
    if (!str_eq(str_c(old->state_dir), str_c(new->state_dir)))
        log_warn("state_dir: a change takes effect with the next start");
}

void reload_begin(struct supervisor *s)
{
    struct faults f = {0};
    struct err e;
    memcpy(s->next.by, s->reload_by, sizeof s->next.by);
    s->reload_by[0] = '\0';
    log_info("reload of %s", s->conf_path);
    systemd_reloading();
    query_reload_begun(&s->query);
    struct conf *c = conf_load(s->conf_path, &f);
    faults_log(&f);
    if (!c) {
        err_set(&e, "%zu fault%s", f.errors, f.errors == 1 ? "" : "s");
        goto refuse;
    }
    if (!listen_open(&s->next.listen, c, &s->listen, NULL, 0, &e))
        goto refuse;
    if (!control_next(&s->control, c->control_socket, &e) ||
        !logfile_open(c->log.file, &s->next.log_fd, &e)) {
        listen_close(&s->next.listen);
        control_drop(&s->control);
        goto refuse;
    }
    warn_of_fixed(s->conf, c);
    s->next.conf = c;
    s->next.deaths = 0;
    push(s, c);
    faults_free(&f);
    return;
refuse:
    refused(s, e.msg, &f);
    conf_unref(c);
    faults_free(&f);
}

void reload_death(struct supervisor *s, const char *who)
{
    if (++s->next.deaths >= RELOAD_DEATHS)
        reload_abort(s, who, STR("ended while it took the configuration"));
}

void reload_commit(struct supervisor *s)
{
    struct listen_set was = s->listen;
    conf_unref(s->conf);
    supervisor_take_conf(s, s->next.conf);
    s->listen = s->next.listen;
    s->next.conf = NULL;
    s->next.listen = (struct listen_set){0};
    fd_close(&s->log_fd);
    s->log_fd = s->next.log_fd;
    s->next.log_fd = -1;
    control_commit(&s->control);
    supervisor_use_conf(s);
    for (size_t i = 0; i < s->slots.n; i++) {
        struct slot *slot = s->slots.v[i];
        slot_send_log(slot, s->log_fd);
        slot_send_feed(slot, recorder_feed(&s->recorder));
        health_send_all(&s->health, (int)slot->number, clock_boot_ms());
        if (slot_active(slot) && slot->listen_gen != s->conf->gen)
            slot_send_listeners(slot, &was, &s->listen);
        slot->listen_gen = s->conf->gen;
    }
    listen_close(&was);
    predecessor_send_endpoints(&s->predecessor);
    log_info("reload done, generation %llu", (unsigned long long)s->conf->gen);
    events_add_by(&s->events, clock_wall_ms(), EVENT_RELOAD, NULL, s->next.by,
                  "done, generation %llu", (unsigned long long)s->conf->gen);
    query_reload_ended(&s->query, NULL, NULL);
}

void reload_abort(struct supervisor *s, const char *who, struct str why)
{
    struct err e;
    uint64_t failed = s->next.conf->gen;
    err_set(&e, "%s: " STR_FMT, who, STR_ARG(why));
    push(s, s->conf);
    s->intent.announced = s->intent.gen;
    for (size_t i = 0; i < s->slots.n; i++)
        if (slot_active(s->slots.v[i]) && s->slots.v[i]->listen_gen == failed) {
            slot_send_listeners(s->slots.v[i], &s->next.listen, &s->listen);
            s->slots.v[i]->listen_gen = s->conf->gen;
        }
    supervisor_drop_next(s);
    refused(s, e.msg, NULL);
}
