#include "supervisor/config/yaml_tree.h"

#include "common/base/mem.h"
#include "common/secret/secret.h"

#include <stdlib.h>
#include <yaml.h>

enum { DEPTH_MAX = 16 };

struct reader {
    yaml_parser_t parser;
    yaml_event_t event;
    struct faults *f;
    struct str input;
};

void ynode_free(struct ynode *node)
{
    if (!node)
        return;
    if (node->text)
        secret_wipe(node->text, node->len);
    for (size_t i = 0; i < node->n; i++)
        ynode_free(node->v[i]);
    mem_free(node->text);
    mem_free(node->v);
    mem_free(node);
}

static void node_add(struct ynode *parent, struct ynode *child)
{
    if (parent->n == parent->cap) {
        parent->cap = parent->cap ? 2 * parent->cap : 8;
        parent->v = mem_realloc(parent->v, parent->cap, sizeof *parent->v);
    }
    parent->v[parent->n++] = child;
}

static void event_done(struct reader *r)
{
    /* libyaml frees scalars without wiping them, and a scalar may be a key. */
    if (r->event.type == YAML_SCALAR_EVENT)
        secret_wipe(r->event.data.scalar.value, r->event.data.scalar.length);
    yaml_event_delete(&r->event);
}

static void fault_here(struct reader *r, const char *what)
{
    faults_at(r->f, (unsigned)r->event.start_mark.line + 1,
              (unsigned)r->event.start_mark.column + 1, false, "", "%s", what);
}

/* Adds the fault for bytes that are no text, for which libyaml gives an offset instead of a
 * line. */
static void fault_bytes(struct reader *r)
{
    unsigned line = 1, col = 1;
    size_t n = r->parser.problem_offset;
    for (size_t i = 0; i < n && i < r->input.n; i++) {
        bool newline = r->input.p[i] == '\n';
        line += newline;
        /* Columns count characters: continuation bytes of UTF-8 are left out. */
        col = newline ? 1 : col + ((r->input.p[i] & 0xc0) != 0x80);
    }
    faults_at(r->f, line, col, false, "", "not UTF-8 text: %s", r->parser.problem);
}

static bool line_has(struct str input, size_t line, struct str what)
{
    for (; line; line--) {
        const char *nl = memchr(input.p, '\n', input.n);
        if (!nl)
            return false;
        input.n -= (size_t)(nl + 1 - input.p);
        input.p = nl + 1;
    }
    const char *nl = input.n ? memchr(input.p, '\n', input.n) : NULL;
    return str_find(str_make(input.p, nl ? (size_t)(nl - input.p) : input.n), what) >= 0;
}

/* The usual reason in a configuration for a syntax error of libyaml. */
static const char *syntax_hint(const struct reader *r, const char *context)
{
    if (strstr(context, "scanning an alias") || strstr(context, "scanning an anchor"))
        return "; a text that begins with * or & must be in quotes";
    if (strstr(context, "scanning for the next token"))
        return "; no text begins with a tab, @, ` or % unless in quotes";
    if (strstr(context, "parsing a block mapping"))
        return "; the keys of one mapping begin in the same column";
    if (strstr(context, "parsing a flow") &&
        line_has(r->input, r->parser.problem_mark.line, STR("${")))
        return "; inside { } and [ ] a ${NAME} must be in quotes";
    return "";
}

static void fault_syntax(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_READER_ERROR) {
        fault_bytes(r);
        return;
    }
    const char *context = p->context ? p->context : "", *hint = syntax_hint(r, context);
    faults_at(r->f, (unsigned)p->problem_mark.line + 1, (unsigned)p->problem_mark.column + 1, false,
              "", "%s%s%s%s", p->problem ? p->problem : "not valid YAML", *context ? " " : "",
              context, hint);
}

static bool next_event(struct reader *r)
{
    if (yaml_parser_parse(&r->parser, &r->event))
        return true;
    fault_syntax(r);
    return false;
}

static struct ynode *read_node(struct reader *r, unsigned depth);

static int key_cmp(const void *a, const void *b)
{
    const struct ynode *x = *(struct ynode *const *)a, *y = *(struct ynode *const *)b;
    size_t n = min_size(x->len, y->len);
    int d = n ? memcmp(x->text, y->text, n) : 0;
    if (d == 0)
        d = (x->len > y->len) - (x->len < y->len);
    if (d == 0)
        d = (x->line > y->line) - (x->line < y->line);
    return d ? d : (x->col > y->col) - (x->col < y->col);
}

static void check_twice(struct reader *r, const struct ynode *map)
{
    struct ynode **keys = mem_zalloc(map->n / 2 + 1, sizeof *keys);
    size_t n = map->n / 2;
    for (size_t i = 0; i < n; i++)
        keys[i] = map->v[2 * i];
    qsort(keys, n, sizeof *keys, key_cmp);
    for (size_t i = 1; i < n; i++)
        if (str_eq(str_make(keys[i]->text, keys[i]->len),
                   str_make(keys[i - 1]->text, keys[i - 1]->len)))
            faults_at(r->f, keys[i]->line, keys[i]->col, false, "",
                      "key \"%.64s\" is given twice (first in line %u)", keys[i]->text,
                      keys[i - 1]->line);
    mem_free(keys);
}

/* Reads the children up to the end of a list or map. */
static bool read_children(struct reader *r, struct ynode *parent, unsigned depth)
{
    yaml_event_type_t end =
        parent->kind == YNODE_LIST ? YAML_SEQUENCE_END_EVENT : YAML_MAPPING_END_EVENT;
    for (;;) {
        if (!next_event(r))
            return false;
        if (r->event.type == end) {
            event_done(r);
            if (parent->kind == YNODE_MAP)
                check_twice(r, parent);
            return true;
        }
        bool is_key = parent->kind == YNODE_MAP && parent->n % 2 == 0;
        if (is_key && r->event.type != YAML_SCALAR_EVENT && r->event.type != YAML_ALIAS_EVENT) {
            fault_here(r, "a key must be a text");
            event_done(r);
            return false;
        }
        struct ynode *child = read_node(r, depth);
        if (!child)
            return false;
        node_add(parent, child);
    }
}

static const char *refusal(const yaml_event_t *ev)
{
    static const char alias[] = "aliases (*name) and merge keys are not supported; a text that "
                                "begins with * must be in quotes";
    static const char anchor[] = "anchors (&name) are not supported; a text that begins with & "
                                 "must be in quotes";
    static const char tag[] = "tags (!name) are not supported; a text that begins with ! must be "
                              "in quotes";
    if (ev->type == YAML_ALIAS_EVENT)
        return alias;
    if (ev->type == YAML_SCALAR_EVENT)
        return ev->data.scalar.anchor ? anchor : ev->data.scalar.tag ? tag : NULL;
    if (ev->type == YAML_SEQUENCE_START_EVENT)
        return ev->data.sequence_start.anchor ? anchor : ev->data.sequence_start.tag ? tag : NULL;
    if (ev->type == YAML_MAPPING_START_EVENT)
        return ev->data.mapping_start.anchor ? anchor : ev->data.mapping_start.tag ? tag : NULL;
    return "not expected here";
}

/* Reads the node that r->event begins. NULL: a fault that ends the reading. */
static struct ynode *read_node(struct reader *r, unsigned depth)
{
    const char *why = refusal(&r->event);
    if (!why && depth == DEPTH_MAX)
        why = "nested too deeply";
    if (why) {
        fault_here(r, why);
        event_done(r);
        return NULL;
    }
    struct ynode *node = mem_zalloc(1, sizeof *node);
    node->line = (unsigned)r->event.start_mark.line + 1;
    node->col = (unsigned)r->event.start_mark.column + 1;
    if (r->event.type == YAML_SCALAR_EVENT) {
        node->kind = YNODE_SCALAR;
        node->len = r->event.data.scalar.length;
        node->text = mem_strndup((const char *)r->event.data.scalar.value, node->len);
        node->quoted = r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        event_done(r);
        return node;
    }
    node->kind = r->event.type == YAML_SEQUENCE_START_EVENT ? YNODE_LIST : YNODE_MAP;
    event_done(r);
    if (read_children(r, node, depth + 1))
        return node;
    ynode_free(node);
    return NULL;
}

/* Reads the stream from its start to its end: one document, or none. */
static struct ynode *read_stream(struct reader *r)
{
    struct ynode *root = NULL;
    for (bool done = false; !done;) {
        if (!next_event(r)) {
            ynode_free(root);
            return NULL;
        }
        switch (r->event.type) {
        case YAML_DOCUMENT_START_EVENT:
            if (root) {
                fault_here(r, "a second document begins here; the file must hold one only");
                done = true;
            }
            event_done(r);
            break;
        case YAML_NO_EVENT:
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
            event_done(r);
            break;
        case YAML_STREAM_END_EVENT:
            event_done(r);
            done = true;
            break;
        case YAML_ALIAS_EVENT:
        case YAML_SCALAR_EVENT:
        case YAML_SEQUENCE_START_EVENT:
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_START_EVENT:
        case YAML_MAPPING_END_EVENT:
            root = read_node(r, 0);
            if (!root)
                return NULL;
            break;
        }
    }
    return root;
}

struct ynode *ynode_parse(struct str input, struct faults *f)
{
    if (str_starts(input, STR("\xef\xbb\xbf"))) /* an editor's mark is no column */
        input = str_make(input.p + 3, input.n - 3);
    struct reader r = {.f = f, .input = input};
    if (!yaml_parser_initialize(&r.parser)) {
        faults_at(f, 0, 0, false, "", "out of memory");
        return NULL;
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)input.p, input.n);
    struct ynode *root = read_stream(&r);
    yaml_parser_delete(&r.parser);
    return root;
}
