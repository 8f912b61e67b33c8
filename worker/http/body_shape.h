/* body_shape: whether a reply's body is an event stream, by its first bytes: the content type of
 * many relays is wrong. Pure over buffers. */
#ifndef QCC_WORKER_HTTP_BODY_SHAPE_H
#define QCC_WORKER_HTTP_BODY_SHAPE_H

#include "common/base/base.h"
#include "common/base/str.h"

enum body_shape {
    BODY_SHAPE_UNKNOWN, /* more bytes are needed */
    BODY_SHAPE_STREAM,
    BODY_SHAPE_WHOLE /* JSON, a page, or anything else */
};

/* The shape by the front of a body. typed_stream: its content type is that of an event stream,
 * which decides where the bytes do not. Byte order marks and blanks in front are passed over. */
enum body_shape body_shape(struct str front, bool typed_stream);

#endif
