/* price_wire: a table of prices as bytes: how it goes from the supervisor, which reads the files,
 * to the recorder. msgpack: [1, [[name, source, override, [[from, class, fast, batch, geo_us, web,
 * [base …], [above …]] …]] …]]; nil for what is not known. */
#ifndef QCC_COMMON_PRICE_PRICE_WIRE_H
#define QCC_COMMON_PRICE_PRICE_WIRE_H

#include "common/base/buf.h"
#include "common/price/price_table.h"

/* Appends the table to b, whose ceiling is IPC_PRICES_MAX or more. False: no memory. */
bool price_pack(const struct price_table *t, struct buf *b) MUST_CHECK;

/* Reads what price_pack has written into *t, which the caller frees. Everything is checked as
 * price_table_put does. False: it is something else; *t is then empty. */
bool price_unpack(struct str packed, struct price_table *t) MUST_CHECK;

#endif
