#include "worker/admin/prometheus.h"

#include "common/base/mem.h"
#include "common/ipc/wire.h"
#include "common/policy/hist.h"

#include <stdio.h>

enum {
    SETS_MAX = 32,
    SETS_OF_ONE = 2, /* labels of one family, not counting a histogram's `le` */
    VALUES_MAX = 1 << 16,
    SAMPLES_MAX = 1 << 20,
    FAMILIES_MAX = 1024,
    TEXT = 4096,      /* bytes of a name, a help text or a label's value */
    LABELS = 4 * TEXT /* bytes of a sample's labels, escaped */
};

/* A label and its values. */
struct set {
    struct str label, *v;
    uint32_t n;
};

struct family {
    struct str name;
    const struct set *set[SETS_OF_ONE];
    uint32_t nsets;
    bool histogram;
};

struct metrics {
    struct set set[SETS_MAX];
    uint32_t nsets;
    struct buf *out;
    struct buf labels; /* labels of the sample that is being written: `a="x",b="y"` */
};

/* ---- writing */

static bool put_escaped(struct buf *b, struct str s)
{
    bool ok = true;
    for (size_t i = 0; ok && i < s.n; i++) {
        char c = s.p[i];
        if (c == '\n')
            ok = buf_str(b, STR("\\n"));
        else if (c == '"' || c == '\\')
            ok = buf_add(b, (char[]){'\\', c}, 2);
        else
            ok = buf_add(b, &c, 1);
    }
    return ok;
}

/* Writes the labels of the family's sample number i to m->labels. */
static bool make_labels(struct metrics *m, const struct family *f, uint32_t i)
{
    buf_drop(&m->labels, m->labels.len);
    for (uint32_t k = 0; k < f->nsets; k++) {
        const struct set *s = f->set[k];
        uint32_t at = k + 1 < f->nsets ? i / f->set[k + 1]->n : i % s->n;
        if ((k && !buf_str(&m->labels, STR(","))) || !buf_str(&m->labels, s->label) ||
            !buf_str(&m->labels, STR("=\"")) || !put_escaped(&m->labels, s->v[at]) ||
            !buf_str(&m->labels, STR("\"")))
            return false;
    }
    return true;
}

/* Writes the start of a line, `name_suffix{labels,le="…"} `, up to the value. */
static bool begin(const struct metrics *m, const struct family *f, const char *suffix,
                  const char *le)
{
    struct str labels = buf_view(&m->labels);
    bool ok = buf_str(m->out, f->name) && buf_str(m->out, str_c(suffix));
    if (labels.n || le)
        ok = ok && buf_str(m->out, STR("{")) && buf_str(m->out, labels);
    if (le)
        ok = ok && buf_printf(m->out, "%sle=\"%s\"", labels.n ? "," : "", le);
    return ok && buf_str(m->out, labels.n || le ? STR("} ") : STR(" "));
}

static bool end(const struct metrics *m, uint64_t v)
{
    return buf_u64(m->out, v) && buf_str(m->out, STR("\n"));
}

/* Whether a bucket's bound is written: all buckets would make 35 lines per endpoint. */
static bool is_shown(uint32_t ms)
{
    static const uint32_t shown[] = {10,   20,   50,    100,   200,   500,    1000,
                                     2000, 5000, 10000, 20000, 50000, 100000, 300000};
    for (size_t i = 0; i < COUNT_OF(shown); i++)
        if (shown[i] == ms)
            return true;
    return false;
}

static bool put_hist(const struct metrics *m, const struct family *f,
                     const uint64_t count[HIST_BUCKETS], uint64_t sum_us)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        char bound[32] = "+Inf";
        sum += count[i];
        if (i < HIST_BUCKETS - 1) {
            if (!is_shown(hist_bound_ms[i]))
                continue;
            snprintf(bound, sizeof bound, "%g", (double)hist_bound_ms[i] / 1000);
        }
        if (!begin(m, f, "_bucket", bound) || !end(m, sum))
            return false;
    }
    return begin(m, f, "_sum", NULL) &&
           buf_printf(m->out, "%llu.%06llu\n", (unsigned long long)(sum_us / 1000000),
                      (unsigned long long)(sum_us % 1000000)) &&
           begin(m, f, "_count", NULL) && end(m, sum);
}

/* ---- reading */

static bool sample(struct metrics *m, const struct family *f, struct rd *r)
{
    uint64_t v, count[HIST_BUCKETS];
    struct str decimal;
    uint32_t n;
    if (rd_nil(r))
        return true;
    if (!f->histogram && rd_u64(r, &v))
        return begin(m, f, "", NULL) && end(m, v);
    if (!f->histogram)
        return rd_bin(r, 32, &decimal) && begin(m, f, "", NULL) && buf_str(m->out, decimal) &&
               buf_str(m->out, STR("\n"));
    if (!rd_array(r, HIST_BUCKETS + 1, &n) || n != HIST_BUCKETS + 1 || !rd_u64(r, &v))
        return false;
    for (unsigned i = 0; i < HIST_BUCKETS; i++)
        if (!rd_u64(r, &count[i]))
            return false;
    return put_hist(m, f, count, v);
}

static bool family_sets(const struct metrics *m, struct family *f, struct rd *r)
{
    if (!rd_array(r, SETS_OF_ONE, &f->nsets))
        return false;
    for (uint32_t i = 0; i < f->nsets; i++) {
        uint64_t at;
        if (!rd_u64(r, &at) || at >= m->nsets)
            return false;
        f->set[i] = &m->set[at];
    }
    return true;
}

static bool family(struct metrics *m, struct rd *r)
{
    struct family f = {0};
    struct str type, help;
    uint32_t parts, n;
    if (!rd_array(r, 5, &parts) || parts != 5 || !rd_str(r, TEXT, &f.name) ||
        !rd_str(r, TEXT, &type) || !rd_str(r, TEXT, &help) || !family_sets(m, &f, r) ||
        !rd_array(r, SAMPLES_MAX, &n))
        return false;
    uint64_t want = 1;
    for (uint32_t i = 0; i < f.nsets; i++)
        want *= f.set[i]->n;
    if (n != want)
        return false;
    f.histogram = str_eq(type, STR("histogram"));
    if (!buf_printf(m->out, "# HELP " STR_FMT " " STR_FMT "\n# TYPE " STR_FMT " " STR_FMT "\n",
                    STR_ARG(f.name), STR_ARG(help), STR_ARG(f.name), STR_ARG(type)))
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (!make_labels(m, &f, i) || !sample(m, &f, r))
            return false;
    return true;
}

static bool read_set(struct set *s, struct rd *r)
{
    uint32_t parts;
    if (!rd_array(r, 2, &parts) || parts != 2 || !rd_str(r, TEXT, &s->label) ||
        !rd_array(r, VALUES_MAX, &s->n))
        return false;
    s->v = mem_zalloc(s->n + 1, sizeof *s->v);
    for (uint32_t i = 0; i < s->n; i++)
        if (!rd_str(r, TEXT, &s->v[i]))
            return false;
    return true;
}

static bool named(struct rd *r, struct str name)
{
    struct str key;
    return rd_str(r, TEXT, &key) && str_eq(key, name);
}

static bool read_all(struct metrics *m, struct rd *r)
{
    uint32_t members, n;
    if (!rd_map(r, 2, &members) || members != 2 || !named(r, STR("sets")) ||
        !rd_array(r, SETS_MAX, &n))
        return false;
    for (; m->nsets < n; m->nsets++)
        if (!read_set(&m->set[m->nsets], r))
            return false;
    if (!named(r, STR("families")) || !rd_array(r, FAMILIES_MAX, &n))
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (!family(m, r))
            return false;
    return rd_end(r);
}

bool prometheus_write(struct str msgpack, struct buf *b)
{
    struct metrics m = {.out = b};
    struct rd r;
    buf_init(&m.labels, LABELS);
    rd_init(&r, msgpack);
    bool ok = read_all(&m, &r);
    for (size_t i = 0; i < SETS_MAX; i++)
        mem_free(m.set[i].v);
    buf_free(&m.labels);
    return ok;
}
