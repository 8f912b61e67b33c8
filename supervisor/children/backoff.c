#include "supervisor/children/backoff.h"

int64_t backoff_ended(struct backoff *b, const struct backoff_conf *c, int64_t lived_ms)
{
    if (lived_ms >= c->young_ms) {
        b->young = 0;
        return 0;
    }
    if (b->young < 64)
        b->young++;
    int64_t wait = b->young < 2 ? 0 : c->first_ms;
    for (unsigned i = 2; i < b->young && wait < c->max_ms; i++)
        wait *= 2; /* below max_ms before: cannot overflow */
    return wait < c->max_ms ? wait : c->max_ms;
}
