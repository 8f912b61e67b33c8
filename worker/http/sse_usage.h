/* sse_usage: what a reply says about what it used: tokens and what their price depends on, of
 * Anthropic's and of OpenAI's make. Pure over buffers, but for a model's name with escapes. */
#ifndef QCC_WORKER_HTTP_SSE_USAGE_H
#define QCC_WORKER_HTTP_SSE_USAGE_H

#include "common/base/base.h"
#include "common/base/str.h"

/* Bytes at most of what a reply says: longer texts are cut. */
enum { SSE_MODEL_MAX = 64, SSE_WORD_MAX = 16, SSE_CONTAINER_MAX = 64 };

/* A text of a reply: UTF-8 in which '?' stands for control characters and for what is none. */
struct sse_word {
    uint8_t n; /* 0: not reported */
    char p[SSE_WORD_MAX];
};

/* Usage as last reported by message_start, message_delta, or OpenAI's usage, each member for
 * itself; -1: not reported. */
struct sse_usage {
    int64_t input; /* without what was read from a cache or written to it */
    int64_t output, cache_read;
    int64_t cache_write;        /* for 5 minutes and for 1 hour; their sum where only they came */
    int64_t write_5m, write_1h; /* the parts of cache_write, where the reply splits it */
    int64_t web_searches;       /* searches by the server's tool */
    struct sse_word tier, speed, geo;
    uint8_t model_n; /* 0: not reported */
    char
        model[SSE_MODEL_MAX]; /* the model that replied, as the first event that has one names it */
    uint8_t container_n;      /* 0: not reported, or longer than any is */
    char container[SSE_CONTAINER_MAX]; /* id of the container in which code ran */
};

/* Nothing is reported yet. */
#define SSE_USAGE_NONE                                                                             \
    ((struct sse_usage){.input = -1,                                                               \
                        .output = -1,                                                              \
                        .cache_read = -1,                                                          \
                        .cache_write = -1,                                                         \
                        .write_5m = -1,                                                            \
                        .write_1h = -1,                                                            \
                        .web_searches = -1})

struct json_hit;

/* Takes what the usage object of an event or a reply reports into *u; members that it lacks stay as
 * they are. */
void sse_usage_read(struct str object, struct sse_usage *u);

/* Takes the model's name, a string of JSON, into *u, unless it has one. */
void sse_usage_model(const struct json_hit *name, struct sse_usage *u);

/* Takes the id of a container, an object of JSON or the id itself, into *u. */
void sse_usage_container(const struct json_hit *container, struct sse_usage *u);

#endif
