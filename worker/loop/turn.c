#include "worker/loop/turn.h"

void turn_init(struct turn *t, struct ev_loop *loop)
{
    *t = (struct turn){.loop = loop};
    list_init(&t->dead);
}

void turn_bury(struct turn *t, struct dead *d, void (*free)(struct dead *))
{
    d->free = free;
    list_push_back(&t->dead, &d->node);
}

void turn_wake(struct turn *t)
{
    t->wake = true;
}

bool turn_woken(struct turn *t)
{
    bool was = t->wake;
    t->wake = false;
    return was;
}

void turn_free_dead(struct turn *t)
{
    while (!list_empty(&t->dead)) {
        struct dead *d = LIST_ENTRY(t->dead.next, struct dead, node);
        list_remove(&d->node);
        d->free(d);
    }
}
