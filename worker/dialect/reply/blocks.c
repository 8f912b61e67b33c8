#include "worker/dialect/reply/blocks.h"

#include "common/base/mem.h"
#include "worker/json/json_piece.h"

enum { NAME_LIMIT = 128, IDLE = 4096, FIRST_WAITING = 4 };

void blocks_init(struct blocks *b, const struct dialect_context *ctx, struct message_out *m,
                 uint64_t random)
{
    *b = (struct blocks){.ctx = ctx, .m = m, .ids = {.random = random}};
    buf_init(&b->blank, BLOCKS_BLANK_MAX);
    buf_init(&b->scratch, UINT32_MAX);
}

void blocks_free(struct blocks *b)
{
    for (uint32_t i = b->wait_from; i < b->wait_n; i++)
        buf_free(&b->wait[i].text);
    mem_free(b->wait);
    b->wait = NULL;
    b->wait_from = b->wait_n = b->wait_size = 0;
    call_table_free(&b->calls);
    tool_ids_free(&b->ids);
    buf_free(&b->blank);
    buf_free(&b->scratch);
}

static enum blocks_result written(const struct blocks *b)
{
    return b->m->full ? BLOCKS_FULL : BLOCKS_OK;
}

static bool any_waits(const struct blocks *b)
{
    return b->wait_from < b->wait_n;
}

/* ---- what waits */

/* Adds a block to those that wait. NULL: over the bound, or out of memory. */
static struct waiting *wait_add(struct blocks *b, enum message_block kind, uint32_t call)
{
    if (b->wait_n == b->wait_size) {
        uint32_t size = b->wait_size ? 2 * b->wait_size : FIRST_WAITING;
        struct waiting *v = mem_try_realloc(b->wait, size * sizeof *v);
        if (!v)
            return NULL;
        b->wait = v;
        b->wait_size = size;
    }
    b->wait_bytes += sizeof(struct waiting);
    if (b->wait_bytes > BLOCKS_WAIT_MAX)
        return NULL;
    struct waiting *w = &b->wait[b->wait_n++];
    *w = (struct waiting){.kind = (uint8_t)kind, .call = call};
    buf_init(&w->text, BLOCKS_WAIT_MAX);
    return w;
}

/* Adds bytes that wait to a buffer. */
static bool wait_keep(struct blocks *b, struct buf *to, struct str s)
{
    if (s.n > BLOCKS_WAIT_MAX - b->wait_bytes || !buf_str(to, s))
        return false;
    b->wait_bytes += s.n;
    return true;
}

/* ---- the present call */

/* The client's name of the call: of one that is none of its tools what Anthropic takes in a
 * history. */
static struct str client_name(const struct blocks *b, const struct call *c,
                              char room[static NAME_LIMIT])
{
    struct str name = call_name(c);
    struct str known = tool_name_client(b->ctx->names, b->ctx->nnames, name);
    if (known.p != name.p)
        return known;
    name.n = min_size(name.n, NAME_LIMIT);
    for (size_t i = 0; i < name.n; i++) {
        char ch = name.p[i], low = ascii_lower(ch);
        bool fits = ascii_digit(ch) || (low >= 'a' && low <= 'z') || ch == '_' || ch == '-';
        room[i] = (char)(fits ? ch : '_');
    }
    return str_make(room, name.n);
}

/* Writes decoded arguments of the present call. */
static enum blocks_result write_args(struct blocks *b, struct str bytes)
{
    size_t mark = message_out_begin_args(b->m);
    if (!object_text_feed(&b->object, bytes, b->m->out))
        b->m->full = true;
    message_out_end_args(b->m, mark);
    if (b->m->full)
        return BLOCKS_FULL;
    return object_text_state(&b->object) == OBJECT_BAD ? BLOCKS_BAD_ARGS : BLOCKS_OK;
}

/* Opens the present call's block once it has a name and an id or arguments (or `now`), and writes
 * what has come of its arguments. */
static enum blocks_result start_call(struct blocks *b, bool now)
{
    struct call *c = &b->calls.v[b->call];
    if (c->started || !c->name_hash || !(c->id_hash || c->args || now))
        return BLOCKS_OK;
    char id[TOOL_ID_GIVEN_MAX], name[NAME_LIMIT];
    struct str given = tool_ids_give(&b->ids, b->ctx, call_id(c), id);
    if (!given.n)
        return BLOCKS_FULL;
    c->started = true;
    object_text_init(&b->object, b->m->stream);
    message_out_open(b->m, MESSAGE_TOOL, given, client_name(b, c, name));
    enum blocks_result r = write_args(b, buf_view(&c->kept));
    b->wait_bytes -= c->kept.len;
    buf_free(&c->kept);
    buf_free(&c->label);
    c->name_n = c->id_n = 0;
    return r;
}

/* Ends the present call's block. cut: it may be unfinished. */
static enum blocks_result end_call(struct blocks *b, bool cut)
{
    struct call *c = &b->calls.v[b->call];
    /* Of a call that was cut off before its arguments nothing is known. */
    if (!c->started && cut && !(c->name_hash && c->scan.done)) {
        c->closed = true;
        b->kind = MESSAGE_NO_BLOCK;
        return BLOCKS_OK;
    }
    enum blocks_result r = start_call(b, true);
    if (r != BLOCKS_OK)
        return r;
    if (!c->started)
        return BLOCKS_NO_NAME;
    enum object_state s = object_text_state(&b->object);
    if (s == OBJECT_BAD)
        return BLOCKS_BAD_ARGS;
    if (s == OBJECT_OPEN && !cut)
        return BLOCKS_UNFINISHED;
    if (s == OBJECT_OPEN || (s == OBJECT_NONE && cut)) {
        message_out_drop(b->m);
    } else {
        if (s != OBJECT_COMPLETE) {
            size_t mark = message_out_begin_args(b->m);
            if (!buf_str(b->m->out, STR("{}")))
                b->m->full = true;
            message_out_end_args(b->m, mark);
        }
        message_out_close(b->m);
    }
    c->closed = true;
    b->kind = MESSAGE_NO_BLOCK;
    return written(b);
}

/* Whether the present call's object has come. */
static bool call_done(const struct blocks *b)
{
    const struct call *c = &b->calls.v[b->call];
    return c->started && c->scan.done;
}

/* Ends the present block. */
static enum blocks_result end_present(struct blocks *b, bool cut)
{
    if (b->kind == MESSAGE_TOOL)
        return end_call(b, cut);
    message_out_close(b->m);
    b->kind = MESSAGE_NO_BLOCK;
    return written(b);
}

/* Begins the next block that waits. */
static enum blocks_result begin_next(struct blocks *b)
{
    struct waiting w = b->wait[b->wait_from++];
    if (b->wait_from == b->wait_n)
        b->wait_from = b->wait_n = 0;
    b->wait_bytes -= sizeof w + w.text.len;
    b->kind = w.kind;
    if (w.kind == MESSAGE_TOOL) {
        b->call = w.call;
        return start_call(b, false);
    }
    message_out_open(b->m, (enum message_block)w.kind, (struct str){0}, (struct str){0});
    message_out_text(b->m, buf_view(&w.text));
    buf_free(&w.text);
    return written(b);
}

/* Goes on as far as the present block allows. */
static enum blocks_result advance(struct blocks *b)
{
    enum blocks_result r = BLOCKS_OK;
    while (r == BLOCKS_OK && any_waits(b) && (b->kind != MESSAGE_TOOL || call_done(b))) {
        r = end_present(b, false);
        if (r == BLOCKS_OK)
            r = begin_next(b);
    }
    return r;
}

/* ---- texts */

/* Keeps white space that may begin a block, as far as there is room: nobody misses the rest. */
static void keep_blank(struct blocks *b, enum message_block kind, struct str raw)
{
    if (b->blank_kind != kind)
        buf_free(&b->blank);
    b->blank_kind = (uint8_t)kind;
    (void)!buf_str(&b->blank, raw);
}

/* Keeps text whose turn has not come. */
static enum blocks_result text_waits(struct blocks *b, enum message_block kind, struct str raw)
{
    struct waiting *w = any_waits(b) ? &b->wait[b->wait_n - 1] : NULL;
    if (!w || w->kind != kind) {
        if (!json_piece_visible(raw)) {
            keep_blank(b, kind, raw);
            return BLOCKS_OK;
        }
        w = wait_add(b, kind, 0);
        if (!w || (b->blank_kind == kind && !wait_keep(b, &w->text, buf_view(&b->blank))))
            return BLOCKS_FULL;
        buf_free(&b->blank);
    }
    return wait_keep(b, &w->text, raw) ? BLOCKS_OK : BLOCKS_FULL;
}

enum blocks_result blocks_text(struct blocks *b, enum message_block kind, struct str raw)
{
    if (LIKELY(b->kind == kind)) {
        message_out_text(b->m, raw);
        return written(b);
    }
    if (b->kind == MESSAGE_TOOL && (any_waits(b) || !call_done(b)))
        return text_waits(b, kind, raw);
    if (!json_piece_visible(raw)) {
        keep_blank(b, kind, raw);
        return BLOCKS_OK;
    }
    enum blocks_result r = end_present(b, false);
    if (r != BLOCKS_OK)
        return r;
    b->kind = (uint8_t)kind;
    message_out_open(b->m, kind, (struct str){0}, (struct str){0});
    if (b->blank.len && b->blank_kind == kind)
        message_out_text(b->m, buf_view(&b->blank));
    buf_free(&b->blank);
    message_out_text(b->m, raw);
    return written(b);
}

/* ---- calls */

/* The decoded arguments of a delta; an object is its source text. False: out of memory. */
static bool decode_args(struct blocks *b, struct call *c, const struct call_delta *d,
                        struct str *bytes)
{
    *bytes = STR("");
    if (d->args_empty)
        return true;
    if (d->args.kind != JSON_IS_STRING) {
        *bytes = d->args.raw;
        return true;
    }
    buf_drop(&b->scratch, b->scratch.len);
    if (!json_piece_decode(d->args.raw, &c->half, &b->scratch))
        return false;
    *bytes = buf_view(&b->scratch);
    return true;
}

/* Takes arguments of the call. */
static enum blocks_result take_args(struct blocks *b, uint32_t at, const struct call_delta *d)
{
    struct call *c = &b->calls.v[at];
    struct str bytes;
    if (!decode_args(b, c, d, &bytes))
        return BLOCKS_FULL;
    c->args |= str_trim(bytes).n > 0;
    bool done = c->scan.done && c->scan.content;
    if (!done)
        call_scan_feed(&c->scan, bytes);
    enum blocks_result r = BLOCKS_OK;
    if (b->kind == MESSAGE_TOOL && b->call == at && c->started)
        r = write_args(b, bytes);
    else if (!done && !wait_keep(b, &c->kept, bytes))
        r = BLOCKS_FULL;
    if (b->scratch.cap > IDLE)
        buf_free(&b->scratch);
    if (r == BLOCKS_OK && b->kind == MESSAGE_TOOL && b->call == at)
        r = start_call(b, false);
    return r;
}

enum blocks_result blocks_call(struct blocks *b, const struct call_delta *d)
{
    uint32_t at;
    enum call_found found = call_table_find(&b->calls, d, &at);
    if (found == CALL_NOTHING)
        return BLOCKS_OK;
    if (found == CALL_TOO_MANY)
        return BLOCKS_FULL;
    enum blocks_result r = BLOCKS_OK;
    if (found == CALL_NEW) {
        buf_free(&b->blank);
        if (!wait_add(b, MESSAGE_TOOL, at))
            return BLOCKS_FULL;
        r = advance(b);
    }
    if (r == BLOCKS_OK && !b->calls.v[at].closed)
        r = take_args(b, at, d);
    return r == BLOCKS_OK ? advance(b) : r;
}

/* ---- the end */

enum blocks_result blocks_end(struct blocks *b, bool cut)
{
    enum blocks_result r = BLOCKS_OK;
    for (;;) {
        r = end_present(b, cut);
        if (r != BLOCKS_OK || !any_waits(b))
            break;
        r = begin_next(b);
        if (r != BLOCKS_OK)
            break;
    }
    buf_free(&b->blank);
    return r;
}
