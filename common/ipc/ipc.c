#include "common/ipc/ipc.h"

#include "common/ipc/wire.h"

#include <msgpack.h>

/* Every frame begins with [id, generation]. */
enum { HEAD_FIELDS = 2 };

#define COUNT(kind, field, bound) +1
#define FIELDS_OF(low) (0 IPC_FIELDS_##low(COUNT))

/* ---- encoding: one line for each kind */

#define PUT_u64(v, bound) (msgpack_pack_uint64(&pk, v) == 0)
#define PUT_i64(v, bound) (msgpack_pack_int64(&pk, v) == 0)
#define PUT_u32(v, bound) (msgpack_pack_uint32(&pk, v) == 0)
#define PUT_flag(v, bound) ((v ? msgpack_pack_true(&pk) : msgpack_pack_false(&pk)) == 0)
#define PUT_text(v, bound) ((v).n <= (bound) && msgpack_pack_str_with_body(&pk, (v).p, (v).n) == 0)
#define PUT_blob(v, bound) ((v).n <= (bound) && msgpack_pack_bin_with_body(&pk, (v).p, (v).n) == 0)
#define PUT(kind, field, bound) &&PUT_##kind(m->field, bound)

static bool put_head(msgpack_packer *pk, enum ipc_id id, uint64_t gen, size_t nfields)
{
    return msgpack_pack_array(pk, HEAD_FIELDS + nfields) == 0 &&
           msgpack_pack_uint32(pk, (uint32_t)id) == 0 && msgpack_pack_uint64(pk, gen) == 0;
}

#define DEFINE_PUT(NAME, dir, low, id)                                                             \
    bool ipc_put_##low(struct buf *b, uint64_t gen, const struct ipc_##low *m)                     \
    {                                                                                              \
        size_t before = b->len;                                                                    \
        msgpack_packer pk;                                                                         \
        msgpack_packer_init(&pk, b, wire_write);                                                   \
        (void)m;                                                                                   \
        if (put_head(&pk, IPC_##NAME, gen, FIELDS_OF(low)) IPC_FIELDS_##low(PUT))                  \
            return true;                                                                           \
        buf_cut(b, before);                                                                        \
        return false;                                                                              \
    }                                                                                              \
    bool ipc_put_v_##low(struct buf *b, uint64_t gen, const void *m)                               \
    {                                                                                              \
        return ipc_put_##low(b, gen, m);                                                           \
    }
IPC_TABLE(DEFINE_PUT)

/* ---- decoding */

static bool rd_u32(struct rd *r, uint32_t *v)
{
    uint64_t wide;
    if (!rd_u64(r, &wide) || wide > UINT32_MAX)
        return false;
    *v = (uint32_t)wide;
    return true;
}

#define GET_u64(v, bound) rd_u64(&r, v)
#define GET_i64(v, bound) rd_i64(&r, v)
#define GET_u32(v, bound) rd_u32(&r, v)
#define GET_flag(v, bound) rd_flag(&r, v)
#define GET_text(v, bound) rd_str(&r, bound, v)
#define GET_blob(v, bound) rd_bin(&r, bound, v)
#define GET(kind, field, bound) &&GET_##kind(&m->field, bound)

#define DEFINE_GET(NAME, dir, low, id)                                                             \
    bool ipc_get_##low(const struct ipc_frame *f, struct ipc_##low *m)                             \
    {                                                                                              \
        struct rd r;                                                                               \
        rd_init(&r, f->fields);                                                                    \
        (void)m;                                                                                   \
        return f->nfields == FIELDS_OF(low) IPC_FIELDS_##low(GET) && rd_end(&r);                   \
    }
IPC_TABLE(DEFINE_GET)

/* ---- the head of a frame */

/* Whether a message of that id, direction and number of fields exists. */
static bool expected(uint64_t wire_id, enum ipc_direction dir, uint32_t nfields)
{
    switch (wire_id) {
#define ROW(NAME, way, low, id)                                                                    \
    case id:                                                                                       \
        return dir == (way) && nfields == FIELDS_OF(low);
        IPC_TABLE(ROW)
#undef ROW
    }
    return false;
}

bool ipc_open(struct str body, enum ipc_direction dir, struct ipc_frame *f)
{
    struct rd r;
    uint32_t n;
    uint64_t id;
    rd_init(&r, body);
    if (!rd_array(&r, 64, &n) || n < HEAD_FIELDS || !rd_u64(&r, &id) || !rd_u64(&r, &f->gen))
        return false;
    f->nfields = n - HEAD_FIELDS;
    if (!expected(id, dir, f->nfields))
        return false;
    f->id = (enum ipc_id)id;
    f->fields = str_make((const char *)r.p, (size_t)(r.end - r.p));
    f->fd = -1;
    return true;
}

const char *ipc_name(enum ipc_id id)
{
    switch (id) {
#define ROW(NAME, dir, low, wire)                                                                  \
    case IPC_##NAME:                                                                               \
        return #NAME;
        IPC_TABLE(ROW)
#undef ROW
    }
    return "?";
}
