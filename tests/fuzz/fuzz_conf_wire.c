/* Fuzz target of conf_wire.h: a CONF frame of a hostile peer is refused, or is within all bounds
 * and encodes to a frame that decodes to the same. */
#include "common/conf/conf_wire.h"
#include "common/ipc/ipc.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e;
    struct buf b, again;
    struct conf *c = conf_wire_get(str_make((const char *)data, size), &e);
    if (!c)
        return 0;
    MUST(c->nendpoints > 0 && c->nlisten <= CONF_LISTEN_MAX && c->log.file && c->endpoints[0].host);
    buf_init(&b, IPC_CONF_MAX);
    buf_init(&again, IPC_CONF_MAX);
    MUST(conf_wire_put(c, &b));
    struct conf *d = conf_wire_get(buf_view(&b), &e);
    MUST(d && conf_wire_put(d, &again) && str_eq(buf_view(&b), buf_view(&again)));
    conf_unref(c);
    conf_unref(d);
    buf_free(&b);
    buf_free(&again);
    return 0;
}
