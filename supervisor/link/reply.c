#include "supervisor/link/reply.h"

/* The type of an array's length has changed between the versions that systems have. */
#if HIREDIS_MAJOR >= 1
typedef size_t elements;
#else
typedef int elements;
#endif

static redisReplyObjectFunctions bounded;
static void *(*make_array)(const redisReadTask *, elements);

static void *make_bounded(const redisReadTask *task, elements n)
{
    /* hiredis takes NULL for a want of memory, and ends the reading */
    return n <= REPLY_ELEMENTS_MAX ? make_array(task, n) : NULL;
}

redisReader *reply_reader(void)
{
    redisReader *r = redisReaderCreate();
    if (!r)
        return NULL;
    if (!make_array) {
        bounded = *r->fn;
        make_array = bounded.createArray;
        bounded.createArray = make_bounded;
    }
    r->fn = &bounded;
    return r;
}

bool reply_feed(redisReader *r, const char *p, size_t n)
{
    return redisReaderFeed(r, p, n) == REDIS_OK;
}

struct str reply_str(const redisReply *r)
{
    bool text = r && (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS ||
                      r->type == REDIS_REPLY_ERROR);
    return text ? str_make(r->str, (size_t)r->len) : STR("");
}

bool reply_array(const redisReply *r, size_t n)
{
    return r && r->type == REDIS_REPLY_ARRAY && r->elements >= n;
}

bool reply_u64(const redisReply *r, uint64_t *v)
{
    if (r && r->type == REDIS_REPLY_INTEGER && r->integer >= 0) {
        *v = (uint64_t)r->integer;
        return true;
    }
    return str_to_u64(reply_str(r), INT64_MAX, v);
}
