#include "worker/intake/inflated.h"

enum {
    TURN_BYTES = 256 << 10, /* inflated in one turn */
    ZLIB_BYTES = 256 << 10, /* more than it takes */
    RATIO = 100,
    /* what may come of a short body, whatever its ratio: that of a bomb is seen in longer ones */
    SMALL = 64 << 10
};

void inflated_begin(struct inflated *x, enum coding c, const struct body *wire)
{
    uint64_t most = (uint64_t)wire->len * RATIO;
    if (most < SMALL)
        most = SMALL;
    if (most > wire->max)
        most = wire->max;
    x->wire = body_view(wire);
    arena_init(&x->mem, ZLIB_BYTES);
    inflate_begin(&x->inflate, c, most, &x->mem);
    /* a byte more than may come: there is always room to see that more comes */
    body_init(&x->text, wire->held, wire->held_max, BODY_COUNTED, most + 1, most + 1);
}

enum inflated_result inflated_step(struct inflated *x)
{
    size_t done = 0, made, used;
    while (done < TURN_BYTES) {
        char *at;
        size_t room = min_size(body_room(&x->text, &at), TURN_BYTES);
        if (room == 0)
            return INFLATED_NO_ROOM;
        enum inflate_result res = inflate_feed(&x->inflate, &x->wire, at, room, &made);
        (void)!body_added(&x->text, made, &used);
        done += made;
        switch (res) {
        case INFLATE_FULL:
            break;
        case INFLATE_MORE:
            arena_free(&x->mem);
            return inflate_whole(&x->inflate) ? INFLATED_DONE : INFLATED_DAMAGED;
        case INFLATE_BOMB:
            return INFLATED_TOO_LARGE;
        case INFLATE_BAD:
            return INFLATED_DAMAGED;
        case INFLATE_MEMORY:
            return INFLATED_NO_ROOM;
        }
    }
    return INFLATED_MORE;
}

void inflated_free(struct inflated *x)
{
    arena_free(&x->mem);
    body_free(&x->text);
}
