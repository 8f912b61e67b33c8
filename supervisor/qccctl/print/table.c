#include "supervisor/qccctl/print/table.h"

#include "common/base/mem.h"
#include "supervisor/qccctl/print/human.h"

/* NARROW: with fewer columns a text that wraps breaks its words. */
enum { TEXT_MAX = 64 << 20, SHRINK_MIN = 8, GAP = 2, COLUMNS_MAX = 24, NARROW = 24, INDENT = 4 };

static const char *const escapes[TINT__COUNT] = {
    [TINT_NONE] = "",         [TINT_BOLD] = "\033[1m",  [TINT_DIM] = "\033[2m",
    [TINT_GOOD] = "\033[32m", [TINT_WARN] = "\033[33m", [TINT_BAD] = "\033[31m",
    [TINT_INFO] = "\033[36m"};

void table_init(struct table *t, const struct column *columns, size_t n)
{
    *t = (struct table){.columns = columns, .ncolumns = min_size(n, COLUMNS_MAX)};
    buf_init(&t->text, TEXT_MAX);
}

void table_fini(struct table *t)
{
    mem_free(t->cells);
    buf_free(&t->text);
    *t = (struct table){0};
}

/* The text of a cell, which ends where that of the next begins. */
static struct str text_of(const struct table *t, size_t i)
{
    size_t end = i + 1 < t->ncells ? t->cells[i + 1].at : t->text.len;
    return str_make(buf_view(&t->text).p + t->cells[i].at, end - t->cells[i].at);
}

struct buf *table_cell(struct table *t, enum tint tint)
{
    if (t->ncells == t->room) {
        t->room = t->room ? t->room * 2 : 64;
        t->cells = mem_realloc(t->cells, t->room, sizeof *t->cells);
    }
    t->cells[t->ncells++] = (struct cell){.at = t->text.len, .tint = tint};
    return &t->text;
}

void table_text(struct table *t, enum tint tint, const char *text)
{
    (void)!buf_str(table_cell(t, tint), str_c(text));
}

void table_foreign(struct table *t, enum tint tint, struct str text)
{
    struct buf *b = table_cell(t, text.n ? tint : TINT_DIM);
    if (text.n)
        human_text(b, text);
    else
        (void)!buf_str(b, STR("-"));
}

void tint_put(struct buf *out, enum tint tint, bool color, struct str text)
{
    bool on = color && tint != TINT_NONE && text.n;
    if (on)
        (void)!buf_str(out, str_c(escapes[tint]));
    (void)!buf_str(out, text);
    if (on)
        (void)!buf_str(out, STR("\033[0m"));
}

/* ---- layout */

static size_t total(const struct table *t, const size_t *w)
{
    size_t sum = 0, shown = 0;
    for (size_t c = 0; c < t->ncolumns; c++)
        if (w[c]) {
            sum += w[c];
            shown++;
        }
    return sum + (shown ? (shown - 1) * GAP : 0);
}

/* The widest column that may still shrink; ncolumns: there is none. */
static size_t widest(const struct table *t, const size_t *w)
{
    size_t at = t->ncolumns;
    for (size_t c = 0; c < t->ncolumns; c++)
        if (t->columns[c].shrink && w[c] > SHRINK_MIN && (at == t->ncolumns || w[c] > w[at]))
            at = c;
    return at;
}

/* The shown column with the highest `miss`; ncolumns: there is none. */
static size_t dispensable(const struct table *t, const size_t *w)
{
    size_t at = t->ncolumns;
    for (size_t c = 0; c < t->ncolumns; c++)
        if (w[c] && t->columns[c].miss &&
            (at == t->ncolumns || t->columns[c].miss >= t->columns[at].miss))
            at = c;
    return at;
}

/* Computes the widths by content, then cuts them to fit; 0: the column is left out. */
static void lay_out(const struct table *t, size_t width, size_t *w)
{
    memset(w, 0, t->ncolumns * sizeof *w);
    for (size_t i = 0; i < t->ncells; i++)
        w[i % t->ncolumns] = max_size(w[i % t->ncolumns], human_width(text_of(t, i)));
    for (size_t c = 0; c < t->ncolumns; c++) /* a column without any text is not shown */
        if (w[c] || t->ncells == 0)
            w[c] = max_size(w[c], human_width(str_c(t->columns[c].title)));
    if (width == 0)
        return;
    size_t full[COLUMNS_MAX];
    memcpy(full, w, t->ncolumns * sizeof *w);
    for (;;) {
        size_t c;
        while (total(t, w) > width && (c = widest(t, w)) != t->ncolumns)
            w[c]--;
        if (total(t, w) <= width || (c = dispensable(t, w)) == t->ncolumns)
            return;
        /* with one column less the others are cut less */
        full[c] = 0;
        memcpy(w, full, t->ncolumns * sizeof *w);
    }
}

static void put_cell(struct buf *out, struct str s, size_t width, bool right, bool last,
                     enum tint tint, bool color)
{
    size_t w = human_width(s);
    bool cut = w > width;
    if (cut) {
        s.n = human_cut(s, width - 1);
        w = human_width(s) + 1;
    }
    size_t pad = w < width ? width - w : 0;
    for (size_t i = 0; right && i < pad; i++)
        (void)!buf_str(out, STR(" "));
    tint_put(out, tint, color, s);
    if (cut)
        (void)!buf_str(out, STR("…"));
    for (size_t i = 0; !right && !last && i < pad; i++)
        (void)!buf_str(out, STR(" "));
}

/* Bytes of s that go into one line: up to the last blank that fits; all of a word that is longer
 * than the line is cut there. */
static size_t line_of(struct str s, size_t width)
{
    if (human_width(s) <= width)
        return s.n;
    size_t n = human_cut(s, width), at = n;
    while (at > 0 && s.p[at] != ' ')
        at--;
    return at ? at : n ? n : s.n;
}

static void trim_end(struct buf *out)
{
    while (out->len && buf_data(out)[out->len - 1] == ' ') /* empty cells at the end */
        out->len--;
}

/* The lines that follow the first one of a cell in the last column. */
static void put_rest(struct buf *out, struct str s, size_t indent, size_t width, enum tint tint,
                     bool color)
{
    for (;;) {
        while (s.n && s.p[0] == ' ')
            s = str_make(s.p + 1, s.n - 1);
        if (!s.n)
            return;
        size_t n = line_of(s, width);
        trim_end(out);
        (void)!buf_str(out, STR("\n"));
        for (size_t i = 0; i < indent; i++)
            (void)!buf_str(out, STR(" "));
        tint_put(out, tint, color, str_make(s.p, n));
        s = str_make(s.p + n, s.n - n);
    }
}

void table_print(const struct table *t, size_t width, bool color, struct buf *out)
{
    size_t w[COLUMNS_MAX], last = 0, rows = t->ncolumns ? t->ncells / t->ncolumns : 0;
    lay_out(t, width, w);
    for (size_t c = 0; c < t->ncolumns; c++)
        if (w[c])
            last = c;
    for (size_t r = 0; r <= rows; r++) { /* row 0: the titles */
        bool first = true;
        for (size_t c = 0; c < t->ncolumns; c++) {
            if (!w[c])
                continue;
            if (!first)
                (void)!buf_str(out, STR("  "));
            first = false;
            size_t i = r ? (r - 1) * t->ncolumns + c : 0;
            struct str s = r ? text_of(t, i) : str_c(t->columns[c].title), rest = STR("");
            size_t indent = total(t, w) - w[c], room = w[c];
            if (r && t->wrap && c == last) {
                size_t n = line_of(s, w[c]);
                if (n < s.n && room < NARROW && width > NARROW) { /* on lines of its own */
                    n = 0;
                    indent = INDENT;
                    room = width - INDENT;
                }
                rest = str_make(s.p + n, s.n - n);
                s.n = n;
            }
            put_cell(out, s, w[c], t->columns[c].right, c == last, r ? t->cells[i].tint : TINT_DIM,
                     color);
            if (rest.n)
                put_rest(out, rest, indent, room, t->cells[i].tint, color);
        }
        trim_end(out);
        (void)!buf_str(out, STR("\n"));
    }
}
