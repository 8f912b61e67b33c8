#include "tests/net/chunks.h"

#include "common/base/str.h"

static int hex(char c)
{
    if (ascii_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum chunks_result chunks_feed(struct chunks *c, const char *p, size_t n, size_t *used,
                               chunks_data_fn *data, void *arg)
{
    *used = n;
    for (size_t i = 0; i < n;) {
        char ch = p[i];
        switch (c->state) {
        case CHUNKS_SIZE:
            if (hex(ch) < 0) {
                c->state = CHUNKS_EXTENSION;
                break;
            }
            if (c->left > UINT32_MAX)
                return CHUNKS_BAD;
            c->left = c->left * 16 + (uint64_t)hex(ch);
            i++;
            break;
        case CHUNKS_EXTENSION:
            if (ch == '\n')
                c->state = c->left ? CHUNKS_DATA : CHUNKS_TRAILER;
            i++;
            break;
        case CHUNKS_DATA: {
            size_t take = min_size(n - i, (size_t)c->left);
            if (!data(arg, p + i, take))
                return CHUNKS_BAD;
            i += take;
            c->left -= take;
            if (!c->left)
                c->state = CHUNKS_DATA_END;
            break;
        }
        case CHUNKS_DATA_END:
            if (ch != '\r' && ch != '\n')
                return CHUNKS_BAD;
            if (ch == '\n')
                c->state = CHUNKS_SIZE;
            i++;
            break;
        case CHUNKS_TRAILER:
            i++;
            if (ch == '\n') {
                *used = i;
                return CHUNKS_DONE;
            }
            if (ch != '\r')
                c->state = CHUNKS_TRAILER_LINE;
            break;
        case CHUNKS_TRAILER_LINE:
            if (ch == '\n')
                c->state = CHUNKS_TRAILER;
            i++;
            break;
        }
    }
    return CHUNKS_MORE;
}
