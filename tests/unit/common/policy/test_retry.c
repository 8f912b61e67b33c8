#include "common/policy/retry.h"
#include "tests/unit/case.h"

#include "common/secret/rnd.h"

static const char *const actions[] = {
    [RETRY_SAME] = "same",
    [RETRY_OTHER] = "other",
    [RETRY_SECOND_OPINION] = "second_opinion",
    [RETRY_GIVE_UP] = "give_up",
};
static const char *const replies[] = {
    [RETRY_REPLY_NONE] = "none",   [RETRY_REPLY_BREAK] = "break", [RETRY_REPLY_THIS] = "this",
    [RETRY_REPLY_FIRST] = "first", [RETRY_REPLY_FINAL] = "final",
};
static const char *const ends[SEL_END__COUNT] = {
    [SEL_CHOSEN] = "chosen",     [SEL_NEED_TRIAL] = "need_trial",   [SEL_WAIT_TRIAL] = "wait_trial",
    [SEL_ALL_FULL] = "all_full", [SEL_ALL_COOLING] = "all_cooling", [SEL_NONE] = "none",
};
static const char *const nets[NET__COUNT] = {
    [NET_NONE] = "none",
    [NET_REFUSED] = "refused",
    [NET_CONNECT_TIMEOUT] = "connect_timeout",
    [NET_CERT] = "cert",
    [NET_SEND] = "send",
    [NET_RESET] = "reset",
    [NET_EMPTY] = "empty",
    [NET_PARTIAL] = "partial",
    [NET_GARBAGE] = "garbage",
    [NET_FIRST_BYTE_TIMEOUT] = "first_byte",
    [NET_IDLE_TIMEOUT] = "idle",
    [NET_LOCAL] = "local",
    [NET_SILENT] = "silent",
};
static const char *classes[OUTCOME__COUNT];

enum { FAILS = 8 };

struct world {
    struct retry_conf conf;
    struct retry_fail fails[FAILS];
    size_t n;
};

/* Half of the range: jitter turns nothing. */
#define MIDDLE (UINT64_MAX / 2)

static enum net_fault net_of(const struct case_line *l)
{
    const char *v = case_value(l, "net");
    return v ? (enum net_fault)case_choice(l, v, nets, COUNT_OF(nets)) : NET_NONE;
}

static void do_conf(struct world *w, const struct case_line *l)
{
    w->conf = (struct retry_conf){
        .max_attempts = (uint32_t)case_number(l, "attempts", 5),
        .max_attempts_per_endpoint = (uint32_t)case_number(l, "per_endpoint", 2),
        .transient_delay_ms = case_number(l, "delay", 200),
        .max_wait_ms = case_number(l, "max_wait", 0),
        .max_retry_after_ms = case_number(l, "max_retry_after", 59000),
    };
}

static void do_fail(struct world *w, const struct case_line *l, char out[static CASE_OUT])
{
    struct verdict v = {
        .cls = (enum outcome)case_choice(l, l->word[1], classes, COUNT_OF(classes)),
        .fault = case_flag(l, "request") ? FAULT_REQUEST : FAULT_ENDPOINT,
        .retry_after_ms = -1,
        .overloaded = case_flag(l, "overloaded"),
        .beyond_doubt = case_flag(l, "doubtless"),
        .no_opinion = case_flag(l, "page"),
    };
    struct retry_in in = {
        .v = &v,
        .net = net_of(l),
        .reused = case_flag(l, "reused"),
        .got_bytes = case_flag(l, "bytes"),
        .stalled = case_flag(l, "stalled"),
        .got_head = case_flag(l, "head"),
        .trial = case_flag(l, "trial"),
        .committed = case_flag(l, "committed"),
        .client_gone = case_flag(l, "gone"),
        .repeatable = !case_flag(l, "once"),
        .bad_request = case_flag(l, "badjson"),
        .begun = (uint32_t)case_number(l, "attempts", 1),
        .unsent = (uint32_t)case_number(l, "unsent", 0),
        .attempts_here = (uint32_t)case_number(l, "here", 1),
        .others = {.untried = (uint32_t)case_number(l, "untried", 1),
                   .full = (uint32_t)case_number(l, "full", 0),
                   .again_full = (uint32_t)case_number(l, "again_full", 0),
                   .circuit = (uint32_t)case_number(l, "circuit", 0),
                   .again = (uint32_t)case_number(l, "again", 0),
                   .self = case_flag(l, "self"),
                   .busy = (uint32_t)case_number(l, "busy", 0),
                   .cool_ms = case_number(l, "cool", -1)},
        .marked = case_flag(l, "marked"),
        .first_no_opinion = case_flag(l, "first_page"),
        .first_marked = case_flag(l, "first_marked"),
        .opinion = case_flag(l, "opinion") ? RETRY_OPINION_OPEN : RETRY_OPINION_NONE,
        .elapsed_ms = case_number(l, "elapsed", 0),
        .waited_ms = case_number(l, "waited", 0),
        .rnd = MIDDLE,
    };
    struct retry_out r;
    retry_next(&w->conf, &in, &r);
    assert_non_null(r.why);
    char delay[24] = "";
    if (r.action == RETRY_SAME || r.delay_ms > 0)
        snprintf(delay, sizeof delay, " %d", (int)r.delay_ms);
    snprintf(out, CASE_OUT, "%s%s %s %s %s%s", actions[r.action], delay,
             r.action == RETRY_GIVE_UP ? replies[r.reply] : "", r.charge ? "charge" : "free",
             r.uncounted ? "uncounted" : "", r.unsent ? "unsent" : "");
}

static void do_final(struct world *w, const struct case_line *l, char out[static CASE_OUT])
{
    const char *end = case_value(l, "end");
    struct sel_result s = {.at = -1, .wait_ms = case_number(l, "wait", -1)};
    if (end)
        s.end = (enum sel_end)case_choice(l, end, ends, COUNT_OF(ends));
    struct retry_final f;
    retry_final(&w->conf, w->fails, w->n, (int)case_number(l, "first", -1), end ? &s : NULL,
                case_number(l, "cool", -1), case_number(l, "cool_unmarked", -1), &f);
    char after[24] = "", at[24] = "";
    if (f.retry_after_s)
        snprintf(after, sizeof after, "after=%u", f.retry_after_s);
    switch (f.kind) {
    case RETRY_FINAL_UPSTREAM:
        snprintf(out, CASE_OUT, "upstream %u at=%d %s", f.status, f.at, after);
        break;
    case RETRY_FINAL_RATE_LIMIT:
        if (f.at != -1)
            snprintf(at, sizeof at, "body=%d", f.at);
        snprintf(out, CASE_OUT, "rate_limit %u %s %s", f.status, after, at);
        break;
    case RETRY_FINAL_OWN:
        assert_int_equal(f.at, -1);
        snprintf(out, CASE_OUT, "own %u %s", f.status, after);
        break;
    }
}

static void do_line(void *ctx, const struct case_line *l, char out[static CASE_OUT])
{
    struct world *w = ctx;
    const char *verb = l->word[0];
    if (strcmp(verb, "case") == 0) {
        w->n = 0;
        do_conf(w, l);
    } else if (strcmp(verb, "conf") == 0) {
        do_conf(w, l);
    } else if (strcmp(verb, "fail") == 0) {
        do_fail(w, l, out);
    } else if (strcmp(verb, "reply") == 0) {
        w->fails[w->n++] = (struct retry_fail){
            .cls = (enum outcome)case_choice(l, l->word[1], classes, COUNT_OF(classes)),
            .net = net_of(l),
            .status = (uint32_t)case_number(l, "status", 0),
            .retry_after_ms = case_number(l, "after", -1),
            .kept = case_value(l, "status") && !case_flag(l, "lost"),
            .marked = case_flag(l, "marked"),
        };
    } else if (strcmp(verb, "final") == 0) {
        do_final(w, l, out);
    } else if (strcmp(verb, "wait") == 0) {
        struct sel_result s = {.at = -1,
                               .full = case_flag(l, "full"),
                               .end =
                                   (enum sel_end)case_choice(l, l->word[1], ends, COUNT_OF(ends)),
                               .wait_ms = case_number(l, "wait", -1)};
        int64_t ms = retry_wait(&w->conf, &s, case_number(l, "waited", 0));
        if (ms < 0)
            snprintf(out, CASE_OUT, "no");
        else
            snprintf(out, CASE_OUT, "%d", (int)ms);
    } else {
        case_unknown(l);
    }
}

static void cases(void **state)
{
    (void)state;
    for (int i = 0; i < OUTCOME__COUNT; i++)
        classes[i] = outcome_name((enum outcome)i);
    struct world w;
    case_run("tests/unit/data/retry", do_line, &w);
}

static void what_may_be_repeated(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path;
        bool yes;
    } rows[] = {
        {"POST", "/v1/messages", true},   {"POST", "/v1/messages/count_tokens", true},
        {"POST", "/v1/complete", true},   {"POST", "/v1/chat/completions", true},
        {"POST", "/v1/responses", true},  {"POST", "/v1/embeddings", true},
        {"POST", "/v1/messages/", false}, {"POST", "/v1/messages/batches", false},
        {"POST", "/v1/files", false},     {"GET", "/v1/files", true},
        {"HEAD", "/anything", true},      {"DELETE", "/v1/messages", false},
        {"PUT", "/v1/messages", false},   {"post", "/v1/messages", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(retry_repeatable(rows[i].method, strlen(rows[i].method), rows[i].path,
                                          strlen(rows[i].path)),
                         rows[i].yes);
}

static void what_uses_an_endpoint_up(void **state)
{
    (void)state;
    struct retry_conf c = {.max_attempts = 5, .max_attempts_per_endpoint = 2};
    static const bool at_once[OUTCOME__COUNT] = {[OUTCOME_AUTH] = true, [OUTCOME_PERMANENT] = true};
    for (int cls = OUTCOME_TRANSIENT; cls < OUTCOME__COUNT; cls++) {
        struct verdict v = {.cls = (enum outcome)cls};
        assert_int_equal(retry_uses_up(&c, &v, NET_NONE, 1), at_once[cls]);
        assert_true(retry_uses_up(&c, &v, NET_NONE, 2));
        assert_true(retry_uses_up(&c, &v, NET_FIRST_BYTE_TIMEOUT, 1));
        assert_true(retry_uses_up(&c, &v, NET_SILENT, 1));
        assert_true(retry_uses_up(&c, &v, NET_IDLE_TIMEOUT, 1));
    }
}

static void jitter_stays_within_a_quarter(void **state)
{
    (void)state;
    struct retry_conf c = {.max_attempts = 5, .max_attempts_per_endpoint = 2};
    struct rnd rnd = {{1, 9}};
    int64_t least = INT64_MAX, most = 0;
    for (int i = 0; i < 20000; i++) {
        c.transient_delay_ms = i % 1000;
        struct verdict v = {.cls = OUTCOME_TRANSIENT, .overloaded = i % 2};
        struct retry_in in = {
            .v = &v, .repeatable = true, .begun = 1, .attempts_here = 1, .rnd = rnd_next(&rnd)};
        struct retry_out out;
        retry_next(&c, &in, &out);
        assert_int_equal(out.action, RETRY_SAME);
        int64_t d = i % 2 && i % 1000 < 750 ? 750 : i % 1000;
        assert_true(out.delay_ms >= 0 && out.delay_ms >= d - d / 4 - 1);
        assert_true(out.delay_ms <= d + d / 4 + 1);
        if (d == 750) {
            least = out.delay_ms < least ? out.delay_ms : least;
            most = out.delay_ms > most ? out.delay_ms : most;
        }
    }
    /* And takes all of it: a crowd comes back apart. */
    assert_true(least < 750 - 150 && most > 750 + 150);
}

/* ---- whole requests, at random, against what must never happen */

struct place {
    uint32_t attempts;
    bool tried, used_up, circuit;
};

static struct sel_others others_of(const struct place *places, int n, int at)
{
    struct sel_others o = {.cool_ms = -1};
    for (int i = 0; i < n; i++) {
        if (i == at || places[i].used_up)
            continue;
        if (places[i].tried)
            o.again++;
        else if (places[i].circuit)
            o.circuit++;
        else
            o.untried++;
    }
    return o;
}

static int next_place(const struct place *places, int n)
{
    int again = -1, circuit = -1;
    for (int i = 0; i < n; i++) {
        if (places[i].used_up)
            continue;
        if (places[i].tried)
            again = i;
        else if (places[i].circuit)
            circuit = i;
        else
            return i;
    }
    return again >= 0 ? again : circuit;
}

static void a_request_always_ends(void **state)
{
    (void)state;
    struct rnd rnd = {{2, 3}};
    for (int round = 0; round < 50000; round++) {
        struct retry_conf c = {.max_attempts = 1 + (uint32_t)(rnd_next(&rnd) % 8),
                               .max_attempts_per_endpoint = 1 + (uint32_t)(rnd_next(&rnd) % 3),
                               .transient_delay_ms = 200};
        struct place places[6] = {0};
        int n = 1 + (int)(rnd_next(&rnd) % 6), at = 0;
        for (int i = 1; i < n; i++)
            places[i].circuit = rnd_next(&rnd) % 4 == 0;
        uint32_t attempts = 0, refusals = 0, stale = 0, unsent = 0;
        enum retry_opinion opinion = RETRY_OPINION_NONE;
        for (;;) {
            struct verdict v = {.cls = (enum outcome)(1 + rnd_next(&rnd) % (OUTCOME__COUNT - 1)),
                                .fault = FAULT_ENDPOINT};
            struct retry_in in = {.v = &v, .repeatable = true, .opinion = opinion};
            if (v.cls == OUTCOME_TRANSIENT && rnd_next(&rnd) % 2)
                in.net = (enum net_fault)(NET_REFUSED + rnd_next(&rnd) % 3);
            if (stale < 3 && rnd_next(&rnd) % 8 == 0) {
                in.net = NET_RESET;
                in.reused = true;
                v.cls = OUTCOME_TRANSIENT;
            }
            bool refused = v.cls == OUTCOME_PERMANENT;
            in.begun = attempts + 1;
            in.unsent = unsent;
            in.attempts_here = places[at].attempts + 1;
            places[at].tried = true;
            places[at].used_up = retry_uses_up(&c, &v, in.net, in.attempts_here);
            in.others = others_of(places, n, at);
            struct retry_out out;
            retry_next(&c, &in, &out);
            refusals += refused;
            assert_true(!refused || !out.charge);
            assert_true(refusals <= 2);
            if (out.uncounted) {
                stale++;
                places[at].used_up = false;
                continue;
            }
            attempts++;
            places[at].attempts++;
            unsent += out.unsent;
            assert_true(attempts - unsent <= c.max_attempts);
            assert_true(unsent <= (uint32_t)n * c.max_attempts_per_endpoint);
            assert_true(places[at].attempts <= c.max_attempts_per_endpoint);
            if (out.action == RETRY_GIVE_UP) {
                assert_true((out.reply == RETRY_REPLY_FIRST) == (opinion == RETRY_OPINION_OPEN));
                break;
            }
            if (out.action == RETRY_SECOND_OPINION) {
                assert_int_equal(opinion, RETRY_OPINION_NONE);
                opinion = RETRY_OPINION_OPEN;
            }
            if (out.action != RETRY_SAME) {
                int next = next_place(places, n);
                assert_true(next != -1); /* what retry sends on, select can place */
                assert_true(opinion == RETRY_OPINION_NONE || !places[next].circuit);
                at = next;
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases),
        cmocka_unit_test(what_may_be_repeated),
        cmocka_unit_test(what_uses_an_endpoint_up),
        cmocka_unit_test(jitter_stays_within_a_quarter),
        cmocka_unit_test(a_request_always_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
