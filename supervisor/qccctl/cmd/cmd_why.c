/* cmd_why: all attempts and choices of one request. */
#include "common/policy/classify/classify_meaning.h"
#include "supervisor/qccctl/cmd/cmd.h"
#include "supervisor/qccctl/print/human.h"

#include <stdio.h>
#include <string.h>

static enum tint tint_of_status(int64_t status)
{
    return status == 0 ? TINT_DIM : status < 400 ? TINT_GOOD : status < 500 ? TINT_WARN : TINT_BAD;
}

static enum tint tint_of_class(struct str cls)
{
    if (str_eq(cls, STR("ok")))
        return TINT_GOOD;
    return str_eq(cls, STR("rate_limit")) || str_eq(cls, STR("permanent")) ? TINT_WARN : TINT_BAD;
}

static void put_at(struct table *t, const json_t *o)
{
    struct buf *b = table_cell(t, TINT_DIM);
    (void)!buf_str(b, STR("+"));
    human_ms(b, doc_int_of(o, "at_ms"));
}

/* Adds a row for the choice, and one for each endpoint that was passed over. */
static void put_choice(struct table *t, const json_t *x)
{
    const json_t *skip;
    size_t i;
    struct buf *b;
    bool named = doc_has(x, "endpoint"), repeat = doc_flag_of(x, "repeat");
    struct str result = doc_text_of(x, "result"), bound = doc_text_of(x, "conversation");
    int64_t times = doc_int_of(x, "times"), others = doc_int_of(x, "others");
    put_at(t, x);
    if (str_eq(result, STR("chosen")))
        table_text(t, TINT_GOOD, repeat ? "once more" : "chosen");
    else
        table_text(t, TINT_WARN, named ? "asks for" : "none");
    table_foreign(t, TINT_BOLD, doc_text_of(x, "endpoint"));
    b = table_cell(t, TINT_NONE);
    const char *sep = "";
#define SAY(...)                                                                                   \
    do {                                                                                           \
        (void)!buf_printf(b, "%s", sep);                                                           \
        (void)!buf_printf(b, __VA_ARGS__);                                                         \
        sep = ", ";                                                                                \
    } while (0)
    if (!str_eq(result, STR("chosen")))
        SAY(STR_FMT, STR_ARG(result));
    if (times > 1)
        SAY("looked at %lld times", (long long)times);
    if (doc_flag_of(x, "trial"))
        SAY("it is the trial of its breaker");
    if (doc_flag_of(x, "second_opinion"))
        SAY("for a second opinion");
    if (doc_flag_of(x, "new_connection"))
        SAY("on a new connection: the pooled one had been closed");
    if (doc_flag_of(x, "learnt"))
        SAY("in another form, as its refusal taught");
    if (bound.n)
        SAY("conversation " STR_FMT, STR_ARG(bound));
#undef SAY
    json_array_foreach(doc_list_of(x, "skipped"), i, skip)
    {
        table_text(t, TINT_NONE, "");
        table_text(t, TINT_DIM, "skipped");
        table_foreign(t, TINT_NONE, doc_text_of(skip, "endpoint"));
        table_foreign(t, TINT_DIM, doc_text_of(skip, "reason"));
    }
    if (others && !repeat) {
        table_text(t, TINT_NONE, "");
        table_text(t, TINT_DIM, "skipped");
        (void)!buf_printf(table_cell(t, TINT_DIM), "%lld more", (long long)others);
        table_text(t, TINT_NONE, "");
    }
}

static void put_attempt(struct table *t, const json_t *a)
{
    struct str cls = doc_text_of(a, "class"), reason = doc_text_of(a, "reason");
    put_at(t, a);
    table_text(t, TINT_INFO, "attempt");
    table_foreign(t, TINT_BOLD, doc_text_of(a, "endpoint"));
    struct buf *b = table_cell(t, tint_of_class(cls));
    human_text(b, cls);
    if (doc_has(a, "status"))
        (void)!buf_printf(b, ", status %lld", (long long)doc_int_of(a, "status"));
    if (reason.n) {
        (void)!buf_str(b, STR(", "));
        human_text(b, reason);
    }
    if (!str_eq(cls, STR("ok")))
        (void)!buf_printf(b, ", fault " STR_FMT, STR_ARG(doc_text_of(a, "fault")));
    struct str scope = doc_text_of(a, "scope"); /* a stored trail has none */
    if (scope.n && !str_eq(scope, STR("none")))
        (void)!buf_printf(b, ", scope " STR_FMT, STR_ARG(scope));
    if (doc_has(a, "retry_after_ms")) {
        (void)!buf_str(b, STR(", retry after "));
        human_ms(b, doc_int_of(a, "retry_after_ms"));
    }
    (void)!buf_str(b, STR(", took "));
    human_ms(b, doc_int_of(a, "ms"));
    const char *meaning = str_eq(cls, STR("ok")) ? NULL : classify_meaning(reason);
    if (meaning) {
        table_text(t, TINT_NONE, "");
        table_text(t, TINT_DIM, "means");
        table_foreign(t, TINT_NONE, doc_text_of(a, "endpoint"));
        table_text(t, TINT_NONE, meaning);
    }
    if (!doc_has(a, "said"))
        return;
    table_text(t, TINT_NONE, "");
    table_text(t, TINT_DIM, "says");
    table_foreign(t, TINT_NONE, doc_text_of(a, "endpoint"));
    table_foreign(t, TINT_NONE, doc_text_of(a, "said"));
}

/* Prints the model that was asked for, and others that the endpoint was asked for or that
 * served. */
static void why_model(struct cmd *c, const json_t *r)
{
    struct str model = doc_text_of(r, "model"), sent = doc_text_of(r, "sent");
    struct str served = doc_text_of(r, "served");
    if (!model.n)
        return;
    cmd_put(c, ", model ");
    cmd_foreign(c, model);
    if (sent.n && !str_eq(sent, model)) {
        cmd_put(c, ", sent as ");
        cmd_foreign(c, sent);
    }
    if (served.n && !str_eq(served, sent)) {
        cmd_put(c, ", served by ");
        cmd_foreign(c, served);
        if (doc_flag_of(r, "model_differs"))
            cmd_tint(c, TINT_WARN, " (another model)");
    }
}

/* What it cost by list prices, or why that is not known. */
static void why_cost(struct cmd *c, const json_t *cost)
{
    const json_t *reason;
    size_t i;
    if (!json_is_object(cost))
        return;
    if (doc_has(cost, "usd"))
        cmd_put(c, ", $%.6f", doc_real_of(cost, "usd"));
    json_array_foreach(doc_list_of(cost, "missing"), i, reason)
    {
        cmd_put(c, i ? "; " : ", cost unknown: ");
        cmd_foreign(c, str_c(json_string_value(reason)));
    }
}

/* Prints what the reply used, and what its price depends on besides. */
static void why_usage(struct cmd *c, const json_t *r)
{
    static const struct {
        const char *key, *text;
    } tokens[] = {{"input", "input"},
                  {"output", "output"},
                  {"cache_read", "cache read"},
                  {"cache_write", "cache write"}},
      words[] = {{"service_tier", "tier"}, {"speed", "speed"}, {"inference_geo", "geography"}};
    const json_t *tok = json_object_get(r, "tokens");
    for (size_t i = 0; i < COUNT_OF(tokens); i++)
        if (doc_has(tok, tokens[i].key)) {
            cmd_put(c, ", ");
            human_count(&c->out, doc_int_of(tok, tokens[i].key));
            cmd_put(c, " %s tokens", tokens[i].text);
        }
    if (doc_int_of(tok, "write_1h")) {
        cmd_put(c, " (");
        human_count(&c->out, doc_int_of(tok, "write_1h"));
        cmd_put(c, " for 1 hour)");
    }
    int64_t web = doc_int_of(r, "web_searches");
    if (web)
        cmd_put(c, ", %lld web search%s", (long long)web, web == 1 ? "" : "es");
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (doc_has(r, words[i].key)) {
            cmd_put(c, ", %s ", words[i].text);
            cmd_foreign(c, doc_text_of(r, words[i].key));
        }
    why_cost(c, json_object_get(r, "cost"));
}

static void why_head(struct cmd *c, const json_t *r)
{
    int64_t status = doc_int_of(r, "status");
    cmd_tint(c, TINT_BOLD, "request " STR_FMT, STR_ARG(doc_text_of(r, "id")));
    cmd_put(c, " at " STR_FMT "%s\n", STR_ARG(doc_text_of(r, "time")),
            doc_has(r, "from") ? ", from the history" : "");
    if (doc_has(r, "method")) {
        cmd_foreign(c, doc_text_of(r, "method"));
        cmd_put(c, " ");
    }
    cmd_foreign(c, doc_text_of(r, "path"));
    why_model(c, r);
    if (doc_has(r, "client")) {
        cmd_put(c, ", client ");
        cmd_foreign(c, doc_text_of(r, "client"));
    }
    cmd_put(c, "%s\n", doc_flag_of(r, "stream") ? ", stream" : "");
    if (status)
        cmd_tint(c, tint_of_status(status), "%lld", (long long)status);
    else
        cmd_put(c, "no reply");
    if (doc_has(r, "endpoint")) {
        cmd_put(c, " from ");
        cmd_foreign(c, doc_text_of(r, "endpoint"));
        if (str_eq(doc_text_of(r, "protocol"), STR("openai")))
            cmd_put(c, " (openai)");
    } else if (status) {
        cmd_put(c, " from QCC itself");
    }
    cmd_put(c, " after ");
    human_ms(&c->out, doc_int_of(r, "total_ms"));
    if (doc_has(r, "first_byte_ms")) {
        cmd_put(c, " (first byte ");
        human_ms(&c->out, doc_int_of(r, "first_byte_ms"));
        cmd_put(c, ")");
    }
    cmd_put(c, ", ");
    human_bytes(&c->out, doc_int_of(r, "bytes_in"));
    cmd_put(c, " in, ");
    human_bytes(&c->out, doc_int_of(r, "bytes_out"));
    cmd_put(c, " out");
    why_usage(c, r);
    cmd_put(c, "\nend: ");
    cmd_foreign(c, doc_text_of(r, "end"));
    cmd_put(c, "\n");
}

/* Prints each choice, followed by its attempt if it led to one. A pooled connection that had been
 * closed is no attempt: the next choice names it. */
static void why_trail(struct cmd *c, const json_t *r)
{
    static const struct column columns[] = {{"AT", true, false, 0},
                                            {"STEP", false, false, 0},
                                            {"ENDPOINT", false, true, 0},
                                            {"WHAT", false, true, 0}};
    const json_t *choices = doc_list_of(r, "choices"), *attempts = doc_list_of(r, "attempts");
    size_t n = json_array_size(choices), nattempts = json_array_size(attempts), k = 0;
    struct table t;
    table_init(&t, columns, COUNT_OF(columns));
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_array_get(choices, i), *next = json_array_get(choices, i + 1);
        put_choice(&t, x);
        if (k < nattempts && str_eq(doc_text_of(x, "result"), STR("chosen")) &&
            !doc_flag_of(next, "new_connection") && !doc_flag_of(next, "learnt"))
            put_attempt(&t, json_array_get(attempts, k++));
    }
    while (k < nattempts)
        put_attempt(&t, json_array_get(attempts, k++));
    if (t.ncells) {
        cmd_put(c, "\n");
        table_print(&t, c->width, c->color, &c->out);
    } else if (doc_has(r, "trail") && doc_int_of(r, "attempts_begun") > 0) {
        cmd_put(c, "\nno trail was kept: the first attempt went right\n");
    } else {
        cmd_put(c, "\nno endpoint was asked\n");
    }
    if (doc_int_of(r, "choices_missed"))
        cmd_put(c, "%lld more choices were not recorded\n",
                (long long)doc_int_of(r, "choices_missed"));
    table_fini(&t);
}

int cmd_why(struct cmd *c, int argc, char **argv)
{
    json_t *doc;
    if (argc != 2)
        return cmd_usage(c, argc < 2
                                ? "name a request: its x-qcc-request-id, or the beginning of it"
                                : "one request at a time");
    int code = cmd_ask(c, "why", argv[1], &doc);
    if (code != CTL_DONE)
        return code;
    if (c->json) {
        cmd_json(c, doc);
    } else {
        why_head(c, doc);
        why_trail(c, doc);
    }
    json_decref(doc);
    return CTL_DONE;
}
