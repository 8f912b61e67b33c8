/* show_overview: what the dashboard asks for every two seconds, in one document of one moment. */
#include "common/base/clock.h"
#include "supervisor/operate/show.h"
#include "supervisor/operate/show_parts.h"

#include <unistd.h>

void show_put_last_reload(const struct operate_env *env, struct doc *d, size_t max)
{
    const struct reload_counts *r = env->reloads;
    size_t n = r->nfaults < max ? r->nfaults : max;
    doc_text(d, "last_reload");
    if (!r->last_ms) {
        doc_nil(d);
        return;
    }
    doc_map(d, 5);
    show_put_wall(d, "at", r->last_ms);
    doc_kv_flag(d, "ok", !r->last_refused);
    doc_kv_text(d, "error", r->last_refused ? r->error : NULL);
    doc_text(d, "faults");
    doc_array(d, (uint32_t)n);
    for (size_t i = 0; i < n; i++)
        doc_text(d, r->faults[i]);
    doc_kv_int(d, "faults_left_out", (int64_t)(r->nfaults - n));
}

void show_overview(const struct operate_env *env, struct doc *d)
{
    enum { FAULTS = 20 }; /* the document is asked for often; GET /api/v1/config has all */
    doc_map(d, 15);
    doc_kv_text(d, "version", QCC_VERSION);
    doc_kv_int(d, "boot", (int64_t)env->boot_ms);
    doc_kv_int(d, "clock_ms", clock_wall_ms());
    doc_kv_int(d, "generation", (int64_t)env->conf->gen);
    doc_kv_text(d, "state", show_state(env));
    doc_kv_int(d, "pid", getpid());
    doc_kv_text(d, "config", env->conf_path);
    show_put_listeners(env, d);
    show_put_workers(env, d);
    show_put_states(env, d, "endpoints_by_state");
    show_put_totals(env, d);
    show_put_endpoints(env, d);
    show_put_queue(env, d);
    show_put_last_reload(env, d, FAULTS);
    doc_text(d, "history");
    show_history(env, d);
}
