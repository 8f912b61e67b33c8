#include "supervisor/recorder/tables/names.h"

#include "common/base/mem.h"

/* Names of each kind at most; endpoints and clients are the configuration's. */
static const int64_t most[NAME_KINDS] = {[NAME_ENDPOINT] = 1000000,
                                         [NAME_MODEL] = 1000,
                                         [NAME_CLIENT] = 1000000,
                                         [NAME_PATH] = 64,
                                         [NAME_END] = 256};

static const struct str other = STR_LIT("(other)");

static uint32_t hash_of(enum name_kind kind, struct str s)
{
    uint32_t h = 2166136261u ^ (uint32_t)kind; /* FNV-1a */
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)s.p[i]) * 16777619u;
    return h;
}

/* The place of the name, or the empty one where it belongs. */
static struct name_slot *place_of(struct names *n, enum name_kind kind, struct str s)
{
    size_t at = hash_of(kind, s) & (n->cap - 1);
    while (n->v[at].id && (n->v[at].kind != kind || !str_eq(str_c(n->v[at].text), s)))
        at = (at + 1) & (n->cap - 1);
    return &n->v[at];
}

static void grow(struct names *n)
{
    struct names old = *n;
    n->cap = old.cap ? 2 * old.cap : 256;
    n->v = mem_zalloc(n->cap, sizeof *n->v);
    for (size_t i = 0; i < old.cap; i++)
        if (old.v[i].id)
            *place_of(n, (enum name_kind)old.v[i].kind, str_c(old.v[i].text)) = old.v[i];
    mem_free(old.v);
}

static bool prepare(struct names *n)
{
    if (n->counted)
        return true;
    const char *find = "SELECT id FROM name WHERE kind=?1 AND text=?2";
    const char *add = "INSERT INTO name(kind, text) VALUES(?1, ?2)";
    const char *count = "SELECT kind, count(*) FROM name GROUP BY kind";
    if (sqlite3_prepare_v2(n->db, find, -1, &n->find, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(n->db, add, -1, &n->add, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(n->db, count, -1, &n->count, NULL) != SQLITE_OK)
        return false;
    int rc;
    while ((rc = sqlite3_step(n->count)) == SQLITE_ROW) {
        int64_t kind = sqlite3_column_int64(n->count, 0);
        if (kind >= 0 && kind < NAME_KINDS)
            n->counts[kind] = sqlite3_column_int64(n->count, 1);
    }
    sqlite3_reset(n->count);
    n->counted = rc == SQLITE_DONE;
    return n->counted;
}

static int run(sqlite3_stmt *st, enum name_kind kind, struct str s)
{
    sqlite3_reset(st);
    sqlite3_bind_int(st, 1, (int)kind);
    sqlite3_bind_text(st, 2, s.p, (int)s.n, SQLITE_STATIC);
    return sqlite3_step(st);
}

/* The number in the file; 0: it is not there; -1: SQLite failed. */
static int64_t find(struct names *n, enum name_kind kind, struct str s)
{
    int rc = run(n->find, kind, s);
    int64_t id = rc == SQLITE_ROW ? sqlite3_column_int64(n->find, 0) : rc == SQLITE_DONE ? 0 : -1;
    sqlite3_reset(n->find);
    return id;
}

static int64_t add(struct names *n, enum name_kind kind, struct str s)
{
    int rc = run(n->add, kind, s);
    sqlite3_reset(n->add);
    n->counts[kind] += rc == SQLITE_DONE;
    return rc == SQLITE_DONE ? sqlite3_last_insert_rowid(n->db) : -1;
}

static int64_t id_within(struct names *n, enum name_kind kind, struct str text, int64_t room)
{
    if (!text.n)
        return 0;
    if (2 * n->n >= n->cap)
        grow(n);
    struct name_slot *p = place_of(n, kind, text);
    if (p->id)
        return p->id;
    int64_t id = prepare(n) ? find(n, kind, text) : -1;
    if (id == 0 && n->counts[kind] >= room)
        return str_eq(text, other) ? add(n, kind, text) : id_within(n, kind, other, room);
    if (id == 0)
        id = add(n, kind, text);
    if (id > 0) {
        *p = (struct name_slot){
            .id = id, .text = mem_strndup(text.p, text.n), .kind = (uint8_t)kind};
        n->n++;
    }
    return id;
}

int64_t names_id(struct names *n, enum name_kind kind, struct str text)
{
    return id_within(n, kind, text, most[kind]);
}

int64_t names_id_doubtful(struct names *n, enum name_kind kind, struct str text)
{
    return id_within(n, kind, text, most[kind] / 2);
}

void names_forget(struct names *n)
{
    for (size_t i = 0; i < n->cap; i++)
        mem_free(n->v[i].text);
    mem_free(n->v);
    sqlite3_finalize(n->find);
    sqlite3_finalize(n->add);
    sqlite3_finalize(n->count);
    *n = (struct names){.db = n->db, .forgets = n->forgets + 1};
}
