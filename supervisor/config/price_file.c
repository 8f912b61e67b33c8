#include "supervisor/config/price_file.h"

#include "common/base/env.h"
#include "common/base/mem.h"
#include "common/conf/conf_value.h"
#include "common/price/price_table.h"
#include "common/policy/classify/date.h"
#include "supervisor/config/file.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

enum { USD_DECIMALS = 6, WEB_DECIMALS = 9, DATE = 10, FILE_SIZE_MAX = 1 << 20 };

/* A number of a row. */
struct field {
    const char *name;
    size_t offset;     /* in struct price_row */
    unsigned decimals; /* that are read */
    uint64_t max;      /* in units of the last decimal */
    const char *form;  /* what it must be */
};

#define RATE(kind, name, of)                                                                       \
    {                                                                                              \
        name, offsetof(struct price_row, of) + (kind) * sizeof(uint64_t), USD_DECIMALS,            \
            PRICE_TOKEN_MAX, "a number of USD per million tokens, 0 to 100000"                     \
    }
#define RATES(of)                                                                                  \
    RATE(PRICE_INPUT, "input", of), RATE(PRICE_OUTPUT, "output", of),                              \
        RATE(PRICE_CACHE_READ, "cache_read", of), RATE(PRICE_WRITE_5M, "write_5m", of),            \
        RATE(PRICE_WRITE_1H, "write_1h", of)
#define TIMES(member)                                                                              \
    {                                                                                              \
#member, offsetof(struct price_row, member), USD_DECIMALS, PRICE_TIMES_MAX,                \
            "a number of 0 to 10"                                                                  \
    }

/* The first ones may also stand at the model, for all its rows. */
enum { MODEL_FIELDS = 4 };
static const struct field row_fields[] = {TIMES(fast),
                                          TIMES(batch),
                                          TIMES(geo_us),
                                          {"web_search", offsetof(struct price_row, web),
                                           WEB_DECIMALS, PRICE_WEB_MAX,
                                           "a number of USD for 1,000 searches, 0 to 1000"},
                                          RATES(base)};
static const struct field above_fields[] = {RATES(above)};

struct reader {
    struct price_table *t;
    struct faults *f;
    struct price_table seen; /* models of this list */
    bool override;
};

/* The place of a node for messages. Longer ones are cut. */
struct place {
    char text[256];
};

static struct place at_key(const char *at, const char *key)
{
    struct place p;
    snprintf(p.text, sizeof p.text, "%.*s%s%.64s", (int)sizeof p.text - 70, at, *at ? "." : "",
             key);
    return p;
}

static struct place at_index(const char *at, size_t i)
{
    struct place p;
    snprintf(p.text, sizeof p.text, "%.*s[%zu]", (int)sizeof p.text - 30, at, i);
    return p;
}

/* Adds a fault at a node. */
#define FAULT(r, n, at, ...) faults_at((r)->f, (n)->line, (n)->col, false, at, __VA_ARGS__)

static struct str text_of(const struct ynode *n)
{
    return str_make(n->text, n->len);
}

static bool is_nothing(const struct ynode *n)
{
    return n->kind == YNODE_SCALAR &&
           conf_is_null((struct conf_text){text_of(n), n->quoted, false});
}

static bool has_kind(struct reader *r, const struct ynode *n, enum ynode_kind kind, const char *at)
{
    static const char *const want[] = {
        [YNODE_SCALAR] = "a single value", [YNODE_LIST] = "a list", [YNODE_MAP] = "a mapping"};
    if (n->kind != kind)
        FAULT(r, n, at, "must be %s, not %s", want[kind], want[n->kind]);
    return n->kind == kind;
}

/* ', not "x"' with the node's text if it is short and printable, else an empty text. */
static struct place shown(const struct ynode *n)
{
    struct place p = {""};
    struct err ignore;
    if (n->len <= 40 && conf_text_check(text_of(n), &ignore))
        snprintf(p.text, sizeof p.text, ", not \"%s\"", n->text);
    return p;
}

static void set_number(struct reader *r, struct price_row *row, const struct field *field,
                       const struct ynode *n, const char *at)
{
    uint64_t v = PRICE_NONE;
    if (!has_kind(r, n, YNODE_SCALAR, at))
        return;
    if (!is_nothing(n) && !price_parse(text_of(n), field->decimals, field->max, &v)) {
        FAULT(r, n, at, "must be %s with up to %u decimals%s", field->form, field->decimals,
              shown(n).text);
        return;
    }
    memcpy((char *)row + field->offset, &v, sizeof v);
}

/* Sets the number of that name. False: none of the fields has that name. */
static bool set_field(struct reader *r, struct price_row *row, const struct field *fields,
                      size_t nfields, const struct ynode *key, const struct ynode *n,
                      const char *at)
{
    for (size_t i = 0; i < nfields; i++) {
        if (!str_eq(str_c(fields[i].name), text_of(key)))
            continue;
        set_number(r, row, &fields[i], n, at_key(at, key->text).text);
        return true;
    }
    return false;
}

/* names: of the keys beside the fields. */
static void unknown_key(struct reader *r, const struct ynode *key, const struct field *fields,
                        size_t nfields, const char *const names[3], const char *at)
{
    const char *all[COUNT_OF(row_fields) + 3];
    size_t n = 0;
    struct err ignore;
    for (; n < nfields; n++)
        all[n] = fields[n].name;
    for (size_t i = 0; i < 3 && names[i]; i++)
        all[n++] = names[i];
    bool clean = key->len <= 64 && conf_text_check(text_of(key), &ignore);
    const char *near = clean ? conf_nearest(text_of(key), all, n) : NULL;
    const char *colon = *at ? ": " : "";
    if (near)
        FAULT(r, key, "", "%s%sunknown key \"%s\"; did you mean \"%s\"?", at, colon, key->text,
              near);
    else
        FAULT(r, key, "", "%s%sunknown key \"%s\"", at, colon, clean ? key->text : "…");
}

/* ---- a row */

static void set_class(struct reader *r, struct price_row *row, const struct ynode *n,
                      const char *at)
{
    static const struct str bounds[] = {STR_LIT("100000"), STR_LIT("200000"), STR_LIT("272000")};
    if (!has_kind(r, n, YNODE_SCALAR, at))
        return;
    for (size_t i = 0; i < COUNT_OF(bounds); i++)
        if (str_eq(bounds[i], text_of(n)))
            row->above_class = i + 1;
    if (!row->above_class)
        FAULT(r, n, at, "must be 100000, 200000 or 272000%s: usage is counted by these",
              shown(n).text);
}

static void set_above(struct reader *r, struct price_row *row, const struct ynode *n,
                      const char *at)
{
    static const char *const names[3] = {"tokens"};
    bool told = false;
    if (!has_kind(r, n, YNODE_MAP, at))
        return;
    for (size_t i = 0; i < n->n; i += 2) {
        const struct ynode *key = n->v[i], *value = n->v[i + 1];
        if (str_eq(text_of(key), STR("tokens"))) {
            told = true;
            set_class(r, row, value, at_key(at, "tokens").text);
        } else if (!set_field(r, row, above_fields, COUNT_OF(above_fields), key, value, at)) {
            unknown_key(r, key, above_fields, COUNT_OF(above_fields), names, at);
        }
    }
    if (!told)
        FAULT(r, n, at, "needs tokens: the length of a prompt above which it holds");
}

static void set_from(struct reader *r, struct price_row *row, const struct ynode *n, const char *at)
{
    char text[32] = "";
    int64_t ms;
    if (is_nothing(n) || !has_kind(r, n, YNODE_SCALAR, at))
        return;
    if (n->len == DATE)
        snprintf(text, sizeof text, "%sT00:00:00Z", n->text);
    else if (n->len < sizeof text)
        snprintf(text, sizeof text, "%s", n->text);
    if (date_rfc3339(str_c(text), &ms))
        row->from_s = ms / 1000;
    else
        FAULT(r, n, at, "must be a date like 2026-10-07, or a time like 2026-10-07T12:00:00Z%s",
              shown(n).text);
}

/* Reads a row over what *row has of its model. */
static void read_row(struct reader *r, struct price_row *row, const struct ynode *n, const char *at)
{
    static const char *const names[3] = {"from", "above"};
    if (!has_kind(r, n, YNODE_MAP, at))
        return;
    for (size_t i = 0; i < n->n; i += 2) {
        const struct ynode *key = n->v[i], *value = n->v[i + 1];
        if (str_eq(text_of(key), STR("from")))
            set_from(r, row, value, at_key(at, "from").text);
        else if (str_eq(text_of(key), STR("above")))
            set_above(r, row, value, at_key(at, "above").text);
        else if (!set_field(r, row, row_fields, COUNT_OF(row_fields), key, value, at))
            unknown_key(r, key, row_fields, COUNT_OF(row_fields), names, at);
    }
}

/* ---- a model */

static const struct ynode *child(const struct ynode *map, const char *key)
{
    for (size_t i = 0; i < map->n; i += 2)
        if (str_eq(text_of(map->v[i]), str_c(key)))
            return map->v[i + 1];
    return NULL;
}

static void read_rows(struct reader *r, struct price_model *m, const struct price_row *of_model,
                      const struct ynode *n, const char *at)
{
    if (!has_kind(r, n, YNODE_LIST, at))
        return;
    if (n->n == 0 || n->n > PRICE_ROWS_MAX) {
        FAULT(r, n, at, "must have 1 to %d rows", PRICE_ROWS_MAX);
        return;
    }
    for (size_t i = 0; i < n->n; i++) {
        struct price_row *row = &m->rows[m->n++];
        size_t errors = r->f->errors;
        *row = *of_model;
        read_row(r, row, n->v[i], at_index(at, i).text);
        bool sound = r->f->errors == errors;
        for (size_t k = 0; sound && k + 1 < m->n; k++)
            if (m->rows[k].from_s == row->from_s)
                FAULT(r, n->v[i], at_index(at, i).text, "begins at the same time as row %zu", k);
    }
}

/* Puts the model into the table under one of its names. */
static void put_name(struct reader *r, struct price_model *m, const struct ynode *n, const char *at)
{
    char room[MODEL_NAME_MAX];
    struct err e;
    struct price_row unpriced = {0};
    if (!has_kind(r, n, YNODE_SCALAR, at))
        return;
    if (!conf_text_check(text_of(n), &e)) {
        FAULT(r, n, at, "%s", e.msg);
        return;
    }
    if (strpbrk(n->text, "*?")) {
        FAULT(r, n, at, "is a whole name, without * and ?: each model has its own prices");
        return;
    }
    struct str name = model_name(text_of(n), room);
    if (!name.n) {
        FAULT(r, n, at, "is longer than %d bytes", MODEL_NAME_MAX);
        return;
    }
    if (price_find(&r->seen, name)) {
        FAULT(r, n, at, "the model %.*s stands twice in the list", (int)name.n, name.p);
        return;
    }
    memcpy(m->name, name.p, name.n);
    m->name[name.n] = '\0';
    struct price_model seen = {.rows = &unpriced, .n = 1};
    memcpy(seen.name, m->name, sizeof seen.name);
    if (!price_table_put(&r->seen, &seen) || (r->f->errors == 0 && !price_table_put(r->t, m)))
        FAULT(r, n, at, "there are more than %d models or %d rows", PRICE_MODELS_MAX,
              PRICE_ROWS_TOTAL);
}

static void read_source(struct reader *r, struct price_model *m, const struct ynode *n,
                        const char *at)
{
    struct err e;
    if (is_nothing(n) || !has_kind(r, n, YNODE_SCALAR, at))
        return;
    if (!conf_text_check(text_of(n), &e))
        FAULT(r, n, at, "%s", e.msg);
    else if (n->len > PRICE_SOURCE_MAX)
        FAULT(r, n, at, "is longer than %d bytes", PRICE_SOURCE_MAX);
    else
        memcpy(m->source, n->text, n->len + 1);
}

static struct price_row no_prices(void)
{
    struct price_row row = {.from_s = INT64_MIN};
    uint64_t none = PRICE_NONE;
    for (size_t i = 0; i < COUNT_OF(row_fields); i++)
        memcpy((char *)&row + row_fields[i].offset, &none, sizeof none);
    for (size_t i = 0; i < COUNT_OF(above_fields); i++)
        memcpy((char *)&row + above_fields[i].offset, &none, sizeof none);
    return row;
}

static void put_names(struct reader *r, struct price_model *m, const struct ynode *match,
                      const char *at)
{
    struct place p = at_key(at, "match");
    if (match->kind != YNODE_LIST) {
        put_name(r, m, match, p.text);
        return;
    }
    if (match->n == 0)
        FAULT(r, match, p.text, "names no model");
    for (size_t i = 0; i < match->n; i++)
        put_name(r, m, match->v[i], at_index(p.text, i).text);
}

static void read_model(struct reader *r, const struct ynode *n, const char *at)
{
    static const char *const names[3] = {"match", "source", "rates"};
    struct price_row rows[PRICE_ROWS_MAX], of_model = no_prices();
    struct price_model m = {.override = r->override, .rows = rows};
    if (!has_kind(r, n, YNODE_MAP, at))
        return;
    for (size_t i = 0; i < n->n; i += 2) {
        const struct ynode *key = n->v[i], *value = n->v[i + 1];
        if (str_eq(text_of(key), STR("match")) || str_eq(text_of(key), STR("rates")))
            continue;
        if (str_eq(text_of(key), STR("source")))
            read_source(r, &m, value, at_key(at, "source").text);
        else if (!set_field(r, &of_model, row_fields, MODEL_FIELDS, key, value, at))
            unknown_key(r, key, row_fields, MODEL_FIELDS, names, at);
    }
    const struct ynode *match = child(n, "match"), *rates = child(n, "rates");
    if (!match || !rates) {
        FAULT(r, n, at, "needs %s", match ? "rates" : "match");
        return;
    }
    read_rows(r, &m, &of_model, rates, at_key(at, "rates").text);
    put_names(r, &m, match, at);
}

void price_file_models(const struct ynode *list, const char *at, bool override,
                       struct price_table *t, struct faults *f)
{
    struct reader r = {.t = t, .f = f, .override = override};
    bool empty_map = list->kind == YNODE_MAP && list->n == 0;
    if (empty_map || !has_kind(&r, list, YNODE_LIST, at))
        return;
    for (size_t i = 0; i < list->n; i++)
        read_model(&r, list->v[i], at_index(at, i).text);
    price_table_free(&r.seen);
}

/* ---- the files */

/* Reads a list from text. The table is empty where f->errors. */
static void parse(struct str text, struct price_table *t, struct faults *f)
{
    struct ynode *root = ynode_parse(text, f);
    if (root)
        price_file_models(root, "", false, t, f);
    else if (!f->errors)
        faults_at(f, 0, 0, false, "", "is empty");
    ynode_free(root);
    if (f->errors)
        price_table_free(t);
}

static void read_file(const char *path, struct price_table *t, struct faults *f)
{
    struct err e;
    struct buf text;
    bool open_to_all;
    buf_init(&text, FILE_SIZE_MAX);
    faults_begin(f, path);
    if (file_read(path, &text, &open_to_all, &e))
        parse(buf_view(&text), t, f);
    else
        faults_at(f, 0, 0, false, "", "%s", e.msg);
    file_done(&text);
}

/* The path of the file that QCC brings along, of this program's installation or source tree. */
static void own_file(char *out, size_t size)
{
    char folder[PATH_MAX] = "";
    const char *named = getenv("QCC_PRICES");
    if (named) {
        snprintf(out, size, "%s", named);
        return;
    }
    if (!env_program_folder(folder, sizeof folder))
        folder[0] = '\0';
    char *build = strstr(folder, "/build/");
    if (build)
        *build = '\0';
    snprintf(out, size, "%s/%s", folder, build ? "conf/prices.yaml" : "../share/qcc/prices.yaml");
}

void price_file_read(struct conf *c, struct faults *f)
{
    struct faults of = {0};
    char path[CONF_TEXT_MAX + PATH_MAX];
    const char *named = c->prices.file;
    if (named)
        file_named(f->file, named, path, sizeof path);
    else
        own_file(path, sizeof path);
    read_file(path, &c->price_list, &of);
    faults_take(f, !named, named ? "prices.file" : "prices", &of);
    faults_free(&of);
    for (size_t i = 0; i < c->overrides.n; i++)
        if (!price_table_put(&c->price_list, c->overrides.v[i]))
            faults_add(f, false, "prices.models", "there are more than %d models or %d rows",
                       PRICE_MODELS_MAX, PRICE_ROWS_TOTAL);
}
