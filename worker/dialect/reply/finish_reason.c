#include "worker/dialect/reply/finish_reason.h"

#include "worker/json/json_piece.h"

enum { SEQUENCE_MAX = 4096 };

static const struct {
    const char *word;
    enum finish_kind kind;
} words[] = {
    {"length", FINISH_LENGTH},
    {"max_tokens", FINISH_LENGTH},
    {"content_filter", FINISH_FILTER},
    {"sensitive", FINISH_FILTER}, /* GLM */
    {"model_context_window_exceeded", FINISH_WINDOW},
    {"insufficient_system_resource", FINISH_FAILED}, /* DeepSeek */
    {"network_error", FINISH_FAILED},                /* GLM */
    {"error", FINISH_FAILED},                        /* OpenRouter */
};

/* The sequence of the request that stopped the answer; NULL: none of them. */
static const struct str *stopped_by(const struct json_hit *stop, const struct dialect_context *ctx)
{
    if (stop->kind != JSON_IS_STRING || !ctx->nstops)
        return NULL;
    struct buf text;
    uint16_t half = 0;
    const struct str *found = NULL;
    buf_init(&text, SEQUENCE_MAX);
    bool ok = json_piece_decode(stop->raw, &half, &text) && json_piece_end(&half, &text);
    for (size_t i = 0; ok && !found && i < ctx->nstops; i++)
        if (str_eq(ctx->stops[i], buf_view(&text)))
            found = &ctx->stops[i];
    buf_free(&text);
    return found;
}

void finish_take(struct finish *f, const struct json_hit *reason, const struct json_hit *stop,
                 const struct dialect_context *ctx)
{
    if (reason->kind != JSON_IS_STRING || !reason->raw.n || str_eq(reason->raw, STR("null")))
        return;
    f->come = true;
    f->kind = FINISH_STOP;
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (str_eq_nocase(reason->raw, str_c(words[i].word))) {
            f->kind = words[i].kind;
            f->word = words[i].word;
        }
    }
    f->sequence = stopped_by(stop, ctx);
}

struct str finish_stop_reason(const struct finish *f, bool tools, bool refused,
                              struct str *sequence)
{
    *sequence = (struct str){0};
    if (refused || f->kind == FINISH_FILTER)
        return STR("refusal");
    if (f->kind == FINISH_LENGTH)
        return STR("max_tokens");
    if (f->kind == FINISH_WINDOW)
        return STR("model_context_window_exceeded");
    if (tools)
        return STR("tool_use");
    if (f->sequence) {
        *sequence = *f->sequence;
        return STR("stop_sequence");
    }
    return STR("end_turn");
}
