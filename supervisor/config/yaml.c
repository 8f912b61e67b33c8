#include "supervisor/config/yaml.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf_check.h"
#include "common/conf/conf_key.h"
#include "common/conf/conf_value.h"
#include "supervisor/config/expand.h"
#include "supervisor/config/file.h"
#include "supervisor/config/price_file.h"
#include "supervisor/config/yaml_tree.h"

#include <stdlib.h>

struct loader {
    struct conf *c;
    struct faults *f;
    struct ynode *root;
    unsigned key_line, key_col; /* the first literal key in the file; 0: none */
};

/* The place of a node for messages, such as "endpoints[2].headers". Longer ones are cut. */
struct place {
    char text[256];
};

static struct place place_key(const char *at, const char *key)
{
    struct place p;
    snprintf(p.text, sizeof p.text, "%s%s%s", at, *at ? "." : "", key);
    return p;
}

static struct place place_index(const char *at, size_t i)
{
    struct place p;
    snprintf(p.text, sizeof p.text, "%s[%zu]", at, i);
    return p;
}

static bool is_nothing(const struct ynode *n)
{
    return n->kind == YNODE_SCALAR &&
           conf_is_null((struct conf_text){str_make(n->text, n->len), n->quoted, false});
}

static void wrong_type(struct loader *ld, const struct ynode *n, const char *at, const char *want)
{
    static const char *const is[] = {
        [YNODE_SCALAR] = "a single value", [YNODE_LIST] = "a list", [YNODE_MAP] = "a mapping"};
    faults_at(ld->f, n->line, n->col, false, at, "must be %s, not %s", want, is[n->kind]);
}

/* ---- texts */

/* The node's text with ${NAME} replaced by the environment. t->s is valid as long as out. Warns of
 * a $NAME that is not replaced. */
static bool expanded(struct loader *ld, const struct ynode *n, const char *at, struct buf *out,
                     struct conf_text *t, struct err *e)
{
    struct str s = str_make(n->text, n->len);
    if (!expand(s, n->quoted, ld->f->file, out, t, e))
        return false;
    if (expand_forgot_braces(s))
        faults_at(ld->f, n->line, n->col, true, at,
                  "has a $NAME without braces, which stays as it is; write ${NAME} for the value "
                  "of an environment variable");
    return true;
}

/* Reads a text of a list or map into *t, which borrows from b; the caller frees b. Faults get the
 * node's place. */
static bool text_at(struct loader *ld, const struct ynode *n, const char *at, struct buf *b,
                    struct conf_text *t)
{
    struct err e;
    buf_init(b, CONF_TEXT_MAX);
    if (n->kind != YNODE_SCALAR) {
        wrong_type(ld, n, at, "a text");
        return false;
    }
    if (expanded(ld, n, at, b, t, &e) && conf_text_check(t->s, &e))
        return true;
    faults_at(ld->f, n->line, n->col, false, at, "%s", e.msg);
    return false;
}

static void note_key(struct loader *ld, const struct ynode *n)
{
    if (ld->key_line)
        return;
    ld->key_line = n->line;
    ld->key_col = n->col;
}

/* Whether a header of that name most likely carries a credential. */
static bool is_key_header(struct str name)
{
    return str_find_nocase(name, STR("authorization")) >= 0 ||
           str_find_nocase(name, STR("key")) >= 0 || str_find_nocase(name, STR("token")) >= 0 ||
           str_eq_nocase(name, STR("cookie"));
}

/* Whether that text of a CONF_SECRET key holds a secret: in a proxy or URL only its user part does.
 */
static bool holds_secret(const struct conf_key *k, struct str text)
{
    bool url = strcmp(k->name, "proxy") == 0 || strcmp(k->name, "url") == 0;
    return !url || (text.n && memchr(text.p, '@', text.n));
}

static void set_scalar(struct loader *ld, const struct conf_key *k, void *member,
                       const struct ynode *n, const char *at)
{
    struct err e;
    struct buf b;
    struct conf_text t;
    if (n->kind != YNODE_SCALAR) {
        wrong_type(ld, n, at, "a single value");
        return;
    }
    buf_init(&b, CONF_TEXT_MAX);
    if (!expanded(ld, n, at, &b, &t, &e) || !conf_value_set(k, member, t, &e))
        faults_at(ld->f, n->line, n->col, false, at, "%s", e.msg);
    else if ((k->flags & CONF_SECRET) && !t.hidden && !conf_is_null(t) && holds_secret(k, t.s))
        note_key(ld, n);
    file_done(&b);
}

/* Whether n is a list of at most max elements; else adds the fault. An empty value counts as an
 * empty list: false without a fault. */
static bool is_list(struct loader *ld, const struct ynode *n, const char *at, size_t max)
{
    if (is_nothing(n))
        return false;
    if (n->kind != YNODE_LIST) {
        wrong_type(ld, n, at, "a list");
        return false;
    }
    if (n->n > max) {
        faults_at(ld->f, n->line, n->col, false, at, "has more than %zu elements", max);
        return false;
    }
    return true;
}

static void set_strs(struct loader *ld, struct conf_strs *l, const struct ynode *n, const char *at)
{
    if (!is_list(ld, n, at, CONF_LIST_MAX))
        return;
    for (size_t i = 0; i < n->n; i++) {
        struct buf b;
        struct conf_text t;
        struct place p = place_index(at, i);
        faults_place(ld->f, p.text, n->v[i]->line, n->v[i]->col);
        bool ok = text_at(ld, n->v[i], p.text, &b, &t);
        conf_strs_add(l, ok ? t.s : STR("")); /* the others keep their numbers */
        buf_free(&b);
    }
}

static void set_map(struct loader *ld, struct conf_map *m, const struct ynode *n, const char *at)
{
    if (is_nothing(n))
        return;
    if (n->kind != YNODE_MAP) {
        wrong_type(ld, n, at, "a mapping");
        return;
    }
    if (n->n / 2 > CONF_LIST_MAX) {
        faults_at(ld->f, n->line, n->col, false, at, "has more than %d pairs", CONF_LIST_MAX);
        return;
    }
    for (size_t i = 0; i < n->n; i += 2) {
        struct err e;
        struct buf b;
        struct conf_text t;
        struct str from = str_make(n->v[i]->text, n->v[i]->len);
        if (!conf_text_check(from, &e)) {
            faults_at(ld->f, n->v[i]->line, n->v[i]->col, false, at, "a key %s", e.msg);
            continue;
        }
        struct place p = place_index(at, m->n);
        faults_place(ld->f, p.text, n->v[i]->line, n->v[i]->col);
        if (text_at(ld, n->v[i + 1], p.text, &b, &t)) {
            conf_map_add(m, from, t.s);
            if (!t.hidden && str_ends(str_c(at), STR("headers")) && is_key_header(from))
                note_key(ld, n->v[i + 1]);
        }
        file_done(&b);
    }
}

static void set_affinity(struct loader *ld, const struct ynode *n, const char *at)
{
    if (!is_list(ld, n, at, CONF_KEYS_MAX))
        return;
    for (size_t i = 0; i < n->n; i++) {
        struct err e;
        struct buf b;
        struct conf_text t;
        struct str name;
        enum conf_key_kind kind;
        struct place p = place_index(at, i);
        faults_place(ld->f, p.text, n->v[i]->line, n->v[i]->col);
        if (text_at(ld, n->v[i], p.text, &b, &t)) {
            if (conf_affinity_parse(t.s, &kind, &name, &e))
                conf_add_key(ld->c, kind, name);
            else
                faults_at(ld->f, n->v[i]->line, n->v[i]->col, false, p.text, "%s", e.msg);
        }
        buf_free(&b);
    }
}

/* ---- mappings */

static void walk(struct loader *ld, enum conf_group_id id, void *object, const char *section,
                 const char *at, const struct ynode *n);

static const struct ynode *child(const struct ynode *map, const char *key)
{
    for (size_t i = 0; map->kind == YNODE_MAP && i < map->n; i += 2)
        if (str_eq(str_make(map->v[i]->text, map->v[i]->len), str_c(key)))
            return map->v[i + 1];
    return NULL;
}

static void set_listen(struct loader *ld, const struct ynode *n, const char *at)
{
    struct conf_listen *l = conf_add_listen(ld->c);
    faults_place(ld->f, at, n->line, n->col);
    if (n->kind == YNODE_MAP) {
        walk(ld, CONF_G_LISTEN, l, "", at, n);
        return;
    }
    struct buf b;
    struct conf_text t;
    struct place p = place_key(at, "address");
    faults_place(ld->f, p.text, n->line, n->col);
    if (n->kind == YNODE_LIST)
        wrong_type(ld, n, p.text, "an address, or a mapping with `address`");
    else if (text_at(ld, n, p.text, &b, &t))
        l->address = mem_strndup(t.s.p, t.s.n);
    if (n->kind != YNODE_LIST)
        buf_free(&b);
}

static void set_listens(struct loader *ld, const struct ynode *n, const char *at)
{
    if (n->kind != YNODE_LIST && !is_nothing(n)) {
        set_listen(ld, n, place_index(at, 0).text);
    } else if (is_list(ld, n, at, CONF_LISTEN_MAX)) {
        for (size_t i = 0; i < n->n; i++)
            set_listen(ld, n->v[i], place_index(at, i).text);
    }
}

static void set_clients(struct loader *ld, const struct ynode *n, const char *at)
{
    if (!is_list(ld, n, at, CONF_CLIENTS_MAX))
        return;
    for (size_t i = 0; i < n->n; i++) {
        struct place p = place_index(at, i);
        faults_place(ld->f, p.text, n->v[i]->line, n->v[i]->col);
        walk(ld, CONF_G_CLIENT, conf_add_client(ld->c), "", p.text, n->v[i]);
        if (!child(n->v[i], "token_sha256"))
            continue;
        struct place token = place_key(p.text, "token");
        if (child(n->v[i], "token"))
            faults_add(ld->f, false, token.text, "is given beside token_sha256: keep one");
        else
            faults_excuse(ld->f, token.text);
    }
}

static void set_endpoints(struct loader *ld, const struct ynode *n, const char *at)
{
    if (!is_list(ld, n, at, CONF_ENDPOINTS_MAX))
        return;
    for (size_t i = 0; i < n->n; i++) {
        struct place p = place_index(at, i);
        faults_place(ld->f, p.text, n->v[i]->line, n->v[i]->col);
        struct conf_endpoint *ep = conf_add_endpoint(ld->c);
        walk(ld, CONF_G_ENDPOINT, ep, "", p.text, n->v[i]);
        const struct ynode *paths = child(n->v[i], "paths");
        if (!paths || !child(paths, "allow"))
            conf_strs_add(&ep->paths_allow, str_c(conf_default_paths_allow));
        if (!paths || !child(paths, "deny"))
            conf_strs_add(&ep->paths_deny, str_c(conf_default_paths_deny));
    }
}

static void set_row(struct loader *ld, const struct conf_key *k, void *member,
                    const struct ynode *n, const char *at)
{
    switch (k->kind) {
    case CONF_K_ms:
    case CONF_K_bytes:
    case CONF_K_u32:
    case CONF_K_flag:
    case CONF_K_ppm:
    case CONF_K_str:
    CONF_CASE_WORD:
    case CONF_K_token:
    case CONF_K_digest:
        set_scalar(ld, k, member, n, at);
        break;
    case CONF_K_strs:
        set_strs(ld, member, n, at);
        break;
    case CONF_K_map:
        set_map(ld, member, n, at);
        break;
    case CONF_K_affinity:
        set_affinity(ld, n, at);
        break;
    case CONF_K_listens:
        set_listens(ld, n, at);
        break;
    case CONF_K_clients:
        set_clients(ld, n, at);
        break;
    case CONF_K_endpoints:
        set_endpoints(ld, n, at);
        break;
    case CONF_K_prices:
        if (!is_nothing(n))
            price_file_models(n, at, true, &ld->c->overrides, ld->f);
        break;
    }
}

/* The key of a section, or NULL. */
static const struct conf_key *find_row(const struct conf_group *g, const char *section,
                                       struct str name, const struct conf_section **s)
{
    struct conf_iter it = {0};
    const struct conf_key *k;
    while (conf_iter_next(g, &it, s, &k))
        if (strcmp((*s)->path, section) == 0 && str_eq(str_c(k->name), name))
            return k;
    return NULL;
}

/* The name of the mapping directly below `section` that leads to `path`, or an empty text. */
static struct str below(const char *section, const char *path)
{
    struct str p = str_c(path), s = str_c(section);
    if (s.n) {
        if (!str_starts(p, s) || p.n == s.n || p.p[s.n] != '.')
            return (struct str){0};
        p = str_make(p.p + s.n + 1, p.n - s.n - 1);
    }
    const char *dot = p.n ? memchr(p.p, '.', p.n) : NULL;
    return dot ? str_make(p.p, (size_t)(dot - p.p)) : p;
}

static bool is_section(const struct conf_group *g, const char *section, struct str name)
{
    for (size_t i = 0; i < g->n; i++) {
        struct str b = below(section, g->sections[i].path);
        if (b.n && str_eq(b, name))
            return true;
    }
    return false;
}

enum { NAMES_MAX = 64 };

/* Gives the names of all keys that may stand in the section. Names of mappings in it are copied
 * into `own`. */
static size_t known_names(const struct conf_group *g, const char *section, const char **names,
                          char own[NAMES_MAX][32])
{
    size_t n = 0;
    struct conf_iter it = {0};
    const struct conf_section *s;
    const struct conf_key *k;
    while (n < NAMES_MAX && conf_iter_next(g, &it, &s, &k))
        if (strcmp(s->path, section) == 0)
            names[n++] = k->name;
    for (size_t i = 0; i < g->n && n < NAMES_MAX; i++) {
        struct str b = below(section, g->sections[i].path);
        if (!b.n)
            continue;
        snprintf(own[n], sizeof own[n], STR_FMT, STR_ARG(b));
        names[n] = own[n];
        n++;
    }
    return n;
}

/* Where in another section a key of that name exists: "limits.header_timeout", or "". */
static struct place elsewhere(struct str name)
{
    struct place p = {""};
    for (unsigned id = 0; id < CONF_G__COUNT; id++) {
        const struct conf_group *g = conf_group(id);
        struct conf_iter it = {0};
        const struct conf_section *s;
        const struct conf_key *k;
        while (conf_iter_next(g, &it, &s, &k)) {
            if (!str_eq(str_c(k->name), name))
                continue;
            snprintf(p.text, sizeof p.text, "%s%s%s%s%s", g->name, *g->name ? "[]." : "", s->path,
                     *s->path ? "." : "", k->name);
            return p;
        }
    }
    return p;
}

/* The one of the names whose last word that is: "base_url" of "url". NULL: none is, or several. */
static const char *by_last_word(struct str name, const char *const *names, size_t n)
{
    const char *found = NULL;
    for (size_t i = 0; i < n; i++) {
        struct str s = str_c(names[i]);
        if (s.n <= name.n + 1 || s.p[s.n - name.n - 1] != '_' || !str_ends(s, name))
            continue;
        if (found)
            return NULL;
        found = names[i];
    }
    return found;
}

static void unknown_key(struct loader *ld, enum conf_group_id id, const char *section,
                        const char *at, const struct ynode *key)
{
    struct err e;
    const char *names[NAMES_MAX];
    char own[NAMES_MAX][32];
    struct str name = str_make(key->text, key->len);
    bool kept = ld->f->n < FAULTS_MAX; /* else only counted, without a suggestion */
    if (!kept || name.n > 64 || !conf_text_check(name, &e)) {
        faults_at(ld->f, key->line, key->col, false, at, "unknown key");
        return;
    }
    size_t n = known_names(conf_group(id), section, names, own);
    const char *near = conf_nearest(name, names, n);
    if (!near)
        near = by_last_word(name, names, n);
    struct place other = elsewhere(name);
    /* The fault gets no path, which would mark the whole mapping as faulty. */
    char in[300] = "";
    if (*at)
        snprintf(in, sizeof in, "%s: ", at);
    if (near)
        faults_excuse(ld->f, place_key(at, near).text);
    if (near)
        faults_at(ld->f, key->line, key->col, false, "",
                  "%sunknown key \"%s\"; did you mean \"%s\"?", in, key->text, near);
    else if (*other.text)
        faults_at(ld->f, key->line, key->col, false, "", "%sunknown key \"%s\" here; there is %s",
                  in, key->text, other.text);
    else
        faults_at(ld->f, key->line, key->col, false, "", "%sunknown key \"%s\"", in, key->text);
}

/* Reads each key of a mapping by its row. `section` is the path in the group, `at` the place in the
 * file. An empty value counts as an empty mapping: all its lines are comments. */
static void walk(struct loader *ld, enum conf_group_id id, void *object, const char *section,
                 const char *at, const struct ynode *n)
{
    const struct conf_group *g = conf_group(id);
    if (is_nothing(n))
        return;
    if (n->kind != YNODE_MAP) {
        wrong_type(ld, n, at, "a mapping of keys to values");
        return;
    }
    for (size_t i = 0; i < n->n; i += 2) {
        const struct ynode *key = n->v[i], *value = n->v[i + 1];
        struct str name = str_make(key->text, key->len);
        const struct conf_section *s;
        const struct conf_key *k = find_row(g, section, name, &s);
        struct place p = place_key(at, key->text);
        if (k || is_section(g, section, name))
            faults_place(ld->f, p.text, value->line, value->col);
        if (k)
            set_row(ld, k, conf_member(object, s, k), value, p.text);
        else if (is_section(g, section, name))
            walk(ld, id, object, place_key(section, key->text).text, p.text, value);
        else
            unknown_key(ld, id, section, at, key);
    }
}

struct conf *yaml_read(const char *path, struct str text, bool open_to_all, struct faults *f)
{
    struct loader ld = {.f = f};
    faults_begin(f, path);
    ld.root = ynode_parse(text, f);
    if (!ld.root && f->errors)
        return NULL;
    if (ld.root && ld.root->kind != YNODE_MAP && !is_nothing(ld.root)) {
        wrong_type(&ld, ld.root, "", "a mapping of keys to values");
        ynode_free(ld.root);
        return NULL;
    }
    ld.c = conf_new();
    if (ld.root)
        walk(&ld, CONF_G_TOP, ld.c, "", "", ld.root);
    if (!ld.root || !child(ld.root, "listen"))
        conf_add_listen(ld.c)->address = mem_strdup(conf_default_listen);
    const struct ynode *affinity = ld.root ? child(ld.root, "affinity") : NULL;
    if (!affinity || !child(affinity, "keys")) {
        for (size_t i = 0; i < conf_default_nkeys; i++) {
            struct err e;
            struct str name;
            enum conf_key_kind kind;
            if (!conf_affinity_parse(str_c(conf_default_keys[i]), &kind, &name, &e))
                die("default affinity key %s: %s", conf_default_keys[i], e.msg);
            conf_add_key(ld.c, kind, name);
        }
    }
    const struct ynode *cluster = ld.root ? child(ld.root, "cluster") : NULL;
    if (!cluster || !child(cluster, "share"))
        for (size_t i = 0; i < conf_default_nshare; i++)
            conf_strs_add(&ld.c->cluster_more.share, str_c(conf_default_share[i]));
    if (ld.key_line && open_to_all)
        faults_at(f, ld.key_line, ld.key_col, true, "",
                  "the file holds a key and everybody may read it (chmod o-r, or use ${NAME})");
    ynode_free(ld.root);
    return ld.c;
}

struct conf *yaml_load(const char *path, struct faults *f)
{
    struct err e;
    struct buf text;
    bool open_to_all = false;
    struct conf *c = NULL;
    buf_init(&text, YAML_FILE_MAX);
    faults_begin(f, path);
    if (file_read(path, &text, &open_to_all, &e))
        c = yaml_read(path, buf_view(&text), open_to_all, f);
    else
        faults_at(f, 0, 0, false, "", "%s", e.msg);
    file_done(&text);
    return c;
}
