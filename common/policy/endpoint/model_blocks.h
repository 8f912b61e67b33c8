/* model_blocks: the models that an endpoint refused and another one served: it is not asked for
 * them for a while. Pure. */
#ifndef QCC_COMMON_POLICY_ENDPOINT_MODEL_BLOCKS_H
#define QCC_COMMON_POLICY_ENDPOINT_MODEL_BLOCKS_H

#include "common/base/base.h"

/* Models blocked at one endpoint at a time; one more replaces the block that ends first. */
enum { EP_BLOCKS = 16 };

struct ep_block {
    uint64_t model; /* hash of the model's name */
    int64_t until_ms;
};

/* Zero bytes: nothing is blocked. */
struct model_blocks {
    struct ep_block v[EP_BLOCKS];
    uint32_t n;
};

/* Blocks a model until until_ms, also if it is blocked already. */
void model_blocks_add(struct model_blocks *b, uint64_t model, int64_t until_ms);

/* Drops the blocks whose time is over. True if there were some. */
bool model_blocks_drop(struct model_blocks *b, int64_t now_ms);

/* When the next block ends; INT64_MAX: there is none. */
int64_t model_blocks_next_ms(const struct model_blocks *b);

#endif
