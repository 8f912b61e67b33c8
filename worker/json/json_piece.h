/* json_piece: pieces of a string of JSON as their source text, as deltas carry them: made fit to be
 * sent on, or decoded. What comes out is valid UTF-8 and valid JSON, whatever the maker writes.
 * Half a surrogate pair at a piece's end waits for the next piece in *half (0: none waits); where
 * its other half does not come it is U+FFFD, as are bytes that are no UTF-8. Pure over buffers. */
#ifndef QCC_WORKER_JSON_JSON_PIECE_H
#define QCC_WORKER_JSON_JSON_PIECE_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"

/* Whether the piece has a character that is seen: neither white space of Unicode nor of no width.
 */
bool json_piece_visible(struct str raw);

/* Appends the piece as source text of a string. False: over out's ceiling or out of memory. */
bool json_piece_clean(struct str raw, uint16_t *half, struct buf *out) MUST_CHECK;

/* Appends the piece decoded. False: as above. */
bool json_piece_decode(struct str raw, uint16_t *half, struct buf *out) MUST_CHECK;

/* The string has ended: appends U+FFFD for a half that waits. False: as above. */
bool json_piece_end(uint16_t *half, struct buf *out) MUST_CHECK;

#endif
