/* assets: the files of the dashboard (worker/admin/dashboard/), built into the worker by
 * worker/admin/embed.sh: their bytes, plain and gzipped, and which of them a request gets. */
#ifndef QCC_WORKER_ADMIN_ASSETS_H
#define QCC_WORKER_ADMIN_ASSETS_H

#include "common/base/str.h"
#include "worker/http/http1_field.h"

/* The bytes of a file in one content coding. */
struct asset_form {
    struct str body;
    struct str etag; /* with its quotes; the two forms have different ones (RFC 9110 8.8.3.3) */
    bool gzip;
};

struct asset {
    struct str path;
    const char *type; /* content-type */
    struct asset_form plain, gzip;
};

/* The file at a path of the admin listener: "/" or "/ui/NAME"; NULL: none. Static. */
const struct asset *asset_find(struct str path);

/* The form that a request with these fields gets: gzipped where Accept-Encoding allows it. */
const struct asset_form *asset_choose(const struct asset *a, const struct http_field *f, size_t nf);

/* Whether the sender has that form already, by If-None-Match (RFC 9110 13.1.2). */
bool asset_held(const struct asset_form *form, const struct http_field *f, size_t nf);

#endif
