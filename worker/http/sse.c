#include "worker/http/sse.h"

#include "worker/json/json_find.h"

#include <stdio.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Kinds that callers see as SSE_EV_CONTENT. */
enum { BLOCK_START = SSE_EV_ERROR + 1, BLOCK_STOP };

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

static unsigned kind_of_name(struct str name)
{
    static const struct {
        struct str name;
        unsigned kind;
    } names[] = {
        {STR_LIT("content_block_start"), BLOCK_START},
        {STR_LIT("content_block_stop"), BLOCK_STOP},
        {STR_LIT("ping"), SSE_EV_PING},
        {STR_LIT("message_start"), SSE_EV_START},
        {STR_LIT("message_delta"), SSE_EV_DELTA},
        {STR_LIT("message_stop"), SSE_EV_STOP},
        {STR_LIT("error"), SSE_EV_ERROR},
        {STR_LIT("response.created"), SSE_EV_START},
        {STR_LIT("response.in_progress"), SSE_EV_START},
        {STR_LIT("response.completed"), SSE_EV_STOP},
        {STR_LIT("response.incomplete"), SSE_EV_STOP},
        {STR_LIT("response.failed"), SSE_EV_ERROR},
    };
    if (str_starts(name, STR("content_block_delta")))
        return SSE_EV_CONTENT;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_eq(name, names[i].name))
            return names[i].kind;
    return str_starts(name, STR("content_block_")) ? SSE_EV_CONTENT : SSE_EV_NONE;
}

/* Whether the data of an event of that kind is read. */
static bool wants_data(uint8_t kind)
{
    return kind != SSE_EV_CONTENT && kind != SSE_EV_PING && kind != BLOCK_START &&
           kind != BLOCK_STOP;
}

/* The members of an event's data, or of a JSON reply, that are read. */
enum {
    AT_TYPE,
    AT_ERROR,
    AT_CHOICES,
    AT_USAGE,
    AT_MESSAGE_USAGE,
    AT_RESPONSE_USAGE,
    AT_MODEL,
    AT_MESSAGE_MODEL,
    AT_RESPONSE_MODEL,
    AT_REASON,
    AT__COUNT
};

static const struct json_want top[AT__COUNT] = {
    [AT_TYPE] = {STR_LIT("type"), {0}},
    [AT_ERROR] = {STR_LIT("error"), {0}},
    [AT_CHOICES] = {STR_LIT("choices"), {0}},
    [AT_USAGE] = {STR_LIT("usage"), {0}},
    [AT_MESSAGE_USAGE] = {STR_LIT("message"), STR_LIT("usage")},
    [AT_RESPONSE_USAGE] = {STR_LIT("response"), STR_LIT("usage")},
    [AT_MODEL] = {STR_LIT("model"), {0}},
    [AT_MESSAGE_MODEL] = {STR_LIT("message"), STR_LIT("model")},
    [AT_RESPONSE_MODEL] = {STR_LIT("response"), STR_LIT("model")},
    [AT_REASON] = {STR_LIT("delta"), STR_LIT("stop_reason")},
};

static void take_usage(const struct json_hit hit[static AT__COUNT], struct sse_usage *u)
{
    for (size_t i = AT_USAGE; i <= AT_RESPONSE_USAGE; i++)
        if (hit[i].kind == JSON_IS_OBJECT)
            sse_usage_read(hit[i].raw, u);
    for (size_t i = AT_MODEL; i <= AT_RESPONSE_MODEL; i++)
        sse_usage_model(&hit[i], u);
}

bool sse_usage_of_json(struct str body, struct sse_usage *u)
{
    struct json_hit hit[AT__COUNT];
    *u = SSE_USAGE_NONE;
    if (!json_find(body, top, hit, AT__COUNT))
        return false;
    take_usage(hit, u);
    return true;
}

/* Whether the value of "error" stands for an error: null, false and "" do not. */
static bool is_error(const struct json_hit *hit)
{
    switch (hit->kind) {
    case JSON_IS_ABSENT:
    case JSON_IS_NULL:
    case JSON_IS_FALSE:
        return false;
    case JSON_IS_STRING:
        return hit->raw.n != 0;
    case JSON_IS_NUMBER:
    case JSON_IS_TRUE:
    case JSON_IS_OBJECT:
    case JSON_IS_ARRAY:
        break;
    }
    return true;
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

/* The kind of an event by its data, when its name gives none. Reads its usage, stop reason and
 * choices as well. */
static unsigned kind_of_data(struct sse *s, struct str data)
{
    struct str text = str_trim(data);
    if (!text.n)
        return SSE_EV_PING;
    if (str_eq(text, STR("[DONE]")))
        return SSE_EV_STOP;
    struct json_hit hit[AT__COUNT];
    if (!json_find(text, top, hit, AT__COUNT) && starts_with_error(text))
        return SSE_EV_ERROR;
    if (is_error(&hit[AT_ERROR]))
        return SSE_EV_ERROR;
    take_usage(hit, &s->usage);
    take_reason(s, &hit[AT_REASON]);
    unsigned kind = SSE_EV_NONE;
    if (hit[AT_TYPE].kind == JSON_IS_STRING)
        kind = kind_of_name(hit[AT_TYPE].raw);
    if (kind != SSE_EV_NONE)
        return kind;
    if (hit[AT_CHOICES].kind == JSON_IS_ARRAY)
        sse_end_choices(&s->end, hit[AT_CHOICES].raw);
    /* "choices": [] is the first event (Azure's filter results) or, with usage, the last one. */
    if (hit[AT_CHOICES].kind == JSON_IS_ARRAY &&
        !str_trim(str_make(hit[AT_CHOICES].raw.p + 1, hit[AT_CHOICES].raw.n - 2)).n)
        return hit[AT_USAGE].kind == JSON_IS_OBJECT ? SSE_EV_DELTA : SSE_EV_START;
    return SSE_EV_CONTENT;
}

static void read_named(struct sse *s, struct str data)
{
    struct json_hit hit[AT__COUNT];
    if (!json_find(data, top, hit, AT__COUNT))
        return;
    take_usage(hit, &s->usage);
    take_reason(s, &hit[AT_REASON]);
}

/* The kind of a complete event; reads its usage and error. */
static enum sse_kind judge(struct sse *s, struct str data)
{
    unsigned kind = s->kind;
    if (kind == SSE_EV_NONE)
        kind = s->have_data ? kind_of_data(s, data) : SSE_EV_PING;
    else if (kind == SSE_EV_START || kind == SSE_EV_DELTA || kind == SSE_EV_STOP)
        read_named(s, data);
    if (kind == SSE_EV_ERROR && !s->error) {
        s->error = true;
        if (!buf_str(&s->error_data, data))
            buf_free(&s->error_data);
    }
    if (kind == SSE_EV_STOP)
        s->stopped = true;
    if (kind == BLOCK_START)
        s->end.blocks++;
    else if (kind == BLOCK_STOP && s->end.blocks)
        s->end.blocks--;
    return kind == BLOCK_START || kind == BLOCK_STOP ? SSE_EV_CONTENT : (enum sse_kind)kind;
}

/* ---- events */

static void forget(struct sse *s)
{
    if (s->keep.cap > KEEP_IDLE)
        buf_free(&s->keep);
    else
        buf_drop(&s->keep, s->keep.len);
    s->kind = SSE_EV_NONE;
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
        stop = s->error != had_error;
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
        s->kind = (uint8_t)kind_of_name(value_of(line, 5));
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
            s->kind = (uint8_t)kind_of_name(value_of(str_make(s->line, s->line_n), 5));
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
    struct json_hit hit[AT__COUNT];
    struct str text = str_trim(data);
    return str_eq(text, STR("[DONE]")) || json_find(text, top, hit, AT__COUNT);
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
