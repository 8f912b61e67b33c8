#include "supervisor/query.h"

#include "common/base/clock.h"
#include "supervisor/sup.h"

static unsigned refuse(struct doc *d, unsigned status, const char *why)
{
    doc_map(d, 1);
    doc_kv_text(d, "error", why);
    return status;
}

static unsigned status(struct sup *s, struct str arg, struct doc *d)
{
    (void)arg;
    uint32_t alive = 0;
    uint64_t requests = 0, connections = 0, open = 0;
    for (size_t i = 0; i < s->nslots; i++) {
        if (!slot_alive(s->slots[i]))
            continue;
        alive++;
        requests += s->slots[i]->gauges.requests;
        connections += s->slots[i]->gauges.connections;
        open += s->slots[i]->gauges.requests_open;
    }
    char started[25];
    clock_format((int64_t)s->boot_ms, started);
    doc_map(d, 6);
    doc_kv_text(d, "version", QCC_VERSION);
    doc_kv_text(d, "started", started);
    doc_kv_int(d, "uptime_s", (clock_wall_ms() - (int64_t)s->boot_ms) / 1000);
    doc_kv_int(d, "generation", (int64_t)s->conf->gen);
    doc_text(d, "workers");
    doc_array(d, alive);
    for (size_t i = 0; i < s->nslots; i++) {
        const struct slot *w = s->slots[i];
        if (!slot_alive(w))
            continue;
        doc_map(d, 6);
        doc_kv_int(d, "slot", w->number);
        doc_kv_int(d, "pid", w->pid);
        doc_kv_int(d, "connections", w->gauges.connections);
        doc_kv_int(d, "requests_open", w->gauges.requests_open);
        doc_kv_int(d, "requests", (int64_t)w->gauges.requests);
        doc_kv_int(d, "failures", w->failures);
    }
    doc_text(d, "totals");
    doc_map(d, 3);
    doc_kv_int(d, "connections", (int64_t)connections);
    doc_kv_int(d, "requests_open", (int64_t)open);
    doc_kv_int(d, "requests", (int64_t)requests);
    return 200;
}

static unsigned reload(struct sup *s, struct str arg, struct doc *d)
{
    (void)arg;
    if (s->next.conf)
        return refuse(d, 409, "a reload is under way");
    s->want_reload = true;
    doc_map(d, 1);
    doc_kv_text(d, "reload", "begun");
    return 202;
}

static const struct {
    struct str what;
    unsigned (*run)(struct sup *s, struct str arg, struct doc *d);
} queries[] = {
    {{"status", 6}, status},
    {{"reload", 6}, reload},
};

unsigned query_run(struct sup *s, struct str what, struct str arg, struct doc *d)
{
    for (size_t i = 0; i < COUNT_OF(queries); i++)
        if (str_eq(queries[i].what, what))
            return queries[i].run(s, arg, d);
    return refuse(d, 404, "that cannot be asked");
}
