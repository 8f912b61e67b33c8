/* How a session begins: who is the master, AUTH, what the engine is, the scripts. */
#include "supervisor/link/session.h"

#include "common/conf/url/engine_url.h"
#include "common/secret/secret.h"

#include <stdio.h>
#include <stdlib.h>

static bool on_nothing(void *arg, const redisReply *r, int64_t sent_ms, struct err *e)
{
    (void)sent_ms, (void)e;
    if (r->type == REDIS_REPLY_ERROR)
        session_fail_error(arg, reply_str(r));
    return true;
}

/* The password in force: of its file, else of the URL. */
static bool password_of(const struct session *s, const struct engine_url *u, char *out, size_t size)
{
    if (s->conf.password[0])
        return snprintf(out, size, "%s", s->conf.password) < (int)size;
    return u->password.n < size && engine_url_decode(u->password, out);
}

bool session_introduce(struct session *s, struct connection *c, connection_reply *reply)
{
    struct engine_url u;
    struct err e;
    char user[1024] = "", password[8192] = "";
    bool ok = engine_url_parse(str_c(s->conf.url), &u, &e) && u.user.n < sizeof user &&
              engine_url_decode(u.user, user) && password_of(s, &u, password, sizeof password);
    if (ok && password[0]) {
        command_begin(&s->m);
        command_str(&s->m, STR("AUTH"));
        if (user[0])
            command_str(&s->m, str_c(user));
        command_str(&s->m, str_c(password));
        ok = connection_send(c, &s->m, reply, 0);
        secret_wipe(s->m.text.p, s->m.text.cap);
    }
    secret_wipe(password, sizeof password);
    if (ok && u.db) {
        command_begin(&s->m);
        command_str(&s->m, STR("SELECT"));
        command_u64(&s->m, u.db);
        ok = connection_send(c, &s->m, reply, 0);
    }
    return ok;
}

static bool on_role(void *arg, const redisReply *r, int64_t sent_ms, struct err *e)
{
    struct session *s = arg;
    (void)sent_ms;
    if (r->type == REDIS_REPLY_ERROR) {
        session_fail_error(s, reply_str(r));
        return true;
    }
    if (!reply_array(r, 1) || reply_str(r->element[0]).n == 0)
        return err_set(e, "it answered ROLE in a form that is not known");
    if (!str_eq(reply_str(r->element[0]), STR("master")))
        session_fail(s, LINK_LOST, "it is a replica, not the master");
    return true;
}

/* The value of a line "NAME:VALUE" of INFO. */
static void info_line(struct str info, struct str name, char *out, size_t size)
{
    ptrdiff_t at = str_find(info, name);
    out[0] = '\0';
    if (at < 0)
        return;
    const char *p = info.p + at + name.n;
    size_t left = info.n - (size_t)at - name.n, n = 0;
    while (n < left && n + 1 < size && (unsigned char)p[n] > 0x20 && (unsigned char)p[n] < 0x7f) {
        out[n] = p[n];
        n++;
    }
    out[n] = '\0';
}

static bool on_info_server(void *arg, const redisReply *r, int64_t sent_ms, struct err *e)
{
    struct session *s = arg;
    (void)sent_ms, (void)e;
    info_line(reply_str(r), STR("redis_version:"), s->engine, sizeof s->engine);
    return true;
}

static bool on_info_memory(void *arg, const redisReply *r, int64_t sent_ms, struct err *e)
{
    struct session *s = arg;
    (void)sent_ms, (void)e;
    info_line(reply_str(r), STR("maxmemory_policy:"), s->policy, sizeof s->policy);
    return true;
}

static bool on_loaded(void *arg, const redisReply *r, int64_t sent_ms, struct err *e)
{
    struct session *s = arg;
    struct ipc_link_meet meet;
    struct str sha = reply_str(r);
    (void)sent_ms;
    if (r->type == REDIS_REPLY_ERROR) {
        session_fail_error(s, sha);
        return true;
    }
    if (sha.n != 40 || s->loaded == SCRIPT__COUNT)
        return err_set(e, "it answered SCRIPT LOAD in a form that is not known");
    memcpy(s->sha[s->loaded], sha.p, sha.n);
    if (++s->loaded == SCRIPT__COUNT && !s->failing) {
        s->phase = SESSION_MEETS;
        session_send(s, ipc_put_v_link_meet, &meet);
    }
    return true;
}

static bool send_words(struct session *s, connection_reply *reply, const char *a, const char *b)
{
    command_begin(&s->m);
    command_str(&s->m, str_c(a));
    if (b)
        command_str(&s->m, str_c(b));
    return connection_send(&s->commands, &s->m, reply, 0);
}

static bool load_scripts(struct session *s)
{
    struct buf text;
    bool ok = true;
    buf_init(&text, 64 << 10);
    s->loaded = 0;
    for (size_t i = 0; ok && i < SCRIPT__COUNT; i++) {
        buf_cut(&text, 0);
        ok = script_text((enum script_id)i, &text);
        command_begin(&s->m);
        command_str(&s->m, STR("SCRIPT"));
        command_str(&s->m, STR("LOAD"));
        command_str(&s->m, buf_view(&text));
        ok = ok && connection_send(&s->commands, &s->m, on_loaded, 0);
    }
    buf_free(&text);
    return ok;
}

/* ---- Sentinel */

/* A Sentinel did not name the master. The next is asked at once; what is known of the engine stays
 * until all were asked. */
static void sentinel_failed(struct session *s, enum link_state state, const char *why)
{
    size_t n = 1;
    char text[256];
    for (const char *c = s->conf.sentinels; *c; c++)
        n += *c == ' ';
    if (++s->unheard < n) {
        s->at_once = true;
        session_fail(s, s->state, s->why);
        return;
    }
    s->unheard = 0;
    snprintf(text, sizeof text, "%s: %s",
             n > 1 ? "no Sentinel names the master, the last" : "its Sentinel", why);
    session_fail(s, state, text);
}

/* A Sentinel answered with an error. It is asked without AUTH: no key of the configuration has a
 * password for it. */
static void sentinel_refused(struct session *s, struct str error)
{
    char why[200];
    bool locked = str_starts(error, STR("NOAUTH")) || str_starts(error, STR("NOPERM"));
    snprintf(why, sizeof why, "%s" STR_FMT,
             locked ? "it wants a password, which a Sentinel cannot be given: it says: "
                    : "it says: ",
             STR_ARG(error));
    sentinel_failed(s, locked ? LINK_REFUSED : LINK_LOST, why);
}

static bool on_master(void *arg, const redisReply *r, int64_t sent_ms, struct err *e)
{
    struct session *s = arg;
    uint64_t port;
    (void)sent_ms, (void)e;
    if (r->type == REDIS_REPLY_ERROR) {
        sentinel_refused(s, reply_str(r));
        return true;
    }
    s->at_once = reply_array(r, 2) && reply_u64(r->element[1], &port) && port <= 65535 &&
                 reply_str(r->element[0]).n > 0 && reply_str(r->element[0]).n < sizeof s->moved;
    if (s->at_once) {
        snprintf(s->moved, sizeof s->moved, STR_FMT, STR_ARG(reply_str(r->element[0])));
        s->moved_port = (uint16_t)port;
        s->unheard = 0;
        session_fail(s, s->state, s->why);
    } else {
        sentinel_failed(s, LINK_LOST, "it knows no such master");
    }
    return true;
}

static void greet(void *arg)
{
    struct session *s = arg;
    struct engine_url u;
    struct err e;
    bool ok = engine_url_parse(str_c(s->conf.url), &u, &e);
    if (s->phase == SESSION_SEEKS) {
        command_begin(&s->m);
        command_str(&s->m, STR("SENTINEL"));
        command_str(&s->m, STR("get-master-addr-by-name"));
        command_str(&s->m, u.host);
        ok = ok && connection_send(&s->commands, &s->m, on_master, 0);
    } else {
        ok = ok && session_introduce(s, &s->commands, on_nothing) &&
             send_words(s, on_role, "ROLE", NULL) &&
             send_words(s, on_info_server, "INFO", "server") &&
             send_words(s, on_info_memory, "INFO", "memory") && load_scripts(s);
    }
    if (!ok)
        session_fail(s, LINK_LOST, "a command could not be sent");
}

static void lost(void *arg, const char *why)
{
    struct session *s = arg;
    if (s->phase == SESSION_SEEKS)
        sentinel_failed(s, LINK_LOST, why);
    else
        session_fail(s, LINK_LOST, why);
}

const struct connection_ops greeting_ops = {.opened = greet, .lost = lost};

/* The next Sentinel in turn, as an address of its own. */
static bool next_sentinel(struct session *s, char *out, size_t size, struct engine_url *u)
{
    struct err e;
    const char *word = s->conf.sentinels;
    for (size_t i = 0; i < s->sentinel && word; i++) {
        word = strchr(word, ' ');
        word = word ? word + 1 : NULL;
    }
    if (!word) {
        word = s->conf.sentinels;
        s->sentinel = 0;
    }
    s->sentinel++;
    snprintf(out, size, "redis://%.*s", (int)strcspn(word, " "), word);
    return engine_url_parse(str_c(out), u, &e);
}

/* Whether the master must be asked for first. */
static bool seeks(const struct session *s)
{
    return s->conf.sentinels[0] && !s->moved[0];
}

void greeting_begin(struct session *s)
{
    struct engine_url u, sentinel;
    struct err e;
    char text[1024];
    if (!engine_url_parse(str_c(s->conf.url), &u, &e)) {
        s->phase = SESSION_GREETS;
        session_fail(s, LINK_REFUSED, e.msg);
        return;
    }
    struct connection_to to = {u.host, u.port, u.local, s->conf.tls};
    s->phase = seeks(s) ? SESSION_SEEKS : SESSION_GREETS;
    if (s->phase == SESSION_SEEKS && next_sentinel(s, text, sizeof text, &sentinel)) {
        to.host = sentinel.host;
        to.port = str_find(str_c(text + 8), STR(":")) >= 0 ? sentinel.port : SENTINEL_PORT;
    }
    s->host[0] = '\0';
    if (s->phase == SESSION_GREETS && s->moved[0]) {
        memcpy(s->host, s->moved, sizeof s->host);
        s->port = s->moved_port;
        to.host = str_c(s->host);
        to.port = s->port;
        s->moved[0] = '\0';
    }
    connection_open(&s->commands, &to, s->conf.timeout_ms);
}
