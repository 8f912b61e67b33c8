#include "supervisor/link/script.h"

/* One text a file of lua/, made by the build: lua_enter, lua_join, … */
#include "link_lua.inc"

bool script_text(enum script_id id, struct buf *out)
{
    static const char *const text[SCRIPT__COUNT] = {
        [SCRIPT_JOIN] = lua_join, [SCRIPT_BEAT] = lua_beat,   [SCRIPT_LEAVE] = lua_leave,
        [SCRIPT_PUT] = lua_put,   [SCRIPT_LEASE] = lua_lease, [SCRIPT_PLACES] = lua_places,
        [SCRIPT_BIND] = lua_bind, [SCRIPT_PULL] = lua_pull,
    };
    return buf_str(out, str_c(lua_ours)) && (id == SCRIPT_JOIN || buf_str(out, str_c(lua_enter))) &&
           buf_str(out, str_c(text[id]));
}
