#include "common/policy/price.h"

enum { MICRO_DIGITS = 6, MODEL_BITS = PRICE_KINDS + 5 };

static const char *const kinds[PRICE_KINDS] = {
    [PRICE_INPUT] = "input",       [PRICE_OUTPUT] = "output",     [PRICE_CACHE_READ] = "cache_read",
    [PRICE_WRITE_5M] = "write_5m", [PRICE_WRITE_1H] = "write_1h", [PRICE_WEB] = "web_search",
};

const char *price_kind_name(enum price_kind kind)
{
    return kinds[kind];
}

/* ---- the table */

static int compare_name(const char *name, struct str s)
{
    size_t n = strlen(name);
    int d = memcmp(name, s.p, min_size(n, s.n));
    return d ? d : (n > s.n) - (n < s.n);
}

size_t price_place(const struct price_table *t, struct str name, bool *there)
{
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare_name(t->v[mid]->name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *there = low < t->n && compare_name(t->v[low]->name, name) == 0;
    return low;
}

const struct price_model *price_find(const struct price_table *t, struct str name)
{
    char room[MODEL_NAME_MAX];
    struct str normal = model_name(name, room);
    bool there = false;
    size_t i = normal.n ? price_place(t, normal, &there) : 0;
    return there ? t->v[i] : NULL;
}

const struct price_row *price_row_at(const struct price_model *m, int64_t at_s)
{
    size_t i = m->n;
    while (i && m->rows[i - 1].from_s > at_s)
        i--;
    return i ? &m->rows[i - 1] : NULL;
}

int64_t price_newest(const struct price_table *t, int64_t at_s)
{
    int64_t newest = INT64_MIN;
    for (size_t i = 0; i < t->n; i++) {
        const struct price_row *r = price_row_at(t->v[i], at_s);
        if (r && r->from_s > newest)
            newest = r->from_s;
    }
    return newest;
}

/* ---- the cost */

unsigned price_rate(uint64_t prompt, struct str speed, struct str tier, struct str geo)
{
    unsigned rate = (unsigned)((prompt > 100000) + (prompt > 200000) + (prompt > 272000));
    rate |= str_eq(speed, STR("fast")) ? PRICE_RATE_FAST : 0;
    rate |= str_eq(tier, STR("batch")) ? PRICE_RATE_BATCH : 0;
    rate |= str_eq(tier, STR("priority")) ? PRICE_RATE_PRIORITY : 0;
    rate |= str_eq(geo, STR("us")) ? PRICE_RATE_US : 0;
    return rate;
}

static price_money times(price_money v, uint64_t ppm)
{
    return (v * (price_money)ppm + PRICE_ONE / 2) / PRICE_ONE;
}

/* One multiplier, if its bit is set. */
static void multiply(price_money *v, unsigned rate, unsigned bit, uint64_t ppm, unsigned lack,
                     unsigned *missing)
{
    if (!(rate & bit))
        return;
    if (ppm == PRICE_NONE)
        *missing |= lack;
    else
        *v = times(*v, ppm);
}

static price_money cost_of(uint64_t n, uint64_t rate, enum price_kind kind, unsigned *missing)
{
    if (n == 0)
        return 0;
    if (rate == PRICE_NONE) {
        *missing |= 1U << kind;
        return 0;
    }
    return (price_money)(n < PRICE_COUNT_MAX ? n : PRICE_COUNT_MAX) * (price_money)rate;
}

static price_money row_cost(const struct price_row *r, const struct price_use *u, unsigned *missing)
{
    bool above = r->above_class && (u->rate & PRICE_RATE_CLASS) >= r->above_class;
    const uint64_t *rates = above ? r->above : r->base;
    price_money sum = 0;
    bool tokens = false;
    for (unsigned k = 0; k < PRICE_TOKENS; k++) {
        sum += cost_of(u->n[k], rates[k], (enum price_kind)k, missing);
        tokens |= u->n[k] > 0;
    }
    if (tokens) {
        multiply(&sum, u->rate, PRICE_RATE_FAST, r->fast, PRICE_LACKS_FAST, missing);
        multiply(&sum, u->rate, PRICE_RATE_BATCH, r->batch, PRICE_LACKS_BATCH, missing);
        multiply(&sum, u->rate, PRICE_RATE_PRIORITY, PRICE_NONE, PRICE_LACKS_PRIORITY, missing);
        multiply(&sum, u->rate, PRICE_RATE_US, r->geo_us, PRICE_LACKS_US, missing);
    }
    return sum + cost_of(u->n[PRICE_WEB], r->web, PRICE_WEB, missing);
}

bool price_cost(const struct price_table *t, const struct price_use *u, price_money *cost,
                unsigned *missing)
{
    bool used = false;
    for (size_t k = 0; k < PRICE_KINDS; k++)
        used |= u->n[k] > 0;
    *missing = 0;
    *cost = 0;
    if (!used || u->factor_ppm == 0)
        return true;
    const struct price_model *m = t ? price_find(t, u->model) : NULL;
    const struct price_row *r = m ? price_row_at(m, u->at_s) : NULL;
    if (!r) {
        *missing = PRICE_LACKS_MODEL;
        return false;
    }
    price_money sum = row_cost(r, u, missing);
    uint64_t factor = u->factor_ppm < PRICE_FACTOR_MAX ? u->factor_ppm : PRICE_FACTOR_MAX;
    if (!*missing)
        *cost = times(sum, factor);
    return !*missing;
}

static char *put_text(char *to, struct str s)
{
    memcpy(to, s.p, s.n);
    return to + s.n;
}

bool price_missing_next(unsigned *missing, struct str model, char out[static PRICE_MISSING_TEXT])
{
    static const char *const rest[] = {"no price", "fast unpriced", "batch unpriced",
                                       "priority tier unpriced", "US inference unpriced"};
    unsigned i = 0;
    while (i < MODEL_BITS && !(*missing & 1U << i))
        i++;
    if (i == MODEL_BITS)
        return false;
    *missing &= ~(1U << i);
    model.n = min_size(model.n, MODEL_NAME_MAX);
    if (i < PRICE_KINDS) {
        out = put_text(out, STR("no rate for "));
        out = put_text(out, str_c(kinds[i]));
        out = put_text(out, STR(" of "));
    } else {
        out = put_text(out, str_c(rest[i - PRICE_KINDS]));
        out = put_text(out, STR(" for "));
    }
    *(model.n ? put_text(out, model) : out) = '\0';
    return true;
}

/* ---- as text */

size_t price_format(price_money cost, char out[static PRICE_TEXT])
{
    char digits[PRICE_TEXT];
    bool minus = cost < 0;
    unsigned __int128 v = minus ? -(unsigned __int128)cost : (unsigned __int128)cost;
    v = (v + PRICE_ONE / 2) / PRICE_ONE;
    size_t n = 0, len = 0;
    for (; v || n <= MICRO_DIGITS; v /= 10)
        digits[n++] = (char)('0' + (int)(v % 10));
    if (minus)
        out[len++] = '-';
    while (n) {
        out[len++] = digits[--n];
        if (n == MICRO_DIGITS)
            out[len++] = '.';
    }
    out[len] = '\0';
    return len;
}

size_t price_format_rate(uint64_t millionths, char out[static PRICE_TEXT])
{
    size_t len = str_put_u64(out, millionths / PRICE_ONE);
    out[len++] = '.';
    for (uint64_t unit = PRICE_ONE / 10; unit; unit /= 10)
        out[len++] = (char)('0' + (int)(millionths / unit % 10));
    for (int zeros = 0; zeros < MICRO_DIGITS - 2 && out[len - 1] == '0'; zeros++)
        len--;
    out[len] = '\0';
    return len;
}

bool price_parse(struct str s, unsigned decimals, uint64_t max, uint64_t *v)
{
    uint64_t sum = 0;
    size_t digits = 0, behind = 0;
    bool point = false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '.' && !point && digits) {
            point = true;
            continue;
        }
        if (!ascii_digit(s.p[i]))
            return false;
        digits++;
        behind += point;
        uint64_t digit = (uint64_t)(s.p[i] - '0');
        if (behind > decimals) {
            if (digit)
                return false;
            continue;
        }
        if (digit > max || sum > (max - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    if (digits == 0 || (point && behind == 0))
        return false;
    for (; behind < decimals; behind++) {
        if (sum > max / 10)
            return false;
        sum *= 10;
    }
    *v = sum;
    return true;
}
