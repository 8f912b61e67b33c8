#include "supervisor/store/store_cells.h"

#include "common/base/fd.h"
#include "common/base/mem.h"
#include "supervisor/store/store_dir.h"

#include <errno.h>
#include <msgpack.h>
#include <openssl/evp.h>
#include <string.h>

enum { HASH = 32, FIELDS = 9, NAME_FIELDS = 3, AT_VERSION = 8, AT_HASH = 16 };

static const char magic[8] = {'Q', 'C', 'C', 'C', 'E', 'L', 'L', 'S'};

/* ---- writing */

static bool put_bytes(msgpack_packer *pk, const char *s)
{
    return msgpack_pack_bin_with_body(pk, s, strlen(s)) == 0;
}

static bool put_time(msgpack_packer *pk, int64_t ms, int64_t ahead_ms)
{
    return msgpack_pack_int64(pk, ms ? ms + ahead_ms : 0) == 0;
}

static bool put_cell(msgpack_packer *pk, const struct saved_cell *c, int64_t ahead_ms)
{
    return msgpack_pack_array(pk, FIELDS) == 0 &&
           msgpack_pack_str_with_body(pk, c->id, strlen(c->id)) == 0 && put_bytes(pk, c->family) &&
           put_bytes(pk, c->model) && msgpack_pack_uint8(pk, c->by_cells) == 0 &&
           msgpack_pack_uint32(pk, c->failures) == 0 && msgpack_pack_int64(pk, c->open_ms) == 0 &&
           put_time(pk, c->open_until_ms, ahead_ms) && put_time(pk, c->own_until_ms, ahead_ms) &&
           put_time(pk, c->served_ms, ahead_ms);
}

static bool put_name(msgpack_packer *pk, const struct saved_name *n, int64_t ahead_ms)
{
    return msgpack_pack_array(pk, NAME_FIELDS) == 0 &&
           msgpack_pack_str_with_body(pk, n->id, strlen(n->id)) == 0 &&
           msgpack_pack_uint64(pk, n->hash) == 0 && put_time(pk, n->served_ms, ahead_ms);
}

static bool put_all(msgpack_packer *pk, const struct saved_cells *c, int64_t ahead_ms)
{
    bool ok = msgpack_pack_array(pk, c->n) == 0;
    for (size_t i = 0; ok && i < c->n; i++)
        ok = put_cell(pk, &c->v[i], ahead_ms);
    ok = ok && msgpack_pack_array(pk, c->nnames) == 0;
    for (size_t i = 0; ok && i < c->nnames; i++)
        ok = put_name(pk, &c->names[i], ahead_ms);
    return ok;
}

static bool put_file(int fd, const msgpack_sbuffer *body)
{
    uint8_t head[STORE_CELLS_HEAD] = {0};
    unsigned n = HASH;
    memcpy(head, magic, sizeof magic);
    head[AT_VERSION + 3] = STORE_CELLS_VERSION;
    return EVP_Digest(body->data, body->size, head + AT_HASH, &n, EVP_sha256(), NULL) == 1 &&
           store_dir_put(fd, head, sizeof head) && store_dir_put(fd, body->data, body->size);
}

bool store_cells_write(int dir, const char *name, const struct store_view *v)
{
    msgpack_sbuffer body;
    msgpack_packer pk;
    msgpack_sbuffer_init(&body);
    msgpack_packer_init(&pk, &body, msgpack_sbuffer_write);
    errno = ENOMEM; /* for failures that set no errno */
    bool ok = put_all(&pk, &v->cells, v->wall_ms - v->now_ms);
    int fd = ok ? store_dir_begin(dir, name) : -1;
    ok = fd != -1 && put_file(fd, &body) && store_dir_commit(dir, fd, name);
    int why = errno;
    fd_close(&fd);
    msgpack_sbuffer_destroy(&body);
    errno = why;
    return ok;
}

/* ---- reading */

static bool get_text(struct rd *r, char *out)
{
    struct str s;
    if (!rd_bin(r, IPC_MODEL_MAX, &s) || (s.n && memchr(s.p, '\0', s.n)))
        return false;
    if (s.n)
        memcpy(out, s.p, s.n);
    return true;
}

static bool get_time(struct rd *r, int64_t ahead_ms, int64_t *ms)
{
    static const int64_t most = INT64_C(1) << 52; /* far from any overflow */
    if (!rd_i64(r, ms) || *ms < 0 || *ms > most)
        return false;
    if (*ms)
        *ms = *ms == ahead_ms ? -1 : *ms - ahead_ms;
    return true;
}

static bool get_cell(struct rd *r, int64_t ahead_ms, struct saved_cell *c)
{
    uint32_t n, number;
    struct str id;
    uint64_t by_cells, failures;
    if (!rd_array(r, FIELDS, &n) || n != FIELDS || !rd_str(r, 8, &id) ||
        !binding_table_id(id, &number) || !get_text(r, c->family) || !get_text(r, c->model) ||
        !rd_u64(r, &by_cells) || by_cells > 1 || !rd_u64(r, &failures) || failures > UINT32_MAX ||
        !rd_i64(r, &c->open_ms) || c->open_ms < 0 || !get_time(r, ahead_ms, &c->open_until_ms) ||
        !get_time(r, ahead_ms, &c->own_until_ms) || !get_time(r, ahead_ms, &c->served_ms))
        return false;
    memcpy(c->id, id.p, id.n);
    c->by_cells = by_cells != 0;
    c->failures = (uint32_t)failures;
    return true;
}

static bool get_name(struct rd *r, int64_t ahead_ms, struct saved_name *name)
{
    uint32_t n, number;
    struct str id;
    if (!rd_array(r, NAME_FIELDS, &n) || n != NAME_FIELDS || !rd_str(r, 8, &id) ||
        !binding_table_id(id, &number) || !rd_u64(r, &name->hash) ||
        !get_time(r, ahead_ms, &name->served_ms))
        return false;
    memcpy(name->id, id.p, id.n);
    return true;
}

/* Both lists; what was read is in *v also where the rest is malformed. */
static bool get_all(struct rd *r, size_t most, unsigned version, int64_t ahead_ms,
                    struct saved_cells *v)
{
    uint32_t cells, names = 0;
    if (!rd_array(r, STORE_CELLS, &cells) || cells > most)
        return false;
    v->v = mem_zalloc((size_t)cells + 1, sizeof *v->v);
    for (; v->n < cells; v->n++)
        if (!get_cell(r, ahead_ms, &v->v[v->n]))
            return false;
    if (version > 1 && (!rd_array(r, STORE_NAMES, &names) || names > most))
        return false;
    v->names = mem_zalloc((size_t)names + 1, sizeof *v->names);
    for (; v->nnames < names; v->nnames++)
        if (!get_name(r, ahead_ms, &v->names[v->nnames]))
            return false;
    return rd_end(r);
}

bool store_cells_body(struct str body, unsigned version, int64_t ahead_ms, struct saved_cells *v,
                      struct err *e)
{
    struct rd r;
    *v = (struct saved_cells){0};
    rd_init(&r, body);
    if (get_all(&r, body.n, version, ahead_ms, v))
        return true;
    saved_cells_free(v);
    return err_set(e, "is malformed");
}

bool store_cells_parse(struct str file, int64_t ahead_ms, struct saved_cells *v, struct err *e)
{
    const uint8_t *p = (const uint8_t *)file.p;
    uint8_t hash[HASH];
    unsigned len = 0;
    *v = (struct saved_cells){0};
    if (file.n < STORE_CELLS_HEAD || memcmp(p, magic, sizeof magic) != 0)
        return err_set(e, "is not a file of cells of QCC");
    unsigned version = p[AT_VERSION + 3];
    if (p[AT_VERSION] || p[AT_VERSION + 1] || p[AT_VERSION + 2] || version == 0 ||
        version > STORE_CELLS_VERSION)
        return err_set(e, "is of another version");
    struct str body = str_make(file.p + STORE_CELLS_HEAD, file.n - STORE_CELLS_HEAD);
    if (EVP_Digest(body.p, body.n, hash, &len, EVP_sha256(), NULL) != 1 || len != HASH ||
        memcmp(hash, p + AT_HASH, HASH) != 0)
        return err_set(e, "is damaged");
    return store_cells_body(body, version, ahead_ms, v, e);
}
