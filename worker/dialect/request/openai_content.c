#include "worker/dialect/request/openai_content.h"

#include "worker/dialect/request/openai_tools.h"
#include "worker/json/json_raw.h"

static const struct str blank_line = STR_LIT("\\n\\n");

/* ---- blocks */

static struct str string_of(const struct json_hit *h)
{
    return h->kind == JSON_IS_STRING ? h->raw : STR("");
}

static enum block_kind kind_of(struct str type)
{
    static const struct {
        struct str name;
        enum block_kind kind;
    } kinds[] = {
        {STR_LIT("text"), BLOCK_TEXT},
        {STR_LIT("tool_use"), BLOCK_TOOL_USE},
        {STR_LIT("tool_result"), BLOCK_TOOL_RESULT},
        {STR_LIT("thinking"), BLOCK_THINKING},
        {STR_LIT("image"), BLOCK_IMAGE},
        {STR_LIT("document"), BLOCK_DOCUMENT},
        {STR_LIT("search_result"), BLOCK_SEARCH_RESULT},
        {STR_LIT("tool_reference"), BLOCK_TOOL_REFERENCE},
        {STR_LIT("tool_search_tool_result"), BLOCK_TOOL_SEARCH},
        {STR_LIT("web_search_tool_result"), BLOCK_WEB_SEARCH},
    };
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (json_raw_is(type, kinds[i].name))
            return kinds[i].kind;
    return BLOCK_UNKNOWN;
}

bool block_read(const struct json_hit *element, struct block *b)
{
    enum {
        TYPE,
        TEXT,
        TITLE,
        ID,
        NAME,
        TOOL_USE_ID,
        THINKING,
        SIGNATURE,
        TOOL_NAME,
        SOURCE,
        CONTENT,
        INPUT,
        IS_ERROR,
        WANTS
    };
    static const struct json_want want[WANTS] = {
        [TYPE] = {STR_LIT("type"), {0}},           [TEXT] = {STR_LIT("text"), {0}},
        [TITLE] = {STR_LIT("title"), {0}},         [ID] = {STR_LIT("id"), {0}},
        [NAME] = {STR_LIT("name"), {0}},           [TOOL_USE_ID] = {STR_LIT("tool_use_id"), {0}},
        [THINKING] = {STR_LIT("thinking"), {0}},   [SIGNATURE] = {STR_LIT("signature"), {0}},
        [TOOL_NAME] = {STR_LIT("tool_name"), {0}}, [SOURCE] = {STR_LIT("source"), {0}},
        [CONTENT] = {STR_LIT("content"), {0}},     [INPUT] = {STR_LIT("input"), {0}},
        [IS_ERROR] = {STR_LIT("is_error"), {0}},
    };
    struct json_hit h[WANTS];
    if (element->kind != JSON_IS_OBJECT || !json_find(element->raw, want, h, WANTS))
        return false;
    *b = (struct block){.kind = kind_of(string_of(&h[TYPE])),
                        .text = string_of(&h[TEXT]),
                        .title = string_of(&h[TITLE]),
                        .id = string_of(&h[ID]),
                        .name = string_of(&h[NAME]),
                        .tool_use_id = string_of(&h[TOOL_USE_ID]),
                        .thinking = string_of(&h[THINKING]),
                        .signature = string_of(&h[SIGNATURE]),
                        .tool_name = string_of(&h[TOOL_NAME]),
                        .source = h[SOURCE],
                        .content = h[CONTENT],
                        .input = h[INPUT],
                        .is_error = h[IS_ERROR].kind == JSON_IS_TRUE};
    return true;
}

/* ---- pieces of one block */

void pieces_add(struct translation *t, struct pieces *to, const struct piece *p)
{
    struct piece *v = translation_grow(t, to->v, to->n, &to->cap, sizeof *v);
    if (!v)
        return;
    to->v = v;
    to->v[to->n++] = *p;
}

static void add_text(struct translation *t, struct pieces *to, struct str text)
{
    if (!json_raw_blank(text))
        pieces_add(t, to, &(struct piece){.kind = PIECE_TEXT, .text = text});
}

/* An image or a file, unless the model takes none. */
static void add_picture(struct translation *t, struct pieces *to, const struct piece *p)
{
    if (translation_has(t, DIALECT_NO_IMAGES))
        add_text(t, to, STR("[image left out: this model takes no images]"));
    else
        pieces_add(t, to, p);
}

/* A block's source. */
struct source {
    struct str type, media_type, data, url;
    struct json_hit content;
};

static struct source source_of(const struct json_hit *h)
{
    enum { TYPE, MEDIA_TYPE, DATA, URL, CONTENT, WANTS };
    static const struct json_want want[WANTS] = {
        [TYPE] = {STR_LIT("type"), {0}},       [MEDIA_TYPE] = {STR_LIT("media_type"), {0}},
        [DATA] = {STR_LIT("data"), {0}},       [URL] = {STR_LIT("url"), {0}},
        [CONTENT] = {STR_LIT("content"), {0}},
    };
    struct json_hit hit[WANTS];
    if (h->kind != JSON_IS_OBJECT || !json_find(h->raw, want, hit, WANTS))
        return (struct source){0};
    return (struct source){string_of(&hit[TYPE]), string_of(&hit[MEDIA_TYPE]),
                           string_of(&hit[DATA]), string_of(&hit[URL]), hit[CONTENT]};
}

static void add_image(struct translation *t, struct pieces *to, const struct block *b)
{
    struct source s = source_of(&b->source);
    if (json_raw_is(s.type, STR("base64")) && s.data.n && s.media_type.n)
        add_picture(t, to,
                    &(struct piece){.kind = PIECE_IMAGE, .text = s.data, .type = s.media_type});
    else if (json_raw_is(s.type, STR("url")) && s.url.n)
        add_picture(t, to, &(struct piece){.kind = PIECE_IMAGE_URL, .text = s.url});
    else
        add_text(t, to, STR("[image left out]"));
}

/* What is within a document or a search result. */
static bool add_inner(void *ctx, struct str name, bool escaped, const struct json_hit *v);

struct adding {
    struct translation *t;
    struct pieces *to;
    const char *where;
};

static void add_inner_content(struct translation *t, struct pieces *to, const struct json_hit *v)
{
    struct adding a = {t, to, NULL};
    if (v->kind == JSON_IS_STRING)
        add_text(t, to, v->raw);
    else if (v->kind == JSON_IS_ARRAY)
        json_each(v->raw, add_inner, &a);
}

static bool add_inner(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    struct adding *a = ctx;
    struct block b;
    (void)name, (void)escaped;
    if (block_read(v, &b)) {
        if (b.kind == BLOCK_TEXT)
            add_text(a->t, a->to, b.text);
        else if (b.kind == BLOCK_IMAGE)
            add_image(a->t, a->to, &b);
    }
    return !translation_failed(a->t);
}

static void add_document(struct translation *t, struct pieces *to, const struct block *b)
{
    struct source s = source_of(&b->source);
    if (json_raw_is(s.type, STR("base64")) && json_raw_is(s.media_type, STR("application/pdf")) &&
        s.data.n) {
        struct str name = b->title.n ? b->title : STR("document.pdf");
        add_picture(t, to, &(struct piece){.kind = PIECE_FILE, .text = s.data, .type = name});
        return;
    }
    add_text(t, to, b->title);
    if (json_raw_is(s.type, STR("text")))
        add_text(t, to, s.data);
    else if (json_raw_is(s.type, STR("content")))
        add_inner_content(t, to, &s.content);
    else
        add_text(t, to, STR("[document left out]"));
}

/* Two lines in one text; an empty one is left out. */
static struct str two_lines(struct translation *t, struct str first, struct str second)
{
    struct str v[] = {first, STR("\\n"), second};
    if (!first.n || !second.n)
        return first.n ? first : second;
    return translation_join(t, v, COUNT_OF(v));
}

void content_add_block(struct translation *t, struct pieces *to, const struct block *b)
{
    char room[TOOL_NAME_MAX];
    switch (b->kind) {
    case BLOCK_TEXT:
        add_text(t, to, b->text);
        break;
    case BLOCK_IMAGE:
        add_image(t, to, b);
        break;
    case BLOCK_DOCUMENT:
        add_document(t, to, b);
        break;
    case BLOCK_SEARCH_RESULT:
        add_text(t, to, two_lines(t, b->title, string_of(&b->source)));
        add_inner_content(t, to, &b->content);
        break;
    case BLOCK_TOOL_REFERENCE: {
        struct str name = translation_text(t, b->tool_name);
        struct str v[] = {STR("Tool "), tool_name_sent(name, room), STR(" can be used now.")};
        if (!name.n)
            break;
        openai_tools_use(t->tools, name);
        add_text(t, to, translation_join(t, v, COUNT_OF(v)));
        break;
    }
    case BLOCK_UNKNOWN:
    case BLOCK_TOOL_USE:
    case BLOCK_TOOL_RESULT:
    case BLOCK_TOOL_SEARCH:
    case BLOCK_WEB_SEARCH:
    case BLOCK_THINKING:
        break;
    }
}

/* ---- content */

static bool add_element(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    struct adding *a = ctx;
    struct block b;
    (void)name, (void)escaped;
    if (block_read(v, &b))
        content_add_block(a->t, a->to, &b);
    else if (a->where)
        translation_fault(a->t, "%s: a block of content is no object", a->where);
    return !translation_failed(a->t);
}

/* A string, a list whose elements are given to `each`, or a fault. */
static void add_content(struct adding *a, const struct json_hit *content, json_each_fn *each)
{
    if (content->kind == JSON_IS_ARRAY)
        json_each(content->raw, each, a);
    else if (content->kind != JSON_IS_STRING && a->where)
        translation_fault(a->t, "%s: content must be a string or a list", a->where);
}

void content_add(struct translation *t, struct pieces *to, const struct json_hit *content,
                 const char *where)
{
    struct adding a = {t, to, where};
    if (content->kind == JSON_IS_STRING)
        add_text(t, to, content->raw);
    add_content(&a, content, add_element);
}

static const struct str billing = STR_LIT("x-anthropic-billing-header");

static bool add_system(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    struct adding *a = ctx;
    struct block b;
    (void)name, (void)escaped;
    if (!block_read(v, &b))
        translation_fault(a->t, "%s: a block of content is no object", a->where);
    else if ((b.kind == BLOCK_TEXT && !json_raw_starts(b.text, billing)) ||
             b.kind == BLOCK_TOOL_REFERENCE)
        content_add_block(a->t, a->to, &b);
    return !translation_failed(a->t);
}

void content_add_system(struct translation *t, struct pieces *to, const struct json_hit *content,
                        const char *where)
{
    struct adding a = {t, to, where};
    struct str text = string_of(content);
    if (json_raw_starts(text, billing)) {
        /* Of a string, which holds the whole prompt, only the header's line goes. */
        ptrdiff_t line = str_find(text, STR("\\n"));
        text = line < 0 ? STR("") : str_make(text.p + line + 2, text.n - (size_t)line - 2);
    }
    add_text(t, to, text);
    add_content(&a, content, add_system);
}

static bool use_reference(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    struct translation *t = ctx;
    struct block b;
    (void)name, (void)escaped;
    if (block_read(v, &b) && b.tool_name.n)
        openai_tools_use(t->tools, translation_text(t, b.tool_name));
    return !translation_failed(t);
}

void content_use_references(struct translation *t, const struct json_hit *list)
{
    if (list->kind == JSON_IS_ARRAY)
        json_each(list->raw, use_reference, t);
}

/* ---- writing */

void pieces_put_texts(struct translation *t, const struct pieces *p, struct str between)
{
    for (size_t i = 0; i < p->n; i++) {
        if (i)
            translation_put(t, between);
        translation_put_raw(t, p->v[i].text);
    }
}

static void put_part(struct translation *t, const struct piece *p)
{
    switch (p->kind) {
    case PIECE_TEXT:
        translation_put(t, STR("{\"type\":\"text\",\"text\":\""));
        translation_put_raw(t, p->text);
        translation_put(t, STR("\"}"));
        break;
    case PIECE_IMAGE_URL:
    case PIECE_IMAGE:
        t->ctx->put |= DIALECT_PUT_IMAGES;
        translation_put(t, STR("{\"type\":\"image_url\",\"image_url\":{\"url\":\""));
        if (p->kind == PIECE_IMAGE) {
            translation_put(t, STR("data:"));
            translation_put_raw(t, p->type);
            translation_put(t, STR(";base64,"));
        }
        translation_put_raw(t, p->text);
        translation_put(t, STR("\"}}"));
        break;
    case PIECE_FILE:
        t->ctx->put |= DIALECT_PUT_FILES;
        translation_put(t, STR("{\"type\":\"file\",\"file\":{\"filename\":\""));
        translation_put_raw(t, p->type);
        translation_put(t, STR("\",\"file_data\":\"data:application/pdf;base64,"));
        translation_put_raw(t, p->text);
        translation_put(t, STR("\"}}"));
        break;
    }
}

void pieces_put(struct translation *t, const struct pieces *p)
{
    bool parts = false;
    for (size_t i = 0; i < p->n; i++)
        parts = parts || p->v[i].kind != PIECE_TEXT;
    translation_put(t, parts ? STR("[") : STR("\""));
    if (!parts)
        pieces_put_texts(t, p, blank_line);
    for (size_t i = 0; parts && i < p->n; i++) {
        if (i)
            translation_put(t, STR(","));
        put_part(t, &p->v[i]);
    }
    translation_put(t, parts ? STR("]") : STR("\""));
}
