#include "worker/http/sse_kind.h"

#include "worker/json/json_raw.h"

/* ---- names */

unsigned sse_kind_of_name(struct str name)
{
    static const struct {
        struct str name;
        unsigned kind;
    } names[] = {
        {STR_LIT("content_block_start"), SSE_BLOCK_START},
        {STR_LIT("content_block_stop"), SSE_BLOCK_STOP},
        {STR_LIT("ping"), SSE_EV_PING},
        {STR_LIT("keepalive"), SSE_EV_PING},
        {STR_LIT("keep-alive"), SSE_EV_PING},
        {STR_LIT("heartbeat"), SSE_EV_PING},
        {STR_LIT("message_start"), SSE_EV_START},
        {STR_LIT("message_delta"), SSE_EV_DELTA},
        {STR_LIT("message_stop"), SSE_EV_STOP},
        {STR_LIT("error"), SSE_EV_ERROR},
        {STR_LIT("response.created"), SSE_EV_START},
        {STR_LIT("response.in_progress"), SSE_EV_START},
        {STR_LIT("response.completed"), SSE_EV_STOP},
        {STR_LIT("response.incomplete"), SSE_EV_STOP},
        {STR_LIT("response.failed"), SSE_EV_ERROR},
    };
    if (str_starts(name, STR("content_block_delta")))
        return SSE_EV_CONTENT;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_eq(name, names[i].name))
            return names[i].kind;
    return str_starts(name, STR("content_block_")) ? SSE_EV_CONTENT : SSE_EV_NONE;
}

enum sse_api sse_api_of_name(struct str name)
{
    if (str_starts(name, STR("message_")) || str_starts(name, STR("content_block_")))
        return SSE_API_MESSAGES;
    if (str_starts(name, STR("response.")))
        return SSE_API_RESPONSES;
    return str_eq(name, STR("completion")) ? SSE_API_COMPLETE : SSE_API_NONE;
}

struct str sse_name_in(const struct json_hit *type, char room[static SSE_NAME_ROOM])
{
    if (type->kind != JSON_IS_STRING)
        return STR("");
    if (!type->escaped || type->raw.n > SSE_NAME_RAW)
        return type->raw;
    return json_raw_decode(type->raw, room);
}

/* ---- members */

const struct json_want sse_members[SSE_AT__COUNT] = {
    [SSE_AT_TYPE] = {STR_LIT("type"), {0}},
    [SSE_AT_ERROR] = {STR_LIT("error"), {0}},
    [SSE_AT_CHOICES] = {STR_LIT("choices"), {0}},
    [SSE_AT_USAGE] = {STR_LIT("usage"), {0}},
    [SSE_AT_MESSAGE_USAGE] = {STR_LIT("message"), STR_LIT("usage")},
    [SSE_AT_RESPONSE_USAGE] = {STR_LIT("response"), STR_LIT("usage")},
    [SSE_AT_MODEL] = {STR_LIT("model"), {0}},
    [SSE_AT_MESSAGE_MODEL] = {STR_LIT("message"), STR_LIT("model")},
    [SSE_AT_RESPONSE_MODEL] = {STR_LIT("response"), STR_LIT("model")},
    [SSE_AT_REASON] = {STR_LIT("delta"), STR_LIT("stop_reason")},
    [SSE_AT_COMPLETION] = {STR_LIT("completion"), {0}},
    [SSE_AT_OUTPUT] = {STR_LIT("output"), {0}},
    [SSE_AT_CONTAINER] = {STR_LIT("container"), {0}},
    [SSE_AT_MESSAGE_CONTAINER] = {STR_LIT("message"), STR_LIT("container")},
    [SSE_AT_DELTA_CONTAINER] = {STR_LIT("delta"), STR_LIT("container")},
};

void sse_members_usage(const struct json_hit hit[static SSE_AT__COUNT], struct sse_usage *u)
{
    for (size_t i = SSE_AT_USAGE; i <= SSE_AT_RESPONSE_USAGE; i++)
        if (hit[i].kind == JSON_IS_OBJECT)
            sse_usage_read(hit[i].raw, u);
    for (size_t i = SSE_AT_MODEL; i <= SSE_AT_RESPONSE_MODEL; i++)
        sse_usage_model(&hit[i], u);
    for (size_t i = SSE_AT_CONTAINER; i <= SSE_AT_DELTA_CONTAINER; i++)
        if (hit[i].kind == JSON_IS_OBJECT)
            sse_usage_container(&hit[i], u);
}

bool sse_is_error(const struct json_hit *hit)
{
    switch (hit->kind) {
    case JSON_IS_ABSENT:
    case JSON_IS_NULL:
    case JSON_IS_FALSE:
        return false;
    case JSON_IS_STRING:
        return hit->raw.n != 0;
    case JSON_IS_NUMBER:
    case JSON_IS_TRUE:
    case JSON_IS_OBJECT:
    case JSON_IS_ARRAY:
        break;
    }
    return true;
}

enum sse_api sse_api_of_members(const struct json_hit hit[static SSE_AT__COUNT])
{
    if (hit[SSE_AT_CHOICES].kind == JSON_IS_ARRAY)
        return SSE_API_CHAT;
    if (hit[SSE_AT_OUTPUT].kind == JSON_IS_ARRAY)
        return SSE_API_RESPONSES;
    return hit[SSE_AT_COMPLETION].kind == JSON_IS_STRING ? SSE_API_COMPLETE : SSE_API_NONE;
}

struct sse_json sse_read_json(struct str body, struct sse_usage *u)
{
    struct json_hit hit[SSE_AT__COUNT];
    struct sse_json is = {.whole = json_find(body, sse_members, hit, SSE_AT__COUNT)};
    *u = SSE_USAGE_NONE;
    if (is.whole)
        sse_members_usage(hit, u);
    is.error = sse_is_error(&hit[SSE_AT_ERROR]);
    is.api = sse_api_of_members(hit);
    if (hit[SSE_AT_TYPE].kind == JSON_IS_STRING &&
        json_raw_is(hit[SSE_AT_TYPE].raw, STR("message")))
        is.api = SSE_API_MESSAGES;
    is.told = hit[SSE_AT_TYPE].kind == JSON_IS_STRING || is.api != SSE_API_NONE;
    return is;
}
