#include "supervisor/link/session.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/url/engine_url.h"
#include "common/secret/rnd.h"
#include "common/secret/secret.h"

#include <stdio.h>

enum {
    PAUSE_MIN_MS = 100,
    PAUSE_MAX_MS = 5000,
    PAUSE_REFUSED_MS = 30000,
    CALM_MS = 30000,
    STEADY_MS = 1000 /* a session that stood so long is no hop */
};

/* The engine's clock is not beyond this: 2^50 ms, the year 37,000. */
#define ENGINE_MS_MAX (INT64_C(1) << 50)

/* ---- to the supervisor */

void session_send(struct session *s, chan_put_fn *put, const void *m)
{
    if (s->up->fd != -1 && !chan_send(s->up, -1, put, 0, m))
        die("the supervisor does not read what the link sends");
}

void session_send_state(struct session *s)
{
    const struct ipc_link_state m = {
        .state = s->state,
        .why = str_c(s->why),
        .engine = str_c(s->engine),
        .policy = str_c(s->policy),
        .rtt_us = str_make((const char *)s->rtt, s->nrtt * sizeof *s->rtt),
        .queue = s->outbox.bytes + s->held_bytes,
        .dropped = s->outbox.dropped,
        .n = s->at.n,
        .entry = str_c(s->at.entry),
        .lag_ms = (uint64_t)(s->lag_ms > 0 ? s->lag_ms : 0),
        .beat_ms = s->beat_ms,
        .known = s->clock.known,
        .clock_ms = s->clock.offset_ms,
        .pulling = s->pulling,
    };
    session_send(s, ipc_put_v_link_state, &m);
    s->nrtt = 0;
}

static bool put_raw(struct buf *b, uint64_t gen, const void *m)
{
    (void)gen;
    return buf_str(b, *(const struct str *)m);
}

void session_send_at(struct session *s, uint64_t n, chan_put_fn *put, const void *m)
{
    if (s->at.n >= n && !s->held) {
        session_send(s, put, m);
        return;
    }
    struct session_held *h = mem_zalloc(1, sizeof *h);
    buf_init(&h->frame, IPC_FRAME_MAX);
    h->n = n;
    if (!put(&h->frame, 0, m) || s->held_bytes + h->frame.len > SESSION_HELD_MAX) {
        buf_free(&h->frame);
        mem_free(h);
        session_fail(s, LINK_LOST, "too much waits for the log");
        return;
    }
    s->held_bytes += h->frame.len;
    *s->held_end = h;
    s->held_end = &h->next;
}

static void drop_held(struct session *s, bool send)
{
    while (s->held && (!send || s->held->n <= s->at.n)) {
        struct session_held *h = s->held;
        struct str frame = buf_view(&h->frame);
        if (send)
            session_send(s, put_raw, &frame);
        s->held = h->next;
        s->held_bytes -= h->frame.len;
        buf_free(&h->frame);
        mem_free(h);
    }
    if (!s->held)
        s->held_end = &s->held;
}

void session_send_held(struct session *s)
{
    drop_held(s, true);
}

/* ---- the end of a session */

void session_timer(struct session *s, int64_t ms)
{
    ev_timer_stop(s->loop, &s->timer);
    ev_now_update(s->loop);
    ev_timer_set(&s->timer, (double)ms / 1000, 0);
    ev_timer_start(s->loop, &s->timer);
}

static void say(struct session *s, enum link_state state, const char *why)
{
    /* whoever waits for a join hears each time that it was none */
    bool same = s->phase != SESSION_JOINS && s->state == state && strcmp(s->why, why) == 0;
    s->state = state;
    snprintf(s->why, sizeof s->why, "%s", why);
    for (char *c = s->why; *c; c++) /* an engine's words will stand in a log */
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
            *c = '?';
    if (!same)
        session_send_state(s);
}

void session_fail(struct session *s, enum link_state state, const char *why)
{
    char said[256];
    if (s->failing || s->phase == SESSION_OFF || s->phase == SESSION_PAUSED)
        return;
    snprintf(said, sizeof said, "%s", why);
    s->failing = true;
    say(s, state, said);
    session_timer(s, 0);
}

/* Takes the new place from "MOVED SLOT HOST:PORT"; without a host it is another port of this one.
 */
static bool take_moved(struct session *s, struct str error)
{
    const char *blank = memrchr(error.p, ' ', error.n), *colon = memrchr(error.p, ':', error.n);
    struct engine_url u;
    struct err e;
    uint64_t port;
    if (!blank || !colon || colon < blank + 1 || (size_t)(colon - blank) > sizeof s->moved ||
        !str_to_u64(str_make(colon + 1, (size_t)(error.p + error.n - colon - 1)), 65535, &port) ||
        !engine_url_parse(str_c(s->conf.url), &u, &e))
        return false;
    struct str to = str_make(blank + 1, (size_t)(colon - blank - 1));
    if (!to.n)
        to = s->host[0] ? str_c(s->host) : u.host;
    if (!port || u.local || to.n >= sizeof s->moved)
        return false;
    snprintf(s->moved, sizeof s->moved, STR_FMT, STR_ARG(to));
    s->moved_port = (uint16_t)port;
    return true;
}

void session_fail_error(struct session *s, struct str error)
{
    static const char *const refused[] = {"NOAUTH",
                                          "WRONGPASS",
                                          "NOPERM",
                                          "ERR invalid password",
                                          "ERR AUTH",
                                          "ERR Client sent AUTH",
                                          "ERR unknown command",
                                          "ERR The user executing",
                                          "WRONGTYPE"};
    enum link_state state = LINK_LOST;
    char why[200];
    for (size_t i = 0; i < COUNT_OF(refused); i++)
        if (str_starts(error, str_c(refused[i])))
            state = LINK_REFUSED;
    if (str_starts(error, STR("OOM")) || str_find(error, STR("OOM command")) >= 0)
        state = LINK_FULL;
    if (str_starts(error, STR("MOVED ")))
        s->at_once = take_moved(s, error);
    snprintf(why, sizeof why, "it says: " STR_FMT, STR_ARG(error));
    session_fail(s, state, why);
}

/* What ends with the session. */
static void end_session(struct session *s)
{
    connection_close(&s->commands);
    connection_close(&s->log);
    ev_timer_stop(s->loop, &s->beat);
    ev_timer_stop(s->loop, &s->pull);
    traffic_lost(s);
    drop_held(s, false);
    s->pulling = s->joined = false;
    s->pulls = 0;
    s->beat_sent_ms = 0;
    s->failing = false;
}

/* The next pause: full jitter, so that hosts do not come back together. */
static int64_t next_pause(struct session *s)
{
    uint64_t r;
    bool stood = s->phase == SESSION_STANDS;
    if (stood && clock_mono_ms() - s->stood_ms >= STEADY_MS)
        s->hops = 0;
    if (s->at_once && s->hops++ < SESSION_HOPS)
        return 0;
    if (s->phase == SESSION_STANDS && clock_mono_ms() - s->stood_ms >= CALM_MS)
        s->pause_ms = PAUSE_MIN_MS;
    int64_t most = s->state == LINK_REFUSED ? PAUSE_REFUSED_MS : s->pause_ms;
    s->pause_ms = s->pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : s->pause_ms * 2;
    rnd_bytes(&r, sizeof r);
    int64_t pause = (int64_t)(r % (uint64_t)(most + 1));
    return s->state == LINK_REFUSED && pause < PAUSE_MAX_MS ? PAUSE_MAX_MS : pause;
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
    struct session *s = CONTAINER_OF(w, struct session, timer);
    (void)loop, (void)events;
    if (s->failing) {
        int64_t pause = next_pause(s);
        s->at_once = false;
        end_session(s);
        s->phase = SESSION_PAUSED;
        session_timer(s, pause);
    } else if (s->phase == SESSION_PAUSED && !s->stopping) {
        greeting_begin(s);
    }
}

/* ---- scripts */

void session_cid_text(const char cid[8], char out[static 17])
{
    for (size_t i = 0; i < 8; i++)
        snprintf(out + 2 * i, 3, "%02x", (unsigned char)cid[i]);
}

bool session_cid_read(struct str s, char out[static 8])
{
    if (s.n != 16)
        return false;
    for (size_t i = 0; i < 8; i++) {
        int hi = ascii_hex(s.p[2 * i]), lo = ascii_hex(s.p[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        out[i] = (char)(hi << 4 | lo);
    }
    return true;
}

static void session_key(struct session *s, const char *name)
{
    command_printf(&s->m, "{%s}:1:%s", s->conf.prefix, name);
}

void session_script(struct session *s, enum script_id id, size_t nkeys)
{
    command_begin(&s->m);
    command_str(&s->m, STR("EVALSHA"));
    command_str(&s->m, str_c(s->sha[id]));
    command_u64(&s->m, 3 + nkeys);
    session_key(s, "m");
    session_key(s, "h");
    session_key(s, "l");
}

void session_key_cid(struct session *s, char kind, const char cid[8])
{
    char hex[17], name[20];
    session_cid_text(cid, hex);
    snprintf(name, sizeof name, "%c:%s", kind, hex);
    session_key(s, name);
}

void session_script_args(struct session *s)
{
    command_str(&s->m, str_c(s->joined_epoch));
    command_str(&s->m, str_c(s->conf.host));
    command_u64(&s->m, s->conn);
    command_u64(&s->m, s->conf.lease_ms);
}

bool session_run(struct session *s, connection_reply *reply)
{
    if (connection_send(&s->commands, &s->m, reply, 0))
        return true;
    session_fail(s, LINK_LOST, "a command could not be sent");
    return false;
}

/* The words that a script says instead of OK. */
static void script_refused(struct session *s, const redisReply *r, struct str word)
{
    struct ipc_link_stale stale = {0};
    char why[160];
    if (str_eq(word, STR("EPOCH"))) {
        s->at_once = true;
        session_fail(s, LINK_LOST, "its data are gone, or others");
    } else if (str_eq(word, STR("STALE"))) {
        if (reply_array(r, 2) && reply_u64(r->element[1], &stale.conn) &&
            stale.conn <= SESSION_CONN_MAX)
            session_send(s, ipc_put_v_link_stale, &stale);
        s->at_once = stale.conn < s->conn;
        session_fail(s, LINK_LOST,
                     s->at_once ? "it has lost what it knew of this host"
                                : "there is a later session of this host");
    } else if (str_eq(word, STR("KIND"))) {
        struct str key = reply_array(r, 2) ? reply_str(r->element[1]) : STR("");
        snprintf(why, sizeof why,
                 "its key %.*s is not of this program: remove it, or set another "
                 "prefix",
                 (int)min_size(key.n, 60), key.p);
        session_fail(s, LINK_REFUSED, why);
    } else if (str_eq(word, STR("MANY"))) {
        session_fail(s, LINK_REFUSED, "its cluster has 64 hosts, which is the most");
    } else if (str_eq(word, STR("LATE"))) {
        s->at_once = true;
        session_fail(s, LINK_LOST, "it has not heard from this host for a lease");
    } else {
        session_fail(s, LINK_REFUSED, "its data are of hosts with another secret");
    }
}

bool session_ok(struct session *s, const redisReply *r, int64_t sent_ms, size_t least, uint64_t *n,
                bool *form, struct err *e)
{
    uint64_t now;
    *form = true;
    if (r->type == REDIS_REPLY_ERROR) {
        session_fail_error(s, reply_str(r));
        return false;
    }
    struct str word = reply_array(r, 1) ? reply_str(r->element[0]) : STR("");
    static const char *const refusals[] = {"EPOCH", "STALE", "LATE", "PRINT", "KIND", "MANY"};
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        if (!str_eq(word, str_c(refusals[i])))
            continue;
        script_refused(s, r, word);
        return false;
    }
    if (!str_eq(word, STR("OK")) || !reply_array(r, least) || !reply_u64(r->element[1], n) ||
        !reply_u64(r->element[2], &now) || now > ENGINE_MS_MAX) {
        *form = err_set(e, "it answered a script in a form that is not known");
        return false;
    }
    int64_t took = clock_boot_ms() - sent_ms;
    shared_clock_answer(&s->clock, sent_ms, sent_ms + took, (int64_t)now);
    return true;
}

/* ---- its life */

bool session_done(const struct session *s)
{
    return s->stopping && (s->left || s->phase <= SESSION_PAUSED || s->failing);
}

void session_init(struct session *s, struct ev_loop *loop, struct chan *up)
{
    *s = (struct session){.loop = loop, .up = up, .pause_ms = PAUSE_MIN_MS};
    s->held_end = &s->held;
    outbox_init(&s->outbox);
    buf_init(&s->kept, IPC_HELD_MAX);
    connection_init(&s->commands, loop, &greeting_ops, s);
    connection_init(&s->log, loop, &log_read_ops, s);
    ev_init(&s->timer, on_timer);
    ev_init(&s->beat, NULL);
    ev_init(&s->pull, NULL);
}

void session_free(struct session *s)
{
    char **text[] = {&s->conf.url,    &s->conf.password, &s->conf.sentinels,
                     &s->conf.prefix, &s->conf.host,     &s->conf.print,
                     &s->conf.name,   &s->conf.build,    &s->conf.digest};
    end_session(s);
    ev_timer_stop(s->loop, &s->timer);
    for (size_t i = 0; i < COUNT_OF(text); i++) {
        if (*text[i])
            secret_wipe(*text[i], strlen(*text[i]));
        mem_free(*text[i]);
    }
    SSL_CTX_free(s->conf.tls);
    outbox_free(&s->outbox);
    command_free(&s->m);
    buf_free(&s->kept);
    mem_free(s->restated);
    mem_free(s->cids);
}
