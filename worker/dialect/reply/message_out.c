#include "worker/dialect/reply/message_out.h"

#include "worker/json/json_piece.h"
#include "worker/json/json_find.h"

#include <stdio.h>

static void put(struct message_out *m, struct str s)
{
    if (!buf_str(m->out, s))
        m->full = true;
}

static void put_u64(struct message_out *m, struct str before, uint64_t v)
{
    put(m, before);
    if (!buf_u64(m->out, v))
        m->full = true;
}

/* Writes decoded text as a string of JSON. */
static void put_string(struct message_out *m, struct str text)
{
    put(m, STR("\""));
    if (!json_escape(text, m->out))
        m->full = true;
    put(m, STR("\""));
}

static void put_usage(struct message_out *m, const struct message_usage *u)
{
    put_u64(m, STR("\"usage\":{\"input_tokens\":"), u->input);
    put_u64(m, STR(",\"cache_creation_input_tokens\":"), u->cache_write);
    put_u64(m, STR(",\"cache_read_input_tokens\":"), u->cache_read);
    put_u64(m, STR(",\"output_tokens\":"), u->output);
    put(m, STR("}"));
}

/* An event is complete. */
static void event_over(struct message_out *m)
{
    if (!m->full)
        m->good = m->out->len;
}

void message_out_to(struct message_out *m, struct buf *out)
{
    m->out = out;
    m->good = out->len;
}

void message_out_undo(struct message_out *m)
{
    if (m->full)
        buf_cut(m->out, m->good);
    m->full = false;
}

/* The message up to its content. */
static void start(struct message_out *m)
{
    m->started = true;
    if (m->stream)
        put(m, STR("event: message_start\ndata: {\"type\":\"message_start\",\"message\":"));
    put(m, STR("{\"id\":"));
    put_string(m, str_make(m->id, sizeof m->id));
    put(m, STR(",\"type\":\"message\",\"role\":\"assistant\",\"model\":"));
    put_string(m, m->model);
    put(m, STR(",\"content\":["));
    if (!m->stream)
        return;
    put(m, STR("],\"stop_reason\":null,\"stop_sequence\":null,"));
    put_usage(m, &(struct message_usage){.input = m->input_estimate, .output = 1});
    put(m, STR("}}\n\n"));
}

static void put_block(struct message_out *m, enum message_block kind, struct str id,
                      struct str name)
{
    switch (kind) {
    case MESSAGE_NO_BLOCK:
        break;
    case MESSAGE_TEXT:
        put(m, STR("{\"type\":\"text\",\"text\":\""));
        break;
    case MESSAGE_THINKING:
        put(m, STR("{\"type\":\"thinking\",\"thinking\":\""));
        break;
    case MESSAGE_TOOL:
        put(m, STR("{\"type\":\"tool_use\",\"id\":"));
        put_string(m, id);
        put(m, STR(",\"name\":"));
        put_string(m, name);
        put(m, STR(",\"input\":"));
        break;
    }
    if (!m->stream)
        return;
    static const struct str rest[] = {[MESSAGE_NO_BLOCK] = STR_LIT(""),
                                      [MESSAGE_TEXT] = STR_LIT("\"}"),
                                      [MESSAGE_THINKING] = STR_LIT("\",\"signature\":\"\"}"),
                                      [MESSAGE_TOOL] = STR_LIT("{}}")};
    put(m, rest[kind]);
}

void message_out_open(struct message_out *m, enum message_block kind, struct str id,
                      struct str name)
{
    static const char *const delta[] = {
        [MESSAGE_NO_BLOCK] = "",
        [MESSAGE_TEXT] = "text_delta\",\"text",
        [MESSAGE_THINKING] = "thinking_delta\",\"thinking",
        [MESSAGE_TOOL] = "input_json_delta\",\"partial_json",
    };
    if (!m->started)
        start(m);
    m->open = (uint8_t)kind;
    m->tools += kind == MESSAGE_TOOL;
    if (!m->stream) {
        m->block_at = m->out->len;
        put(m, m->index ? STR(",") : STR(""));
        put_block(m, kind, id, name);
        return;
    }
    put_u64(m,
            STR("event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":"),
            m->index);
    put(m, STR(",\"content_block\":"));
    put_block(m, kind, id, name);
    put(m, STR("}\n\n"));
    event_over(m);
    m->prefix_n = (uint8_t)snprintf(m->prefix, sizeof m->prefix,
                                    "event: content_block_delta\ndata: {\"type\":"
                                    "\"content_block_delta\",\"index\":%u,\"delta\":"
                                    "{\"type\":\"%s\":\"",
                                    m->index, delta[kind]);
}

/* Begins a delta. Returns where it begins. */
static size_t begin_delta(struct message_out *m)
{
    size_t mark = m->out->len;
    if (m->stream)
        put(m, str_make(m->prefix, m->prefix_n));
    return mark;
}

/* Ends the delta that begins at `mark`; one without anything in it is taken back. */
static void end_delta(struct message_out *m, size_t mark)
{
    if (!m->stream || m->full)
        return;
    if (m->out->len == mark + m->prefix_n)
        buf_cut(m->out, mark);
    else
        put(m, STR("\"}}\n\n"));
    event_over(m);
}

void message_out_text(struct message_out *m, struct str raw)
{
    size_t mark = begin_delta(m);
    if (!json_piece_clean(raw, &m->half, m->out))
        m->full = true;
    end_delta(m, mark);
}

size_t message_out_begin_args(struct message_out *m)
{
    return begin_delta(m);
}

void message_out_end_args(struct message_out *m, size_t mark)
{
    end_delta(m, mark);
}

/* What comes between a block's content and its end. */
static void finish_block(struct message_out *m)
{
    if (m->half) {
        size_t mark = begin_delta(m);
        if (!json_piece_end(&m->half, m->out))
            m->full = true;
        end_delta(m, mark);
    }
    struct str signature = str_make(m->signature, m->signature_n);
    if (!m->stream) {
        if (m->open == MESSAGE_THINKING) {
            put(m, STR("\",\"signature\":\""));
            put(m, signature);
        }
        put(m, m->open == MESSAGE_TOOL ? STR("}") : STR("\"}"));
        return;
    }
    if (m->open == MESSAGE_THINKING) {
        put_u64(
            m,
            STR("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":"),
            m->index);
        put(m, STR(",\"delta\":{\"type\":\"signature_delta\",\"signature\":\""));
        put(m, signature);
        put(m, STR("\"}}\n\n"));
    }
    put_u64(m, STR("event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":"),
            m->index);
    put(m, STR("}\n\n"));
    event_over(m);
}

void message_out_close(struct message_out *m)
{
    if (m->open == MESSAGE_NO_BLOCK)
        return;
    finish_block(m);
    m->open = MESSAGE_NO_BLOCK;
    m->index++;
}

void message_out_drop(struct message_out *m)
{
    if (m->stream || m->open == MESSAGE_NO_BLOCK) {
        message_out_close(m);
        return;
    }
    m->tools -= m->open == MESSAGE_TOOL;
    m->open = MESSAGE_NO_BLOCK;
    m->half = 0;
    buf_cut(m->out, m->block_at);
}

static void put_reason(struct message_out *m, struct str reason, struct str stop_sequence)
{
    put(m, STR("\"stop_reason\":\""));
    put(m, reason);
    put(m, STR("\",\"stop_sequence\":"));
    if (stop_sequence.p)
        put_string(m, stop_sequence);
    else
        put(m, STR("null"));
}

void message_out_end(struct message_out *m, struct str reason, struct str stop_sequence,
                     const struct message_usage *u)
{
    if (!m->started)
        start(m);
    if (!m->stream) {
        put(m, STR("],"));
        put_reason(m, reason, stop_sequence);
        put(m, STR(","));
        put_usage(m, u);
        put(m, STR("}"));
        return;
    }
    put(m, STR("event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{"));
    put_reason(m, reason, stop_sequence);
    put(m, STR("},"));
    put_usage(m, u);
    put(m, STR("}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
    event_over(m);
}

void message_out_error(struct message_out *m, struct str message)
{
    put(m, STR("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\","
               "\"message\":"));
    put_string(m, message);
    put(m, STR("}}\n\n"));
    event_over(m);
}
