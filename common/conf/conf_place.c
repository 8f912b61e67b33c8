#include "common/conf/conf_place.h"

#include <stdio.h>

struct conf_place conf_place(const char *list, size_t i, const char *key)
{
    struct conf_place p;
    snprintf(p.text, sizeof p.text, key ? "%s[%zu].%s" : "%s[%zu]", list, i, key ? key : "");
    return p;
}
