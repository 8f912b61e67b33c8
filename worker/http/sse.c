#include "worker/http/sse.h"

#include "worker/http/sse_kind.h"
#include "worker/json/json_find.h"

#include <stdio.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* States: where in a line the next byte is. */
enum {
    BOM_0, /* at the start of the stream: a byte order mark may come */
    BOM_1,
    BOM_2,
    START, /* at the start of a line */
    NAME,  /* in a line whose first bytes are in s->line and do not yet tell the field */
    VALUE, /* behind "data:", where one blank is skipped */
    DATA,  /* in data that is kept */
    SKIP   /* in the rest of a line that is ignored */
};

/* Bytes at the front of long data in which the API is looked for. */
enum { FRONT = 1024 };

/* Bytes of memory for data that stay allocated between events. */
enum { KEEP_IDLE = 4096 };

/* Data of the present event that is contiguous in the caller's bytes and need not be copied. */
struct piece {
    const char *p; /* NULL: none */
    size_t n;
};

void sse_init(struct sse *s)
{
    *s = (struct sse){.usage = SSE_USAGE_NONE};
    buf_init(&s->error_data, SSE_DATA_MAX);
    buf_init(&s->keep, SSE_DATA_MAX);
}

void sse_free(struct sse *s)
{
    buf_free(&s->error_data);
    buf_free(&s->keep);
}

/* ---- classification of events */

/* Whether the data of an event of that kind is read. */
static bool wants_data(uint8_t kind)
{
    return kind != SSE_EV_CONTENT && kind != SSE_EV_PING && kind != SSE_BLOCK_START &&
           kind != SSE_BLOCK_STOP;
}

/* Whether data that json_find refused, for it was cut, begins with an error object. */
static bool starts_with_error(struct str data)
{
    return str_starts(data, STR("{\"error\":{")) || str_starts(data, STR("{\"error\": {"));
}

static void take_reason(struct sse *s, const struct json_hit *hit)
{
    if (hit->kind == JSON_IS_STRING && hit->raw.n)
        s->end.reason = true;
}

/* Notes the API of the stream, which its first event tells. name: the type in its data. */
static void take_api(struct sse *s, struct str text,
                     const struct json_hit hit[static SSE_AT__COUNT], struct str name)
{
    if (s->first != SSE_EV_NONE)
        return;
    s->api = sse_api_of_members(hit);
    if (s->api == SSE_API_NONE && text.n >= SSE_DATA_MAX / 2 &&
        str_find(str_make(text.p, FRONT), STR("\"choices\":[")) >= 0)
        s->api = SSE_API_CHAT; /* so long that it was cut, as with an image */
    if (s->api == SSE_API_NONE)
        s->api = sse_api_of_name(name);
    if (s->api == SSE_API_NONE)
        s->api = (enum sse_api)s->named;
}

/* The kind of an event by its data, when its name gives none. Reads its usage, stop reason and
 * choices as well. */
static unsigned kind_of_data(struct sse *s, struct str data)
{
    struct str text = str_trim(data);
    if (!text.n)
        return SSE_EV_PING;
    if (str_eq(text, STR("[DONE]")))
        return SSE_EV_STOP;
    struct json_hit hit[SSE_AT__COUNT];
    if (!json_find(text, sse_members, hit, SSE_AT__COUNT) && starts_with_error(text))
        return SSE_EV_ERROR;
    if (sse_is_error(&hit[SSE_AT_ERROR]))
        return SSE_EV_ERROR;
    sse_members_usage(hit, &s->usage);
    take_reason(s, &hit[SSE_AT_REASON]);
    char room[SSE_NAME_ROOM];
    struct str name = sse_name_in(&hit[SSE_AT_TYPE], room);
    take_api(s, text, hit, name);
    unsigned kind = sse_kind_of_name(name);
    if (kind != SSE_EV_NONE)
        return kind;
    if (hit[SSE_AT_CHOICES].kind == JSON_IS_ARRAY)
        sse_end_choices(&s->end, hit[SSE_AT_CHOICES].raw);
    /* "choices": [] is the first event (Azure's filter results) or, with usage, the last one. */
    if (hit[SSE_AT_CHOICES].kind == JSON_IS_ARRAY &&
        !str_trim(str_make(hit[SSE_AT_CHOICES].raw.p + 1, hit[SSE_AT_CHOICES].raw.n - 2)).n)
        return hit[SSE_AT_USAGE].kind == JSON_IS_OBJECT ? SSE_EV_DELTA : SSE_EV_START;
    return SSE_EV_CONTENT;
}

static void read_named(struct sse *s, struct str data)
{
    struct json_hit hit[SSE_AT__COUNT];
    if (!json_find(data, sse_members, hit, SSE_AT__COUNT))
        return;
    sse_members_usage(hit, &s->usage);
    take_reason(s, &hit[SSE_AT_REASON]);
}

/* The kind of a complete event; reads its usage and error. */
static enum sse_kind judge(struct sse *s, struct str data)
{
    unsigned kind = s->kind;
    if (s->first == SSE_EV_NONE)
        s->api = (enum sse_api)s->named;
    if (kind == SSE_EV_NONE)
        kind = s->have_data ? kind_of_data(s, data) : SSE_EV_PING;
    else if (kind == SSE_EV_START || kind == SSE_EV_DELTA || kind == SSE_EV_STOP)
        read_named(s, data);
    if (kind == SSE_EV_ERROR && !s->error) {
        s->error = true;
        s->failed = !s->stopped;
        if (!buf_str(&s->error_data, data))
            buf_free(&s->error_data);
    }
    if (kind == SSE_EV_STOP)
        s->stopped = true;
    if (kind == SSE_BLOCK_START)
        s->end.blocks++;
    else if (kind == SSE_BLOCK_STOP && s->end.blocks)
        s->end.blocks--;
    return kind == SSE_BLOCK_START || kind == SSE_BLOCK_STOP ? SSE_EV_CONTENT : (enum sse_kind)kind;
}

/* ---- events */

static void forget(struct sse *s)
{
    if (s->keep.cap > KEEP_IDLE)
        buf_free(&s->keep);
    else
        buf_drop(&s->keep, s->keep.len);
    s->kind = SSE_EV_NONE;
    s->named = SSE_API_NONE;
    s->open = false;
    s->have_data = false;
}

/* Handles an empty line, which completes the event. Returns whether sse_feed must stop here. */
static bool dispatch(struct sse *s, const struct piece *data)
{
    if (!s->open)
        return false;
    bool had_error = s->error, stop = false;
    struct str d = data->p ? str_make(data->p, data->n) : buf_view(&s->keep);
    /* Comments, ids and unknown fields alone make no event. */
    if (s->kind != SSE_EV_NONE || s->have_data) {
        enum sse_kind kind = judge(s, d);
        s->events++;
        s->meant += kind != SSE_EV_PING;
        stop = s->error != had_error;
        if (kind == SSE_EV_CONTENT && s->first == SSE_EV_NONE && s->api == SSE_API_NONE) {
            forget(s); /* of no known API: what follows tells what the stream is */
            return stop;
        }
        if (kind != SSE_EV_PING && s->first == SSE_EV_NONE) {
            s->first = kind;
            stop = true;
        }
        if (!s->content &&
            (kind == SSE_EV_CONTENT || kind == SSE_EV_DELTA || kind == SSE_EV_STOP)) {
            s->content = true;
            stop = true;
        }
    }
    forget(s);
    return stop;
}

/* Copies bytes of data that must outlive the caller's buffer; bytes over SSE_DATA_MAX are
 * dropped. */
static void keep(struct sse *s, const char *p, size_t n)
{
    if (!buf_add(&s->keep, p, min_size(n, SSE_DATA_MAX - s->keep.len)))
        buf_free(&s->keep); /* out of memory: the event is classified without its data */
}

static void keep_piece(struct sse *s, struct piece *data)
{
    if (data->p)
        keep(s, data->p, data->n);
    data->p = NULL;
}

/* ---- lines */

/* First CR or LF in [p, end), or end. */
static const char *line_end(const char *p, const char *end)
{
#if defined(__SSE2__)
    const __m128i lf = _mm_set1_epi8('\n'), cr = _mm_set1_epi8('\r');
    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        int hit = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(v, lf), _mm_cmpeq_epi8(v, cr)));
        if (hit)
            return p + __builtin_ctz((unsigned)hit);
    }
#endif
    while (p < end && *p != '\n' && *p != '\r')
        p++;
    return p;
}

/* The value of a field line: what follows the colon, less one blank. */
static struct str value_of(struct str line, size_t name)
{
    size_t from = name + 1;
    if (line.n > from && line.p[from] == ' ')
        from++;
    return line.n > from ? str_make(line.p + from, line.n - from) : STR("");
}

/* The event's name: its kind and API. */
static void take_name(struct sse *s, struct str name)
{
    s->kind = (uint8_t)sse_kind_of_name(name);
    s->named = (uint8_t)sse_api_of_name(name);
}

/* Starts the data of another line, joined to earlier data with a LF. */
static void begin_data(struct sse *s, struct piece *data)
{
    if (s->have_data) {
        keep_piece(s, data);
        keep(s, "\n", 1);
    }
    s->have_data = true;
}

/* Handles a line that is contiguous in the caller's bytes. */
static void whole_line(struct sse *s, struct str line, struct piece *data)
{
    s->open = true;
    if (line.p[0] == 'd' && str_starts(line, STR("data")) && (line.n == 4 || line.p[4] == ':')) {
        if (!wants_data(s->kind)) {
            s->have_data = true;
            return;
        }
        bool alone = !s->have_data;
        begin_data(s, data);
        struct str value = value_of(line, 4);
        if (alone)
            *data = (struct piece){value.p, min_size(value.n, SSE_DATA_MAX)};
        else
            keep(s, value.p, value.n);
    } else if (line.p[0] == 'e' && str_starts(line, STR("event:"))) {
        take_name(s, value_of(line, 5));
    }
}

/* Handles the end of a line that came in several calls and is in s->line as a whole. */
static void gathered_line(struct sse *s, struct piece *data)
{
    struct piece own = {0};
    char line[sizeof s->line];
    memcpy(line, s->line, s->line_n);
    whole_line(s, str_make(line, s->line_n), s->have_data ? data : &own);
    keep_piece(s, &own);
}

/* Handles one more byte of a line whose first bytes are in s->line. */
static void name_byte(struct sse *s, char c, struct piece *data)
{
    s->open = true;
    if (s->line_n == sizeof s->line) {
        /* Longer than all known names: what is in s->line decides. */
        if (str_starts(str_make(s->line, s->line_n), STR("event:")))
            take_name(s, value_of(str_make(s->line, s->line_n), 5));
        s->state = SKIP;
        return;
    }
    s->line[s->line_n++] = c;
    struct str line = str_make(s->line, s->line_n);
    if (str_eq(line, STR("data:"))) {
        if (wants_data(s->kind)) {
            begin_data(s, data);
            s->state = VALUE;
        } else {
            s->have_data = true;
            s->state = SKIP;
        }
    } else if (!str_starts(STR("data:"), line) &&
               !str_starts(str_make("event:", min_size(6, line.n)), line) &&
               !str_starts(line, STR("event:"))) {
        s->state = SKIP;
    }
}

static const char bom[] = "\xef\xbb\xbf";

/* Handles the end of a line. Returns whether sse_feed must stop here. */
static bool end_line(struct sse *s, struct piece *data)
{
    uint8_t was = s->state;
    s->state = START;
    if (was == START || was == BOM_0)
        return dispatch(s, data);
    if (was == NAME)
        gathered_line(s, data);
    s->open = true;
    return false;
}

/* Takes in what stands at `at` of the line. Returns where that ends; *ended: at the end of the
 * line, or of what is there. */
static inline const char *line_step(struct sse *s, const char *at, const char *end,
                                    struct piece *data, bool *ended)
{
    const char *eol;
    *ended = false;
    switch (s->state) {
    case START:
        eol = line_end(at, end);
        if (eol == end) {
            s->state = NAME;
            s->line_n = 0;
            return at;
        }
        if (eol != at) {
            whole_line(s, str_make(at, (size_t)(eol - at)), data);
            s->state = SKIP;
        }
        break;
    case BOM_0:
    case BOM_1:
    case BOM_2:
        if (*at == bom[s->state]) {
            s->state++;
            return at + 1;
        }
        /* A part of the mark is part of a line that is none of ours. */
        s->state = s->state == BOM_0 ? START : SKIP;
        return at;
    case NAME:
        if (*at != '\n' && *at != '\r') {
            name_byte(s, *at, data);
            return at + 1;
        }
        eol = at;
        break;
    case VALUE:
        s->state = DATA;
        return *at == ' ' ? at + 1 : at;
    case DATA:
        eol = line_end(at, end);
        keep(s, at, (size_t)(eol - at));
        break;
    default:
        eol = line_end(at, end);
        break;
    }
    *ended = true;
    return eol;
}

/* Where the event at `at` ends if it is one of those of which a stream mostly consists, is there as
 * a whole and cannot change anything but the counts; else `at`. */
static inline const char *plain_delta(const struct sse *s, const char *at, const char *end)
{
    static const char front[] = "event: content_block_delta\ndata:";
    const size_t len = sizeof front - 1;
    if (s->state != START || s->open || !s->content || s->first == SSE_EV_NONE ||
        (size_t)(end - at) <= len || memcmp(at, front, len) != 0)
        return at;
    const char *eol = line_end(at + len, end);
    return end - eol >= 2 && eol[0] == '\n' && eol[1] == '\n' ? eol + 2 : at;
}

size_t sse_feed(struct sse *s, const char *p, size_t n)
{
    const char *at = p, *end = p + n;
    struct piece data = {0};
    while (at < end) {
        if (s->cr) {
            s->cr = false;
            if (*at == '\n') {
                at++;
                continue;
            }
        }
        const char *next = plain_delta(s, at, end);
        if (next != at) {
            s->events++;
            s->meant++;
            at = next;
            continue;
        }
        bool ended;
        at = line_step(s, at, end, &data, &ended);
        if (!ended)
            continue;
        if (at == end)
            break;
        s->cr = *at++ == '\r';
        if (end_line(s, &data)) {
            if (s->cr && at < end && *at == '\n') {
                s->cr = false;
                at++;
            }
            return (size_t)(at - p);
        }
        if (!s->open)
            data.p = NULL;
    }
    keep_piece(s, &data);
    return n;
}

bool sse_at_boundary(const struct sse *s)
{
    return (s->state == START || s->state == BOM_0) && !s->open;
}

bool sse_at_line_start(const struct sse *s)
{
    return (s->state == START || s->state == BOM_0) && !s->cr;
}

void sse_finish(struct sse *s)
{
    struct piece data = {0};
    if (s->state != START && s->state != BOM_0)
        (void)end_line(s, &data);
    if (s->kind != SSE_EV_NONE || s->have_data) {
        enum sse_kind kind = judge(s, buf_view(&s->keep));
        if (kind == SSE_EV_ERROR && s->first == SSE_EV_NONE)
            s->first = kind;
    }
    forget(s);
    s->cr = false;
}

/* Whether the data of an event without its empty line is complete. */
static bool is_whole(struct str data)
{
    struct json_hit hit[SSE_AT__COUNT];
    struct str text = str_trim(data);
    return str_eq(text, STR("[DONE]")) || json_find(text, sse_members, hit, SSE_AT__COUNT);
}

/* Restores the state *was, except for the data of the last event, which is dropped and not
 * classified again. */
static void go_back(struct sse *s, const struct sse *was)
{
    struct buf keep = s->keep, error_data = s->error_data;
    *s = *was;
    s->keep = keep;
    s->error_data = error_data;
    s->have_data = false;
}

/* Finishes a last event that lacks its empty line if its data is complete, else restores the state.
 * Returns whether it finished it; *data_there: whether the event has data. */
static bool finish_whole(struct sse *s, bool *data_there)
{
    const struct sse was = *s;
    struct piece data = {0};
    if (s->state != START && s->state != BOM_0)
        (void)end_line(s, &data);
    bool fault = s->error;
    *data_there = s->have_data;
    bool whole = is_whole(buf_view(&s->keep));
    sse_finish(s);
    fault = s->error && !fault; /* an error counts although its data is cut */
    if (whole || (fault && *data_there))
        return true;
    go_back(s, &was);
    return false;
}

bool sse_close(struct sse *s, char tail[static SSE_TAIL])
{
    static const char stop[] = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    const char *before = "", *word = "";
    const struct sse was = *s;
    tail[0] = '\0';
    if (s->stopped || s->error)
        return true;
    if (!sse_at_boundary(s)) {
        bool line = sse_at_line_start(s), data_there, choices = s->end.choices;
        bool whole = finish_whole(s, &data_there);
        if (!whole && choices && data_there)
            /* OpenAI clients read data whatever the event's name: no ping can hide it */
            return false;
        if (whole || choices)
            before = line ? "\n" : "\n\n";
        else
            before = line ? "event: ping\n\n" : "\nevent: ping\n\n";
    }
    if (!s->stopped && !s->error) {
        if (!sse_end_told(&s->end)) {
            go_back(s, &was);
            return false;
        }
        s->stopped = true;
        word = s->end.choices ? "data: [DONE]\n\n" : stop;
    }
    snprintf(tail, SSE_TAIL, "%s%s", before, word);
    return true;
}
