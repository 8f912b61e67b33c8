/* The join of a session, and where the log is read on. */
#include "supervisor/link/session.h"

#include "common/base/clock.h"
#include "common/secret/rnd.h"

#include <stdio.h>

static void copy_text(char *out, size_t size, struct str s)
{
    snprintf(out, size, STR_FMT, STR_ARG(s));
}

/* Takes over where the log stands. found: the number that the entry which was read last has now. */
static bool place(struct session *s, uint64_t found, struct err *e)
{
    s->resync = shared_log_resume(&s->at, str_c(s->joined_epoch), found, s->joined_n);
    /* other data are more than a gap: what they lack is put back */
    if (s->resync == SHARED_RESYNC_NONE && s->gap)
        s->resync = SHARED_RESYNC_GAP;
    if (s->resync != SHARED_RESYNC_NONE &&
        !shared_log_begin(&s->at, str_c(s->joined_epoch), str_c(s->joined_entry), s->joined_n))
        return err_set(e, "it named an epoch or an entry that is none");
    snprintf(s->read, sizeof s->read, "%s", s->at.entry[0] ? s->at.entry : "0-0");
    s->placed = true;
    s->gap = false;
    s->behind_ms = clock_mono_ms();
    s->behind_n = s->at.n;
    return true;
}

static bool on_joined(void *arg, const redisReply *r, int64_t sent_ms, struct err *e)
{
    struct session *s = arg;
    uint64_t found;
    bool form;
    if (!session_ok(s, r, sent_ms, 8, &s->joined_n, &form, e))
        return form;
    struct str epoch = reply_str(r->element[3]), entry = reply_str(r->element[4]);
    const redisReply *kept = r->element[6];
    if (epoch.n == 0 || epoch.n > SHARED_EPOCH_MAX || entry.n > SHARED_ENTRY_MAX ||
        !reply_array(r->element[5], 0) || !reply_array(kept, s->nrestated) ||
        !reply_u64(r->element[7], &found))
        return err_set(e, "it answered a join in a form that is not known");
    copy_text(s->joined_epoch, sizeof s->joined_epoch, epoch);
    copy_text(s->joined_entry, sizeof s->joined_entry, entry);
    buf_cut(&s->kept, 0);
    for (size_t i = 0; i < s->nrestated; i++)
        if (!buf_str(&s->kept, str_eq(reply_str(kept->element[i]), STR("1")) ? STR("1") : STR("0")))
            return err_set(e, "there is no memory");
    if (!place(s, found, e))
        return false;
    s->beat_ms = sent_ms;
    traffic_hosts(s, r->element[5]);
    const struct ipc_link_joined m = {.epoch = str_c(s->at.epoch),
                                      .entry = str_c(s->at.entry),
                                      .n = s->at.n,
                                      .resync = s->resync,
                                      .kept = buf_view(&s->kept)};
    session_send_state(s); /* the clock, by which what follows is read */
    s->joined = true;
    session_send(s, ipc_put_v_link_joined, &m);
    log_read_open(s);
    traffic_begin_beats(s);
    traffic_pull_endpoints(s);
    if (s->resync != SHARED_RESYNC_NONE && s->conf.bind)
        traffic_pull_bindings(s);
    return true;
}

void join_send(struct session *s)
{
    uint64_t r[2];
    rnd_bytes(r, sizeof r);
    s->phase = SESSION_JOINS;
    session_script(s, SCRIPT_JOIN, s->nrestated);
    for (size_t i = 0; i < s->nrestated; i++)
        session_key_cid(s, strchr("ci", s->restated[i].kind[0]) ? 'c' : 'e', s->restated[i].cid);
    command_str(&s->m, str_c(s->conf.print));
    command_str(&s->m, str_c(s->conf.host));
    command_u64(&s->m, s->conn);
    command_u64(&s->m, s->conf.lease_ms);
    command_str(&s->m, str_c(s->conf.name));
    command_str(&s->m, str_c(s->conf.build));
    command_str(&s->m, str_c(s->conf.digest));
    command_printf(&s->m, "%08llx%08llx", (unsigned long long)(r[0] >> 32),
                   (unsigned long long)(r[1] >> 32));
    command_str(&s->m, str_c(s->at.entry));
    for (size_t i = 0; i < s->nrestated; i++) {
        command_u64(&s->m, 4 + i);
        command_str(&s->m, str_c(s->restated[i].kind));
        command_u64(&s->m, s->restated[i].n);
    }
    (void)!session_run(s, on_joined);
}
