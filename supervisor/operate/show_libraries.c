/* show_libraries: what the programs of the service are linked with. */
#include "supervisor/operate/show_parts.h"

#include <ev.h>
#include <msgpack.h>
#include <stdio.h>
#include <yaml.h>

/* What the newest worker has said of itself; NULL: none has. */
static const char *of_worker(const struct operate_env *env)
{
    const char *text = NULL;
    for (size_t i = 0; i < env->slots->n; i++)
        if (slot_alive(env->slots->v[i]) && env->slots->v[i]->libraries[0])
            text = env->slots->v[i]->libraries;
    return text;
}

void show_put_libraries(const struct operate_env *env, struct doc *d)
{
    char own[IPC_LIBRARIES_MAX + 1];
    snprintf(own, sizeof own, "libev %d.%d, libyaml %s, msgpack %s", ev_version_major(),
             ev_version_minor(), yaml_get_version_string(), msgpack_version());
    doc_text(d, "libraries");
    doc_map(d, 3);
    doc_kv_text(d, "supervisor", own);
    doc_kv_text(d, "worker", of_worker(env));
    doc_kv_text(d, "recorder", env->recorder->libraries[0] ? env->recorder->libraries : NULL);
}
