#include "supervisor/recorder/ask/range.h"

#include "common/ipc/params.h"

enum { HOUR = 3600, DAY = 86400 };

static const int64_t steps[] = {ZONE_QUARTER, HOUR, 6 * HOUR, DAY};

/* ---- parameters */

/* A parameter's value. False: it is malformed, as *e says. given: whether it is there at all. */
static bool get(struct str arg, const char *name, char room[static RANGE_ARG], struct str *v,
                bool *given, struct err *e)
{
    enum param p = params_get(arg, str_c(name), room, RANGE_ARG, v);
    *given = p == PARAM_GIVEN;
    return p != PARAM_BAD || err_set(e, "%s is malformed or too long", name);
}

static bool get_moment(struct str arg, const char *name, int64_t now_s, int64_t *at_s,
                       struct err *e)
{
    char room[RANGE_ARG];
    struct str v;
    bool given;
    if (!get(arg, name, room, &v, &given, e))
        return false;
    if (given && !params_moment(v, now_s, at_s))
        return err_set(e, "%s is a Unix time in seconds, or a span back from now: 90m, 24h, 7d",
                       name);
    return true;
}

static bool get_zone(struct range *r, struct str arg, struct err *e)
{
    char room[RANGE_ARG];
    struct str v;
    bool given;
    if (!get(arg, "zone", room, &v, &given, e))
        return false;
    if (given && !zone_parse(&r->zone, v))
        return err_set(e, "zone is minutes east of UTC in steps of 15, from -720 to 840, and its "
                          "changes: 60,1774746000:120");
    return true;
}

static bool get_step(struct range *r, struct str arg, const struct range_rules *rules,
                     struct err *e)
{
    char room[RANGE_ARG];
    struct str v;
    bool given, sets = rules->step.unit != ZONE_SECONDS || rules->step.seconds;
    uint64_t seconds;
    r->step = rules->step;
    if (!get(arg, "step", room, &v, &given, e) || !given)
        return !e->msg[0];
    if (sets)
        return err_set(e, "step goes with by=model, endpoint, client or total: others set it");
    r->one = str_eq(v, STR("none"));
    if (r->one)
        return true;
    if (str_to_u64(v, DAY, &seconds))
        for (size_t i = 0; i < COUNT_OF(steps); i++)
            if (steps[i] == (int64_t)seconds && steps[i] >= rules->least_s) {
                r->step.seconds = steps[i];
                return true;
            }
    return err_set(e, "step is seconds: %s3600, 21600 or 86400, or none",
                   rules->least_s < HOUR ? "900, " : "");
}

/* ---- buckets */

/* The smallest step that makes few buckets of the range. */
static void choose_step(struct range *r, const struct range_rules *rules, int64_t since,
                        int64_t until)
{
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        r->step.seconds = steps[i];
        if (steps[i] >= rules->least_s && (until - since + steps[i] - 1) / steps[i] <= RANGE_FEW &&
            (steps[i] >= HOUR || since >= r->quarters_from_s))
            return;
    }
}

/* Adds the begin of a bucket, cut at the hour where there are no quarters. */
static void add(struct range *r, int64_t at, bool only_hours)
{
    int64_t said = at, cut = at - at % HOUR;
    if (cut != at && (only_hours || at < r->quarters_from_s)) {
        r->rounded = true;
        at = cut;
    }
    if (r->n && r->at_s[r->n - 1] >= at)
        return;
    r->by_quarter |= at % HOUR != 0;
    r->said_s[r->n] = said;
    r->at_s[r->n++] = at;
}

static bool cut(struct range *r, int64_t since, int64_t until, bool only_hours, struct err *e)
{
    int64_t at = zone_floor(&r->zone, r->step, since);
    r->n = 0;
    for (; at < until; at = zone_next(&r->zone, r->step, at)) {
        if (r->n == RANGE_BUCKETS)
            return err_set(e,
                           "since and until make more than %d buckets: narrow the range or take "
                           "a larger step",
                           RANGE_BUCKETS);
        add(r, at, only_hours);
    }
    add(r, at, only_hours);
    r->n--;
    return true;
}

/* All in one: by the quarter of an hour where the range is short, else by the hour, of which there
 * are four times fewer. */
static void cut_none(struct range *r, int64_t since, int64_t until, const struct range_rules *rules)
{
    bool hours = rules->least_s >= HOUR || until - since > 2 * DAY || since < r->quarters_from_s;
    int64_t unit = hours ? HOUR : ZONE_QUARTER;
    r->n = 1;
    r->at_s[0] = r->said_s[0] = since - since % unit;
    r->at_s[1] = r->said_s[1] = until + unit - 1 - (until + unit - 1) % unit;
    r->by_quarter = r->at_s[0] % HOUR || r->at_s[1] % HOUR;
}

/* Days: a range that reaches further back asks for all that there is, and has no buckets before. */
enum { LONG_D = 400 };

/* Cuts the range into buckets of the step asked for, or of one that suits its length. */
static bool divide(struct range *r, struct zone_step asked, int64_t since, int64_t until,
                   const struct range_rules *rules, struct err *e)
{
    r->step = asked;
    if (r->step.unit == ZONE_SECONDS && !r->step.seconds)
        choose_step(r, rules, since, until);
    if (r->step.unit == ZONE_SECONDS && r->step.seconds < HOUR && since < r->quarters_from_s)
        return err_set(e,
                       "since is too early for step %d: quarters of an hour are kept for %d days",
                       ZONE_QUARTER, RANGE_QUARTERS_D);
    return cut(r, since, until, rules->least_s >= HOUR, e);
}

bool range_read(struct range *r, struct str arg, const struct range_rules *rules, int64_t now_s,
                struct err *e)
{
    int64_t since = now_s - rules->span_s, until = now_s + 1;
    *r = (struct range){0};
    e->msg[0] = '\0';
    if (!get_moment(arg, "since", now_s, &since, e) ||
        !get_moment(arg, "until", now_s, &until, e) || !get_zone(r, arg, e) ||
        !get_step(r, arg, rules, e))
        return false;
    if (since > now_s)
        return err_set(e, "since is in the future");
    if (until >= now_s)
        until = now_s + 1; /* what ends in this second is within */
    if (until <= since)
        return err_set(e, "until is not after since");
    int64_t kept = since;
    if (since < rules->oldest_s)
        kept = rules->oldest_s < until ? rules->oldest_s : until - 1;
    r->quarters_from_s = now_s - (int64_t)RANGE_QUARTERS_D * DAY;
    r->quarters_from_s += HOUR - 1 - (r->quarters_from_s + HOUR - 1) % HOUR;
    if (r->one) {
        cut_none(r, kept, until, rules);
        return true;
    }
    struct zone_step asked = r->step;
    if (since >= now_s - (int64_t)LONG_D * DAY && divide(r, asked, since, until, rules, e))
        return true;
    return divide(r, asked, kept, until, rules, e);
}

size_t range_bucket(const struct range *r, int64_t at_s, size_t hint)
{
    size_t i = hint < r->n ? hint : 0;
    if (r->at_s[i] > at_s)
        i = 0;
    while (i + 1 < r->n && r->at_s[i + 1] <= at_s)
        i++;
    return i;
}

int64_t range_step_s(const struct range *r)
{
    return r->step.unit == ZONE_SECONDS && !r->one ? r->step.seconds : 0;
}
