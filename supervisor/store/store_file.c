#include "supervisor/store/store_file.h"

#include "common/base/fd.h"
#include "common/base/mem.h"
#include "supervisor/store/store_dir.h"

#include <errno.h>
#include <msgpack.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

enum { HASH = 32, AT_VERSION = 8, AT_LENGTH = 16, AT_HASH = 24, PIECE = 64 << 10 };

/* Fields of an endpoint; version 1 had those up to its counters. */
enum { ENDPOINT_FIELDS_1 = 5, ENDPOINT_FIELDS = 8 };

/* Fields of the body; version 2 had those up to the bindings. */
enum { VERSION_MARKS = 3, BODY_FIELDS_2 = 3, BODY_FIELDS = 4, MARK_FIELDS = 4 };

static const char magic[8] = {'Q', 'C', 'C', 'S', 'T', 'A', 'T', 'E'};

static void put_be(uint8_t *p, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> 8 * (bytes - 1 - i));
}

static uint64_t get_be(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

/* ---- writing */

struct out {
    int fd;
    EVP_MD_CTX *md;
    uint64_t total;
    size_t n;
    uint8_t piece[PIECE];
};

static bool out_flush(struct out *o)
{
    bool ok = EVP_DigestUpdate(o->md, o->piece, o->n) == 1 && store_dir_put(o->fd, o->piece, o->n);
    o->total += o->n;
    o->n = 0;
    return ok;
}

/* A msgpack_packer_write. */
static int out_write(void *arg, const char *p, size_t n)
{
    struct out *o = arg;
    while (n) {
        if (o->n == PIECE && !out_flush(o))
            return -1;
        size_t k = min_size(n, PIECE - o->n);
        memcpy(o->piece + o->n, p, k);
        o->n += k;
        p += k;
        n -= k;
    }
    return 0;
}

static bool put_counters(msgpack_packer *pk, const uint64_t *v, uint32_t n)
{
    bool ok = msgpack_pack_array(pk, n) == 0;
    for (uint32_t i = 0; ok && i < n; i++)
        ok = msgpack_pack_uint64(pk, v[i]) == 0;
    return ok;
}

static bool put_text(msgpack_packer *pk, const char *s)
{
    return msgpack_pack_str_with_body(pk, s, strlen(s)) == 0;
}

/* Writes a model's name as binary: a client's text need not be UTF-8. */
static bool put_bytes(msgpack_packer *pk, const char *s)
{
    return msgpack_pack_bin_with_body(pk, s, strlen(s)) == 0;
}

static bool put_flag(msgpack_packer *pk, bool on)
{
    return (on ? msgpack_pack_true(pk) : msgpack_pack_false(pk)) == 0;
}

static bool put_endpoints(msgpack_packer *pk, const struct store_view *v)
{
    bool ok = msgpack_pack_array(pk, v->nendpoints) == 0;
    for (size_t i = 0; ok && i < v->nendpoints; i++) {
        const struct saved_endpoint *e = &v->endpoints[i];
        ok = msgpack_pack_array(pk, ENDPOINT_FIELDS) == 0 && put_text(pk, e->id) &&
             msgpack_pack_uint8(pk, e->disabled) == 0 && put_flag(pk, e->queued) &&
             put_flag(pk, e->draining) && put_counters(pk, e->counts, SAVED_COUNTS) &&
             put_bytes(pk, e->model) && msgpack_pack_uint32(pk, e->refused_status) == 0 &&
             msgpack_pack_int64(pk, e->refused_wall_ms) == 0;
    }
    return ok;
}

static uint32_t age_of(const struct store_view *v, int64_t used_ms)
{
    int64_t age = v->now_ms - used_ms;
    return age < 0 ? 0 : age > UINT32_MAX ? UINT32_MAX : (uint32_t)age;
}

/* The bindings of all kinds that are still to be written; NULL: none of that kind. */
struct next_bindings {
    const struct store_view *v;
    const struct affinity_binding *at[BINDING_KIND__COUNT];
};

/* Takes the one that was used longest ago. NULL: there is none. */
static const struct affinity_binding *next_binding(struct next_bindings *l, uint32_t *endpoint)
{
    int first = -1;
    for (int k = 0; k < BINDING_KIND__COUNT; k++)
        if (l->at[k] && (first < 0 || l->at[k]->used_ms < l->at[first]->used_ms))
            first = k;
    if (first < 0)
        return NULL;
    const struct binding_table *b = l->v->bindings[first];
    const struct affinity_binding *taken = l->at[first];
    l->at[first] = affinity_newer(&b->table, taken);
    *endpoint = binding_table_endpoint(b, taken);
    return taken;
}

static bool put_bindings(msgpack_packer *pk, const struct store_view *v)
{
    struct next_bindings l = {.v = v};
    uint32_t left = 0, endpoint;
    for (int k = 0; k < BINDING_KIND__COUNT; k++) {
        l.at[k] = v->bindings[k] ? affinity_oldest(&v->bindings[k]->table) : NULL;
        left += v->bindings[k] ? v->bindings[k]->table.count : 0;
    }
    bool ok = msgpack_pack_array(pk, (left + STORE_BLOCK - 1) / STORE_BLOCK) == 0;
    while (ok && left) {
        uint32_t n = (uint32_t)min_size(left, STORE_BLOCK);
        ok = msgpack_pack_bin(pk, (size_t)n * STORE_BINDING) == 0;
        for (uint32_t i = 0; ok && i < n; i++) {
            const struct affinity_binding *b = next_binding(&l, &endpoint);
            uint8_t r[STORE_BINDING];
            put_be(r, b->key[0], 8);
            put_be(r + 8, b->key[1], 8);
            put_be(r + 16, endpoint, 4);
            put_be(r + 20, age_of(v, b->used_ms), 4);
            ok = msgpack_pack_bin_body(pk, r, sizeof r) == 0;
        }
        left -= n;
    }
    return ok;
}

static bool put_marks(msgpack_packer *pk, const struct store_view *v)
{
    bool ok = msgpack_pack_array(pk, v->nmarks) == 0;
    for (size_t i = 0; ok && i < v->nmarks; i++) {
        const struct saved_mark *m = &v->marks[i];
        ok = msgpack_pack_array(pk, MARK_FIELDS) == 0 && put_text(pk, m->id) &&
             msgpack_pack_uint8(pk, m->kind) == 0 &&
             msgpack_pack_bin_with_body(pk, m->name, m->n) == 0 &&
             msgpack_pack_int64(pk, m->until_wall_ms) == 0;
    }
    return ok;
}

static bool put_body(struct out *o, const struct store_view *v)
{
    msgpack_packer pk;
    msgpack_packer_init(&pk, o, out_write);
    return msgpack_pack_array(&pk, BODY_FIELDS) == 0 && msgpack_pack_array(&pk, 3) == 0 &&
           msgpack_pack_int64(&pk, v->wall_ms) == 0 && msgpack_pack_uint64(&pk, v->print) == 0 &&
           put_counters(&pk, v->counters, STATE_COUNTERS) && put_endpoints(&pk, v) &&
           put_bindings(&pk, v) && put_marks(&pk, v) && out_flush(o);
}

static bool put_file(struct out *o, const struct store_view *v)
{
    uint8_t head[STORE_HEAD] = {0};
    unsigned n = HASH;
    if (!store_dir_put(o->fd, head, sizeof head) || !put_body(o, v) ||
        EVP_DigestFinal_ex(o->md, head + AT_HASH, &n) != 1)
        return false;
    memcpy(head, magic, sizeof magic);
    put_be(head + AT_VERSION, STORE_VERSION, 4);
    put_be(head + AT_LENGTH, o->total, 8);
    return pwrite(o->fd, head, sizeof head, 0) == sizeof head;
}

bool store_file_put(int fd, const struct store_view *v)
{
    struct out *o = mem_try(sizeof *o);
    if (!o)
        return false;
    errno = EIO; /* for failures that set no errno */
    *o = (struct out){.fd = fd, .md = EVP_MD_CTX_new()};
    bool ok = o->md && EVP_DigestInit_ex(o->md, EVP_sha256(), NULL) == 1 && put_file(o, v);
    int why = errno;
    EVP_MD_CTX_free(o->md);
    mem_free(o);
    errno = why;
    return ok;
}

bool store_file_write(int dir, const char *name, const struct store_view *v)
{
    int fd = store_dir_begin(dir, name);
    bool ok = fd != -1 && store_file_put(fd, v) && store_dir_commit(dir, fd, name);
    int why = errno;
    fd_close(&fd);
    errno = why;
    return ok;
}

/* ---- reading */

static bool get_counters(struct rd *r, uint64_t *v, uint32_t room)
{
    uint32_t n;
    if (!rd_array(r, STATE_COUNTERS, &n))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t x;
        if (!rd_u64(r, &x))
            return false;
        if (i < room)
            v[i] = x;
    }
    return true;
}

static bool get_endpoint(struct rd *r, struct saved_endpoint *e)
{
    uint32_t n, number;
    struct str id;
    uint64_t disabled;
    struct str model = {0};
    uint64_t status = 0;
    if (!rd_array(r, ENDPOINT_FIELDS, &n) || (n != ENDPOINT_FIELDS_1 && n != ENDPOINT_FIELDS) ||
        !rd_str(r, 8, &id) || !binding_table_id(id, &number) || !rd_u64(r, &disabled) ||
        disabled >= SAVED_DISABLED__COUNT || !rd_flag(r, &e->queued) || !rd_flag(r, &e->draining) ||
        !get_counters(r, e->counts, SAVED_COUNTS) ||
        (n > ENDPOINT_FIELDS_1 && (!rd_bin(r, IPC_MODEL_MAX, &model) || !rd_u64(r, &status) ||
                                   status > 999 || !rd_i64(r, &e->refused_wall_ms))))
        return false;
    e->refused_status = (uint32_t)status;
    memcpy(e->id, id.p, id.n);
    if (model.n)
        memcpy(e->model, model.p, model.n);
    e->disabled = (uint8_t)disabled;
    return true;
}

static bool get_block(struct rd *r, struct str *block)
{
    return rd_bin(r, STORE_BLOCK * STORE_BINDING, block) && block->n > 0 &&
           block->n % STORE_BINDING == 0;
}

static bool get_mark(struct rd *r, struct saved_mark *m)
{
    uint32_t n, number;
    struct str id, name;
    uint64_t kind;
    if (!rd_array(r, MARK_FIELDS, &n) || n != MARK_FIELDS || !rd_str(r, 8, &id) ||
        !binding_table_id(id, &number) || !rd_u64(r, &kind) || kind >= MARK__COUNT ||
        !rd_bin(r, MARK_NAME_MAX, &name) || !rd_i64(r, &m->until_wall_ms))
        return false;
    memcpy(m->id, id.p, id.n);
    m->kind = (uint8_t)kind;
    m->n = (uint8_t)name.n;
    if (name.n)
        memcpy(m->name, name.p, name.n);
    return true;
}

static bool get_marks(struct rd *r, struct store_image *im)
{
    uint32_t n;
    if (!rd_array(r, STORE_MARKS, &n))
        return false;
    for (uint32_t room = 0; im->nmarks < n; im->nmarks++) {
        if (im->nmarks == room) { /* not for more than the file has bytes for */
            room = room ? 2 * room : 64;
            im->marks = mem_realloc(im->marks, room, sizeof *im->marks);
        }
        im->marks[im->nmarks] = (struct saved_mark){0};
        if (!get_mark(r, &im->marks[im->nmarks]))
            return false;
    }
    return true;
}

static bool get_body(struct rd *r, struct store_image *im)
{
    uint32_t n, fields;
    struct str block;
    if (!rd_array(r, BODY_FIELDS, &fields) || fields < BODY_FIELDS_2 || !rd_array(r, 3, &n) ||
        n != 3 || !rd_i64(r, &im->saved_ms) || !rd_u64(r, &im->print) ||
        !get_counters(r, im->counters, STATE_COUNTERS) || !rd_array(r, STORE_ENDPOINTS, &n))
        return false;
    im->endpoints = mem_zalloc(n + 1, sizeof *im->endpoints);
    for (; im->nendpoints < n; im->nendpoints++)
        if (!get_endpoint(r, &im->endpoints[im->nendpoints]))
            return false;
    if (!rd_array(r, STORE_FILE_MAX, &im->nblocks))
        return false;
    im->blocks = *r;
    for (uint32_t i = 0; i < im->nblocks; i++)
        if (!get_block(r, &block))
            return false;
    im->has_marks = fields == BODY_FIELDS;
    return (!im->has_marks || get_marks(r, im)) && rd_end(r);
}

bool store_body_parse(struct str body, struct store_image *im, struct err *e)
{
    struct rd r;
    *im = (struct store_image){0};
    rd_init(&r, body);
    if (get_body(&r, im))
        return true;
    store_image_fini(im);
    return err_set(e, "is malformed");
}

bool store_file_parse(struct str file, struct store_image *im, struct err *e)
{
    const uint8_t *p = (const uint8_t *)file.p;
    uint8_t hash[HASH];
    unsigned n = 0;
    if (memcmp(p, magic, min_size(file.n, sizeof magic)) != 0)
        return err_set(e, "is not a state file of QCC");
    if (file.n < STORE_HEAD)
        return err_set(e, "is cut");
    uint64_t version = get_be(p + AT_VERSION, 4), length = get_be(p + AT_LENGTH, 8);
    if (version < STORE_VERSION_MIN || version > STORE_VERSION)
        return err_set(e, "is of version %llu, not %d", (unsigned long long)version, STORE_VERSION);
    struct str body = str_make(file.p + STORE_HEAD, file.n - STORE_HEAD);
    if (length != body.n)
        return err_set(e, length > body.n ? "is cut" : "is longer than it says");
    if (EVP_Digest(body.p, body.n, hash, &n, EVP_sha256(), NULL) != 1 || n != HASH ||
        memcmp(hash, p + AT_HASH, HASH) != 0)
        return err_set(e, "is damaged");
    if (!store_body_parse(body, im, e))
        return false;
    if (im->has_marks == (version >= VERSION_MARKS))
        return true;
    store_image_fini(im);
    return err_set(e, "is malformed");
}

void store_image_fini(struct store_image *im)
{
    mem_free(im->endpoints);
    mem_free(im->marks);
    *im = (struct store_image){0};
}

struct str store_block(struct store_image *im)
{
    struct str block = {0};
    if (im->nblocks && get_block(&im->blocks, &block))
        im->nblocks--;
    return block;
}

struct store_binding store_binding_at(struct str block, size_t i)
{
    const uint8_t *p = (const uint8_t *)block.p + i * STORE_BINDING;
    return (struct store_binding){.key = {get_be(p, 8), get_be(p + 8, 8)},
                                  .endpoint = (uint32_t)get_be(p + 16, 4),
                                  .age_ms = (uint32_t)get_be(p + 20, 4)};
}
