/* list: an intrusive ring. The head is a node of its own; a node is in at most one ring. */
#ifndef QCC_COMMON_BASE_LIST_H
#define QCC_COMMON_BASE_LIST_H

#include "common/base/base.h"

struct list {
    struct list *prev, *next;
};

/* Makes an empty ring of a head, or a node that is in no ring. */
static inline void list_init(struct list *l)
{
    l->prev = l->next = l;
}

/* Whether the head has no nodes; asked of a node: whether it is in no ring. */
static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

/* Puts n, which is in no ring, behind the last node. */
static inline void list_push_back(struct list *head, struct list *n)
{
    n->prev = head->prev;
    n->next = head;
    head->prev->next = n;
    head->prev = n;
}

/* Puts n, which is in no ring, before the first node. */
static inline void list_push_front(struct list *head, struct list *n)
{
    list_push_back(head->next, n);
}

/* Takes the node out. It is then a ring of its own, so that a second removal is harmless. */
static inline void list_remove(struct list *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}

#define LIST_ENTRY(node, type, member) CONTAINER_OF(node, type, member)

/* Walks the nodes from the first to the last. The body may remove `it`, and no other node. */
#define LIST_EACH(it, tmp, head)                                                                   \
    for (struct list *it = (head)->next, *tmp = it->next; it != (head); it = tmp, tmp = it->next)

#endif
