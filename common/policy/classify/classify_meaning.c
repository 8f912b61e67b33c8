#include "common/policy/classify/classify_meaning.h"

#include "common/policy/classify/classify_rules.h"

static const char *of_status(struct str rule)
{
    /* names of classify_statuses, and of what is no answer at all */
    static const struct {
        struct str rule;
        const char *meaning;
    } v[] = {
        {STR_LIT("2xx"), "a page or another text in place of an answer of the API"},
        {STR_LIT("no-answer"), "a page or another text in place of an answer of the API"},
        {STR_LIT("3xx"), "a redirect: the API has moved, or base_url leads to something else"},
        {STR_LIT("400"), "the request is refused without a reason"},
        {STR_LIT("401"), "the key is not accepted"},
        {STR_LIT("402"), "no money is left"},
        {STR_LIT("403"), "refused to this key, without a reason"},
        {STR_LIT("404"), "nothing is at that path"},
        {STR_LIT("407-proxy"), "a proxy before it wants a password"},
        {STR_LIT("408"), "it gave up waiting"},
        {STR_LIT("429"), "too many requests"},
        {STR_LIT("4xx"), "refused without a reason that is known"},
        {STR_LIT("501"), "it has no such function"},
        {STR_LIT("529"), "overloaded"},
        {STR_LIT("5xx"), "a fault of its server"},
    };
    for (size_t i = 0; i < COUNT_OF(v); i++)
        if (str_eq(v[i].rule, rule))
            return v[i].meaning;
    return NULL;
}

const char *classify_meaning(struct str rule)
{
    for (size_t i = 0; i < classify_rules_n; i++)
        if (str_eq(str_c(classify_rules[i].name), rule))
            return classify_rules[i].why;
    return of_status(rule);
}
