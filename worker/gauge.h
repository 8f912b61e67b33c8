/* gauge: what a worker counts of itself. */
#ifndef QCC_WORKER_GAUGE_H
#define QCC_WORKER_GAUGE_H

#include <stdint.h>

struct gauge {
    uint32_t conns;          /* client connections open */
    uint32_t requests_open;  /* requests between head and end of reply */
    uint64_t requests;       /* requests begun */
    uint64_t buffered;       /* bytes of request bodies held */
};

#endif
