/* script: the Lua that runs in the engine (lua/), built into the program. Every script
 * runs behind lua/ours.lua, and all but join behind lua/enter.lua too. */
#ifndef QCC_SUPERVISOR_LINK_SCRIPT_H
#define QCC_SUPERVISOR_LINK_SCRIPT_H

#include "common/base/buf.h"

enum script_id {
    SCRIPT_JOIN,
    SCRIPT_BEAT,
    SCRIPT_LEAVE,
    SCRIPT_PUT,
    SCRIPT_LEASE,
    SCRIPT_PLACES,
    SCRIPT_BIND,
    SCRIPT_PULL,
    SCRIPT__COUNT
};

/* Writes the whole text of a script. False: there is no memory. */
bool script_text(enum script_id id, struct buf *out) MUST_CHECK;

#endif
