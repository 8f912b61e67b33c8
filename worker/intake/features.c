#include "worker/intake/features.h"

#include "common/base/mem.h"
#include "common/policy/feature.h"

/* ---- what a request carries */

static bool has_kind(const struct marks *t, enum mark_kind k)
{
    return (t->kinds & 1u << k) != 0;
}

/* Adds the item if it is marked or suspect somewhere. */
static void add(struct features *s, const struct marks *t, enum mark_kind k, struct str name)
{
    uint64_t hash = name.n ? marks_hash(k, name) : 0;
    if (name.n == 0 || s->n == FEATURES_MAX || features_carry(s, hash))
        return;
    for (uint32_t i = 0; i < t->n; i++)
        if (t->v[i].kind == k && t->v[i].hash == hash && str_eq(mark_text(&t->v[i]), name)) {
            s->v[s->n++] = hash;
            return;
        }
}

static void add_list(struct features *s, const struct marks *t, enum mark_kind k, struct str list)
{
    char room[MARK_NAME_MAX];
    struct str elem;
    while (has_kind(t, k) && str_next_elem(&list, &elem))
        add(s, t, k, mark_name(k, elem, (struct str){0}, room));
}

static void add_header(struct features *s, const struct marks *t, const struct http_field *f)
{
    char lower[MARK_ITEM_MAX], room[MARK_NAME_MAX];
    if (!feature_is_header(f->name))
        return;
    for (size_t i = 0; i < f->name.n; i++)
        lower[i] = ascii_lower(f->name.p[i]);
    struct str value = str_trim(f->value);
    add(s, t, MARK_HEADER,
        mark_name(MARK_HEADER, str_make(lower, f->name.n), value.n ? value : (struct str){0},
                  room));
}

void features_of_head(struct features *s, const struct marks *t, const struct http_field *f,
                      size_t nf)
{
    char room[MARK_NAME_MAX];
    for (size_t i = 0; i < nf; i++) {
        if (str_eq_nocase(f[i].name, STR("anthropic-beta")))
            add_list(s, t, MARK_BETA, f[i].value);
        else if (str_eq_nocase(f[i].name, STR("content-encoding")))
            add_list(s, t, MARK_CODING, f[i].value);
        else if (str_eq_nocase(f[i].name, STR("anthropic-version")))
            add(s, t, MARK_VERSION,
                mark_name(MARK_VERSION, str_trim(f[i].value), (struct str){0}, room));
        else if (has_kind(t, MARK_HEADER))
            add_header(s, t, &f[i]);
    }
}

/* A scalar's bytes as feature_member takes them. */
static struct str scalar(const struct json_hit *v)
{
    bool none = v->kind == JSON_IS_OBJECT || v->kind == JSON_IS_ARRAY || v->escaped;
    return none ? (struct str){0} : v->raw;
}

/* Whether a member of that object is marked or suspect somewhere. */
static bool outer_wanted(const struct marks *t, struct str object)
{
    for (uint32_t i = 0; i < t->n; i++) {
        struct str outer, name;
        if (t->v[i].kind != MARK_FIELD)
            continue;
        feature_path_of(mark_text(&t->v[i]), &outer, &name);
        if (outer.n && str_eq(outer, object))
            return true;
    }
    return false;
}

static bool type_of_tool(const struct json_hit *tool, struct str *type)
{
    struct json_want want = {.name = STR("type")};
    struct json_hit hit;
    *type = STR("");
    if (tool->kind == JSON_IS_OBJECT && json_find(tool->raw, &want, &hit, 1) &&
        hit.kind == JSON_IS_STRING && !hit.escaped)
        *type = hit.raw;
    return type->n > 0;
}

static bool add_tool(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    struct features_body *b = ctx;
    struct str type;
    char room[MARK_NAME_MAX];
    (void)name, (void)escaped;
    if (type_of_tool(v, &type))
        add(b->s, b->t, MARK_TOOL, mark_name(MARK_TOOL, type, (struct str){0}, room));
    return ++b->members < FEATURES_MEMBERS;
}

bool features_of_member(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    struct features_body *b = ctx;
    char room[MARK_NAME_MAX];
    if (++b->members > FEATURES_MEMBERS)
        return false;
    if (escaped)
        return true;
    if (has_kind(b->t, MARK_FIELD)) {
        add(b->s, b->t, MARK_FIELD, feature_member_name(b->outer, name, scalar(v), room));
        if (b->outer.n == 0 && v->kind == JSON_IS_OBJECT && outer_wanted(b->t, name)) {
            b->outer = name;
            json_each(v->raw, features_of_member, b);
            b->outer = STR("");
        }
    }
    if (has_kind(b->t, MARK_TOOL) && b->outer.n == 0 && v->kind == JSON_IS_ARRAY &&
        str_eq(name, STR("tools")))
        json_each(v->raw, add_tool, b);
    return true;
}

/* ---- what a refusal names */

struct search {
    struct feature *f;
    struct str outer;
    unsigned members;
};

static bool offer_tool(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    struct search *s = ctx;
    struct str type;
    (void)name, (void)escaped;
    if (type_of_tool(v, &type))
        feature_tool(s->f, type);
    return ++s->members < FEATURES_MEMBERS;
}

static bool offer_member(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    struct search *s = ctx;
    if (++s->members > FEATURES_MEMBERS)
        return false;
    if (escaped)
        return true;
    feature_member(s->f, s->outer, name, scalar(v));
    if (s->outer.n == 0 && v->kind == JSON_IS_OBJECT) {
        s->outer = name;
        json_each(v->raw, offer_member, s);
        s->outer = STR("");
    }
    if (s->outer.n == 0 && v->kind == JSON_IS_ARRAY && str_eq(name, STR("tools")))
        json_each(v->raw, offer_tool, s);
    return true;
}

/* Whether the header tells conversations apart. */
static bool is_key(const struct conf *c, struct str name)
{
    for (size_t i = 0; i < c->nkeys; i++)
        if (c->keys[i].kind == CONF_KEY_HEADER && str_eq_nocase(str_c(c->keys[i].name), name))
            return true;
    return false;
}

struct str features_named(const struct conf *c, const struct http_field *f, size_t nf,
                          struct str body, struct str refusal, enum mark_kind *kind,
                          char out[static MARK_NAME_MAX])
{
    struct feature *x = refusal.n ? mem_try(sizeof *x) : NULL;
    if (!x)
        return STR("");
    feature_read(x, refusal);
    for (size_t i = 0; i < nf; i++)
        if (!is_key(c, f[i].name))
            feature_header(x, f[i].name, f[i].value);
    struct search s = {.f = x};
    json_each(body, offer_member, &s);
    struct str named = feature_named(x, kind);
    memcpy(out, named.p, named.n);
    mem_free(x);
    return str_make(out, named.n);
}
