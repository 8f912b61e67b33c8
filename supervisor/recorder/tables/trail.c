#include "supervisor/recorder/tables/trail.h"

/* SCOPE_SHIFT: the scope stands above the fault, where files of before scopes have zero bits. */
enum { NO_ENDPOINT = UINT8_MAX, SCOPE_SHIFT = 4, FAULT_MASK = (1 << SCOPE_SHIFT) - 1 };

/* Numbers of these enums stand in files: one that gets another meaning needs another version. */
_Static_assert(TRAIL_VERSION == 1 && OUTCOME__COUNT == 6 && FAULT__COUNT == 4 &&
                   SCOPE__COUNT == 7 && SEL_END__COUNT == 6 && SEL_SKIP__COUNT == 35 &&
                   SEL_BOUND_LEFT == 3,
               "the meaning of a trail's numbers");

/* ---- whether it is worth it */

/* Whether an endpoint was passed over for a state that passes: not for what the configuration, the
 * operator, the conversation or the request itself says. One that is disabled stays so until
 * somebody acts, and each request would say it again; the events do, once. */
static bool is_telling(enum sel_skip why)
{
    switch (why) {
    case SEL_SKIP_QUEUED:
    case SEL_SKIP_COOLING:
    case SEL_SKIP_FULL:
    case SEL_SKIP_TRIAL_BUSY:
    case SEL_SKIP_CIRCUIT:
    case SEL_SKIP_COOLING_TOLD_NOTHING:
    case SEL_SKIP_TRIAL_NEEDED:
    case SEL_SKIP_CELL_COOLING:
    case SEL_SKIP_CELL_TRIAL_BUSY:
    case SEL_SKIP_CELL_CIRCUIT:
    case SEL_SKIP_CELL_COOLING_TOLD_NOTHING:
    case SEL_SKIP_CELL_TRIAL_NEEDED:
        return true;
    case SEL_SKIP_NO:
    case SEL_SKIP_DISABLED:
    case SEL_SKIP_DRAINING:
    case SEL_SKIP_MODEL:
    case SEL_SKIP_PATH:
    case SEL_SKIP_USED_UP:
    case SEL_SKIP_BOUND:
    case SEL_SKIP_TRIAL:
    case SEL_SKIP_TRIED:
    case SEL_SKIP_TIER:
    case SEL_SKIP_MARKED:
    case SEL_SKIP_WEIGHT:
    case SEL_SKIP_PRIORITY:
    case SEL_SKIP_STRATEGY:
    case SEL_SKIP_MARKED_LAST:
    case SEL_SKIP__COUNT:
        break;
    }
    return false;
}

bool trail_wanted(const struct recent_record *r, bool ok)
{
    struct choice x;
    struct choice_skip skip;
    size_t at = 0;
    if (!ok || r->attempts > 1)
        return true;
    while (choice_next(&r->choices, &at, &x)) {
        if (x.end != SEL_CHOSEN || x.flags & CHOICE_TRIAL)
            return true;
        for (unsigned i = 0; i < x.listed && choice_next_skip(&r->choices, &at, &skip); i++)
            if (is_telling((enum sel_skip)skip.why))
                return true;
    }
    return false;
}

/* ---- writing */

/* The trail that is written. Its bounds are those of a record (the assertion below). */
struct out {
    uint8_t *p;
    size_t n;
    uint32_t id[TRAIL_ENDPOINTS];
    size_t nendpoints;
};

static void put(struct out *o, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        o->p[o->n++] = (uint8_t)(v >> (8 * i));
}

static void put_text(struct out *o, struct str s, size_t max)
{
    size_t n = min_size(s.n, max);
    put(o, n, 1);
    if (n)
        memcpy(o->p + o->n, s.p, n);
    o->n += n;
}

static uint8_t place_of(struct out *o, uint32_t id)
{
    size_t i = 0;
    while (i < o->nendpoints && o->id[i] != id)
        i++;
    if (i == o->nendpoints) {
        if (o->nendpoints == TRAIL_ENDPOINTS)
            return NO_ENDPOINT;
        o->id[o->nendpoints++] = id;
    }
    return (uint8_t)i;
}

static bool has_endpoint(const struct choice *x)
{
    return x->end == SEL_CHOSEN || x->end == SEL_NEED_TRIAL || x->flags & CHOICE_UNDONE;
}

/* Reads all choices, and gathers their endpoints. */
static bool gather(struct out *o, const struct choices *c, unsigned *n)
{
    struct choice x;
    struct choice_skip skip;
    size_t at = 0;
    for (*n = 0; at < c->len; ++*n) {
        if (!choice_next(c, &at, &x))
            return false;
        if (has_endpoint(&x))
            place_of(o, x.endpoint);
        for (unsigned i = 0; i < x.listed; i++) {
            if (!choice_next_skip(c, &at, &skip))
                return false;
            place_of(o, skip.endpoint);
        }
    }
    return true;
}

static void put_choices(struct out *o, const struct choices *c)
{
    struct choice x;
    struct choice_skip skip;
    size_t at = 0;
    while (choice_next(c, &at, &x)) {
        put(o, x.at_ms, 4);
        put(o, x.others, 2);
        put(o, has_endpoint(&x) ? place_of(o, x.endpoint) : NO_ENDPOINT, 1);
        put(o, x.end, 1);
        put(o, x.bound, 1);
        put(o, x.flags, 1);
        put(o, x.again, 1);
        put(o, x.listed, 1);
        for (unsigned i = 0; i < x.listed && choice_next_skip(c, &at, &skip); i++) {
            put(o, place_of(o, skip.endpoint), 1);
            put(o, skip.why, 1);
        }
    }
}

/* Returns how many attempts it has written. */
static unsigned put_attempts(struct out *o, const struct recent_record *r)
{
    struct recent_texts t;
    struct recent_attempt a;
    size_t at;
    unsigned n = 0;
    if (!recent_get(r, &t, &at))
        return 0;
    for (; n < r->listed && recent_get_attempt(r, &at, &a); n++) {
        put(o, a.at_ms, 4);
        put(o, a.ms, 4);
        put(o, a.retry_after_ms, 4);
        put(o, a.status, 2);
        put(o, a.cls, 1);
        put(o, a.fault | a.scope << SCOPE_SHIFT, 1);
        put_text(o, a.endpoint, UINT8_MAX);
        put_text(o, a.reason, UINT8_MAX);
    }
    return n;
}

size_t trail_put(uint8_t out[static TRAIL_MAX], const struct recent_record *r,
                 const struct endpoint_names *names)
{
    _Static_assert(TRAIL_ENDPOINTS * 5 > CHOICES_BYTES + sizeof(struct choice),
                   "each endpoint of a choice takes 5 bytes there or more");
    _Static_assert(5 + TRAIL_ENDPOINTS * (5 + ENDPOINT_NAME_BYTES) + CHOICES_BYTES + RECENT_TEXT <=
                       TRAIL_MAX,
                   "choices and attempts are no longer here than in a record");
    struct out o = {.p = out};
    unsigned choices;
    if (!gather(&o, &r->choices, &choices))
        return 0;
    put(&o, TRAIL_VERSION, 1);
    put(&o, o.nendpoints, 1);
    put(&o, choices, 1);
    size_t attempts_at = o.n;
    put(&o, 0, 1);
    put(&o, r->choices.missed, 1);
    for (size_t i = 0; i < o.nendpoints; i++) {
        put(&o, o.id[i], 4);
        put_text(&o, endpoint_names_get(names, o.id[i]), ENDPOINT_NAME_BYTES);
    }
    put_choices(&o, &r->choices);
    out[attempts_at] = (uint8_t)put_attempts(&o, r);
    return out[attempts_at] == r->listed ? o.n : 0;
}

/* ---- reading */

static bool get(struct str *left, size_t bytes, uint32_t *v)
{
    if (left->n < bytes)
        return false;
    *v = 0;
    for (size_t i = 0; i < bytes; i++)
        *v |= (uint32_t)(uint8_t)left->p[i] << (8 * i);
    *left = str_make(left->p + bytes, left->n - bytes);
    return true;
}

static bool get_u8(struct str *left, uint8_t *v)
{
    uint32_t wide;
    bool ok = get(left, 1, &wide);
    *v = ok ? (uint8_t)wide : 0;
    return ok;
}

static bool get_text(struct str *left, struct str *s)
{
    uint32_t n;
    if (!get(left, 1, &n) || left->n < n)
        return false;
    *s = str_make(left->p, n);
    *left = str_make(left->p + n, left->n - n);
    return true;
}

/* Looks up the endpoint of that place. False: there is none. */
static bool endpoint_at(const struct trail *t, uint32_t place, uint32_t *id, struct str *name)
{
    if (place >= t->nendpoints)
        return false;
    *id = t->endpoint[place].id;
    *name = t->endpoint[place].name;
    return true;
}

bool trail_choice(struct trail *t, struct trail_choice *c)
{
    uint32_t others, place;
    struct choice *x = &c->x;
    *c = (struct trail_choice){.name = STR("")};
    if (!get(&t->left, 4, &x->at_ms) || !get(&t->left, 2, &others) || !get(&t->left, 1, &place) ||
        !get_u8(&t->left, &x->end) || !get_u8(&t->left, &x->bound) ||
        !get_u8(&t->left, &x->flags) || !get_u8(&t->left, &x->again) ||
        !get_u8(&t->left, &x->listed))
        return false;
    x->others = (uint16_t)others;
    c->named = place != NO_ENDPOINT;
    return x->end < SEL_END__COUNT && x->bound <= SEL_BOUND_LEFT && x->listed <= CHOICE_LISTED &&
           c->named == has_endpoint(x) &&
           (!c->named || endpoint_at(t, place, &x->endpoint, &c->name));
}

bool trail_skip(struct trail *t, struct trail_skip *s)
{
    uint32_t place;
    return get(&t->left, 1, &place) && get_u8(&t->left, &s->x.why) && s->x.why < SEL_SKIP__COUNT &&
           endpoint_at(t, place, &s->x.endpoint, &s->name);
}

bool trail_attempt(struct trail *t, struct recent_attempt *a)
{
    uint32_t status, cls, fault;
    *a = (struct recent_attempt){0};
    if (!get(&t->left, 4, &a->at_ms) || !get(&t->left, 4, &a->ms) ||
        !get(&t->left, 4, &a->retry_after_ms) || !get(&t->left, 2, &status) ||
        !get(&t->left, 1, &cls) || !get(&t->left, 1, &fault) || cls >= OUTCOME__COUNT ||
        (fault & FAULT_MASK) >= FAULT__COUNT || fault >> SCOPE_SHIFT >= SCOPE__COUNT)
        return false;
    a->status = status;
    a->cls = (enum outcome)cls;
    a->fault = (enum fault)(fault & FAULT_MASK);
    a->scope = (enum scope)(fault >> SCOPE_SHIFT);
    return get_text(&t->left, &a->endpoint) && get_text(&t->left, &a->reason);
}

static bool read_head(struct trail *t)
{
    uint32_t version;
    if (!get(&t->left, 1, &version) || version != TRAIL_VERSION ||
        !get(&t->left, 1, &t->nendpoints) || !get(&t->left, 1, &t->choices) ||
        !get(&t->left, 1, &t->attempts) || !get(&t->left, 1, &t->missed) ||
        t->nendpoints > TRAIL_ENDPOINTS)
        return false;
    for (unsigned i = 0; i < t->nendpoints; i++)
        if (!get(&t->left, 4, &t->endpoint[i].id) || !get_text(&t->left, &t->endpoint[i].name))
            return false;
    return true;
}

bool trail_pass_choices(struct trail *t)
{
    struct trail_choice c;
    struct trail_skip s;
    for (unsigned i = 0; i < t->choices; i++) {
        if (!trail_choice(t, &c))
            return false;
        for (unsigned k = 0; k < c.x.listed; k++)
            if (!trail_skip(t, &s))
                return false;
    }
    return true;
}

static bool is_whole(struct trail *t)
{
    struct recent_attempt a;
    if (!trail_pass_choices(t))
        return false;
    for (unsigned i = 0; i < t->attempts; i++)
        if (!trail_attempt(t, &a))
            return false;
    return t->left.n == 0;
}

bool trail_read(struct trail *t, struct str blob)
{
    *t = (struct trail){.left = blob};
    if (blob.n > TRAIL_MAX || !read_head(t))
        return false;
    struct str body = t->left;
    bool whole = is_whole(t);
    t->left = body;
    return whole;
}
