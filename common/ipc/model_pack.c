#include "common/ipc/model_pack.h"

#include "common/ipc/ipc.h"

enum { HEAD = 10 };

_Static_assert(MODEL_PACK_MAX <= (int)IPC_LIST_MAX && IPC_MODEL_MAX == 128, "a frame takes all");

bool model_pack_add(struct buf *b, const struct model_listed *m)
{
    uint8_t head[HEAD] = {(uint8_t)m->id.n, (uint8_t)m->shown.n};
    struct str shown = m->shown;
    if (m->id.n == 0 || m->id.n > IPC_MODEL_MAX)
        return true;
    if (shown.n > IPC_MODEL_MAX)
        shown.n = head[1] = 0;
    for (int i = 0; i < 8; i++)
        head[2 + i] = (uint8_t)(m->created >> (56 - 8 * i));
    return buf_add(b, head, sizeof head) && buf_str(b, m->id) && buf_str(b, shown);
}

bool model_pack_next(struct str *rest, struct model_listed *m)
{
    const uint8_t *p = (const uint8_t *)rest->p;
    if (rest->n < HEAD || p[0] == 0 || rest->n < (size_t)HEAD + p[0] + p[1])
        return false;
    m->created = 0;
    for (int i = 0; i < 8; i++)
        m->created = m->created << 8 | p[2 + i];
    m->id = str_make(rest->p + HEAD, p[0]);
    m->shown = str_make(rest->p + HEAD + p[0], p[1]);
    size_t n = (size_t)HEAD + p[0] + p[1];
    *rest = str_make(rest->p + n, rest->n - n);
    return true;
}
