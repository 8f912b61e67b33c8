#include "worker/http/body_shape.h"

enum body_shape body_shape(struct str front, bool typed_stream)
{
    static const struct str fields[] = {STR_LIT("data:"), STR_LIT("event:"), STR_LIT("id:"),
                                        STR_LIT("retry:"), STR_LIT(":")};
    static const struct str bom = STR_LIT("\xef\xbb\xbf");
    if (str_starts(front, bom))
        front = str_make(front.p + bom.n, front.n - bom.n);
    else if (front.n < bom.n && memcmp(bom.p, front.p, front.n) == 0)
        return BODY_SHAPE_UNKNOWN;
    while (front.n && memchr(" \t\r\n", front.p[0], 4))
        front = str_make(front.p + 1, front.n - 1);
    if (!front.n)
        return BODY_SHAPE_UNKNOWN;
    if (memchr("{[<\"", front.p[0], 4))
        return BODY_SHAPE_WHOLE;
    if (typed_stream)
        return BODY_SHAPE_STREAM;
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (str_starts(front, fields[i]))
            return BODY_SHAPE_STREAM;
        if (str_starts(fields[i], front))
            return BODY_SHAPE_UNKNOWN;
    }
    return BODY_SHAPE_WHOLE;
}
