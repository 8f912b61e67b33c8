/* yaml_tree: one YAML document as a tree of nodes with their places, built from libyaml's events.
 * Takes the part of YAML that a configuration needs: mappings, lists, scalars. Refused with a
 * sentence: anchors and aliases (a small file could unfold to a huge one, and reading order would
 * matter), tags, a second document, keys that are no texts, nesting deeper than 16. Texts are kept
 * as they stand; what null and off mean is for the reader of the tree. */
#ifndef QCC_SUPERVISOR_CONFIG_YAML_TREE_H
#define QCC_SUPERVISOR_CONFIG_YAML_TREE_H

#include "common/base/str.h"
#include "supervisor/config/faults.h"

enum ynode_kind { YNODE_SCALAR, YNODE_LIST, YNODE_MAP };

struct ynode {
    enum ynode_kind kind;
    unsigned line, col; /* from 1 */
    bool quoted;        /* scalar in quotes, or a block scalar */
    char *text;         /* scalar */
    size_t len;
    struct ynode **v; /* list: elements; map: key, value, key, value … */
    size_t n, cap;    /* of v */
};

/* The document's root, to be freed with ynode_free. NULL with a fault, or without one when the
 * document is empty. Duplicate keys are faults, but do not stop the reading. */
struct ynode *ynode_parse(struct str input, struct faults *f);

/* Wipes all texts: they may be keys. NULL is fine. */
void ynode_free(struct ynode *node);

#endif
