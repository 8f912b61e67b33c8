/* yaml_tree: one YAML document as a tree of nodes with their places, built from libyaml's events.
 * Takes the part of YAML that a configuration needs: mappings, lists, scalars. Refused with a
 * sentence: anchors and aliases (a small file could unfold to a huge one, and reading order would
 * matter), tags, a second document, keys that are no texts, nesting deeper than 16. Texts are kept
 * as they stand; null and off are not interpreted. */
#ifndef QCC_SUPERVISOR_CONFIG_YAML_TREE_H
#define QCC_SUPERVISOR_CONFIG_YAML_TREE_H

#include "common/base/str.h"
#include "supervisor/config/faults.h"

enum ynode_kind { YNODE_SCALAR, YNODE_LIST, YNODE_MAP };

struct ynode {
    enum ynode_kind kind;
    unsigned line, col; /* from 1 */
    bool quoted;        /* a scalar in quotes, or a block scalar */
    char *text;         /* text of a scalar */
    size_t len;
    struct ynode **v; /* list: elements; map: key, value, key, value … */
    size_t n, cap;    /* elements of v used, and allocated */
};

/* Reads a document and returns its root, to be freed with ynode_free. NULL with a fault, or without
 * one when the document is empty. Duplicate keys are faults, but do not stop the reading. */
struct ynode *ynode_parse(struct str input, struct faults *f);

/* Frees the tree and wipes all its texts, which may be keys. NULL: nothing is done. */
void ynode_free(struct ynode *node);

#endif
