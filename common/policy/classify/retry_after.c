#include "common/policy/classify/retry_after.h"

#include "common/policy/classify/date.h"

enum { NOTHING = -1 };

/* Unix times are seconds below 1e11 and milliseconds above (1e11 s is the year 5138; 1e11 ms is
 * 1973). */
#define UNIX_SECONDS_FROM INT64_C(1000000000)
#define UNIX_MS_FROM INT64_C(100000000000)

/* ---- numbers and durations */

static struct str behind(struct str s, size_t n)
{
    return str_make(s.p + n, s.n - n);
}

/* Cuts a decimal number off the front of *s and scales it: 6.5 with 1000 gives 6500, rounded down.
 * False (and *s unchanged) when there is no digit. Larger values are cut to RETRY_AFTER_MAX_MS. */
static bool number_cut(struct str *s, int64_t scale, int64_t *out)
{
    size_t i = 0;
    int64_t whole = 0;
    for (; i < s->n && ascii_digit(s->p[i]); i++)
        if (whole <= RETRY_AFTER_MAX_MS)
            whole = whole * 10 + (s->p[i] - '0');
    if (i == 0)
        return false;
    int64_t v = whole > RETRY_AFTER_MAX_MS / scale ? RETRY_AFTER_MAX_MS : whole * scale;
    if (i + 1 < s->n && s->p[i] == '.' && ascii_digit(s->p[i + 1])) {
        int64_t unit = scale;
        for (i++; i < s->n && ascii_digit(s->p[i]); i++) {
            int64_t digit = s->p[i] - '0';
            v += unit * digit / 10;
            unit /= 10;
        }
    }
    *out = v < RETRY_AFTER_MAX_MS ? v : RETRY_AFTER_MAX_MS;
    *s = behind(*s, i);
    return true;
}

/* Reads a number that is the whole text, and scales it. */
static bool number_whole(struct str s, int64_t scale, int64_t *out)
{
    s = str_trim(s);
    return number_cut(&s, scale, out) && s.n == 0;
}

/* Units as messages write them; the longest that fits comes first. */
static const struct {
    struct str name;
    int64_t ms;
} units[] = {
    {{"milliseconds", 12}, 1}, {{"millisecond", 11}, 1},
    {{"msec", 4}, 1},          {{"ms", 2}, 1},
    {{"minutes", 7}, 60000},   {{"minute", 6}, 60000},
    {{"mins", 4}, 60000},      {{"min", 3}, 60000},
    {{"m", 1}, 60000},         {{"seconds", 7}, 1000},
    {{"second", 6}, 1000},     {{"secs", 4}, 1000},
    {{"sec", 3}, 1000},        {{"s", 1}, 1000},
    {{"hours", 5}, 3600000},   {{"hour", 4}, 3600000},
    {{"hrs", 3}, 3600000},     {{"hr", 2}, 3600000},
    {{"h", 1}, 3600000},       {{"days", 4}, 86400000},
    {{"day", 3}, 86400000},    {{"d", 1}, 86400000},
    {{"毫秒", 6}, 1},
    {{"秒間", 6}, 1000},
    {{"秒", 3}, 1000},
    {{"分钟", 6}, 60000},
    {{"分鐘", 6}, 60000},
    {{"分間", 6}, 60000},
    {{"分", 3}, 60000},
    {{"个小时", 9}, 3600000},
    {{"個小時", 9}, 3600000},
    {{"小时", 6}, 3600000},
    {{"小時", 6}, 3600000},
    {{"時間", 6}, 3600000},
    {{"天", 3}, 86400000},
    {{"日", 3}, 86400000},
    {{"초", 3}, 1000},
    {{"분", 3}, 60000},
    {{"시간", 6}, 3600000},
    {{"일", 3}, 86400000},
    {{"sekunden", 8}, 1000},
    {{"sekunde", 7}, 1000},
    {{"minuten", 7}, 60000},
    {{"stunden", 7}, 3600000},
    {{"stunde", 6}, 3600000},
    {{"tagen", 5}, 86400000},
    {{"tage", 4}, 86400000},
    {{"tag", 3}, 86400000},
    {{"secondes", 8}, 1000},
    {{"seconde", 7}, 1000},
    {{"heures", 6}, 3600000},
    {{"heure", 5}, 3600000},
    {{"jours", 5}, 86400000},
    {{"jour", 4}, 86400000},
    {{"segundos", 8}, 1000},
    {{"segundo", 7}, 1000},
    {{"minutos", 7}, 60000},
    {{"minuto", 6}, 60000},
    {{"horas", 5}, 3600000},
    {{"hora", 4}, 3600000},
    {{"días", 5}, 86400000},
    {{"dias", 4}, 86400000},
    {{"día", 4}, 86400000},
    {{"dia", 3}, 86400000},
    {{"secondi", 7}, 1000},
    {{"minuti", 6}, 60000},
    {{"giorni", 6}, 86400000},
    {{"giorno", 6}, 86400000},
    {{"секунд", 12}, 1000},
    {{"сек", 6}, 1000},
    {{"минут", 10}, 60000},
    {{"мин", 6}, 60000},
    {{"часов", 10}, 3600000},
    {{"часа", 8}, 3600000},
    {{"час", 6}, 3600000},
    {{"дней", 8}, 86400000},
    {{"дня", 6}, 86400000},
    {{"день", 8}, 86400000},
};

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* The unit at the front of s: bytes, or 0 when there is none. */
static size_t unit_at(struct str s, int64_t *ms)
{
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        size_t n = units[i].name.n;
        if (str_starts_nocase(s, units[i].name) && (n == s.n || !is_word(s.p[n]))) {
            *ms = units[i].ms;
            return n;
        }
    }
    return 0;
}

static struct str unspaced(struct str s)
{
    while (s.n && s.p[0] == ' ')
        s = behind(s, 1);
    return s;
}

/* Cuts "1h2m3s", "9m38.016s", "2 minutes 30 seconds" off the front of *s. A number without a unit
 * counts as seconds if `bare`, and ends it. */
static bool duration_cut(struct str *s, bool bare, int64_t *out)
{
    int64_t sum = 0, n, ms;
    bool any = false;
    for (;;) {
        struct str at = unspaced(*s);
        if (any && at.n && at.p[0] == ',') /* 2 minutes, 30 seconds */
            at = unspaced(behind(at, 1));
        struct str probe = at;
        if (!number_cut(&probe, 1, &n))
            break;
        struct str rest = unspaced(probe);
        size_t unit = unit_at(rest, &ms);
        if (unit == 0) {
            if (any || !bare || (rest.n && is_word(rest.p[0])))
                break;
            ms = 1000;
            rest = probe;
        }
        if (!number_cut(&at, ms, &n))
            break;
        sum = sum + n < RETRY_AFTER_MAX_MS ? sum + n : RETRY_AFTER_MAX_MS;
        any = true;
        *s = behind(rest, unit);
        if (unit == 0)
            break;
    }
    *out = sum;
    return any;
}

/* Reads a duration that is the whole text: "6m0s", "12.5", "2s". */
static bool duration_whole(struct str s, int64_t *out)
{
    s = str_trim(s);
    return duration_cut(&s, true, out) && s.n == 0;
}

static bool until(int64_t when_ms, int64_t now_ms, int64_t *out)
{
    if (now_ms < 0)
        return false;
    int64_t v = when_ms > now_ms ? when_ms - now_ms : 0;
    *out = v < RETRY_AFTER_MAX_MS ? v : RETRY_AFTER_MAX_MS;
    return true;
}

/* Reads a point in time (Unix seconds or milliseconds, RFC 3339), or a smaller number as a
 * duration. */
static bool moment(struct str s, int64_t now_ms, int64_t *out)
{
    int64_t v;
    if (number_whole(s, 1, &v) && v >= UNIX_SECONDS_FROM)
        return until(v >= UNIX_MS_FROM ? v : v * 1000, now_ms, out);
    if (date_rfc3339(s, &v) || date_http(s, &v))
        return until(v, now_ms, out);
    return duration_whole(s, out);
}

/* ---- 1, 2: headers */

static const struct str *header(const struct evidence *ev, struct str name)
{
    for (size_t i = 0; i < ev->nfield; i++)
        if (str_eq(ev->field[i].name, name))
            return &ev->field[i].value;
    return NULL;
}

static int64_t from_retry_after(const struct evidence *ev, int64_t now_ms)
{
    int64_t v, date;
    for (size_t i = 0; i < ev->nfield; i++)
        if (str_eq(ev->field[i].name, STR("retry-after-ms")) &&
            number_whole(ev->field[i].value, 1, &v))
            return v;
    for (size_t i = 0; i < ev->nfield; i++)
        if (str_ends(ev->field[i].name, STR("-retry-after-ms")) &&
            number_whole(ev->field[i].value, 1, &v))
            return v;
    const struct str *served = header(ev, STR("date"));
    if (!served || !date_http(*served, &date))
        date = now_ms;
    for (size_t i = 0; i < ev->nfield; i++) {
        if (!str_eq(ev->field[i].name, STR("retry-after")) &&
            !str_ends(ev->field[i].name, STR("-retry-after")))
            continue;
        struct str s = ev->field[i].value;
        int64_t when;
        if (number_whole(s, 1000, &v) || duration_whole(s, &v))
            return v;
        if ((date_http(s, &when) || date_rfc3339(s, &when)) && until(when, date, &v))
            return v;
    }
    return NOTHING;
}

/* The state of a window by its headers; WINDOW_UNSAID: none names it. */
enum window { WINDOW_OPEN, WINDOW_UNSAID, WINDOW_EXHAUSTED };

/* The state of the window whose reset header is PREFIX "reset" SUFFIX; its other headers have
 * "remaining" or "status" in that place. */
static enum window window_of(const struct evidence *ev, struct str prefix, struct str suffix)
{
    for (size_t i = 0; i < ev->nfield; i++) {
        struct str name = ev->field[i].name, value = ev->field[i].value;
        if (name.n < prefix.n + suffix.n || !str_starts(name, prefix) || !str_ends(name, suffix))
            continue;
        struct str what = str_make(name.p + prefix.n, name.n - prefix.n - suffix.n);
        int64_t left;
        if (str_eq(what, STR("status")))
            return str_eq_nocase(value, STR("rejected")) ? WINDOW_EXHAUSTED : WINDOW_OPEN;
        if (str_eq(what, STR("remaining")) && number_whole(value, 1000, &left))
            return left == 0 ? WINDOW_EXHAUSTED : WINDOW_OPEN;
        if (str_eq(what, STR("remaining")) && str_starts(value, STR("-")))
            return WINDOW_EXHAUSTED;
    }
    return WINDOW_UNSAID;
}

/* The longest wait of the exhausted windows. The reset of a WINDOW_UNSAID counts only when it is
 * the only one. */
static int64_t from_resets(const struct evidence *ev, int64_t now_ms)
{
    static const struct str unified = {"anthropic-ratelimit-unified-", 28};
    int64_t longest = NOTHING, unsaid = NOTHING, v;
    size_t unsaid_n = 0, said_n = 0;
    for (size_t i = 0; i < ev->nfield; i++) {
        struct str name = ev->field[i].name;
        ptrdiff_t at = str_find(name, STR("reset"));
        bool limit =
            str_find(name, STR("ratelimit")) >= 0 || str_find(name, STR("rate-limit")) >= 0;
        if (at < 0 || !limit || !moment(ev->field[i].value, now_ms, &v))
            continue;
        struct str prefix = str_make(name.p, (size_t)at), suffix = behind(name, (size_t)at + 5);
        enum window w = window_of(ev, prefix, suffix);
        /* the reset of the deciding window; those of the single windows follow it */
        if (str_eq(prefix, unified) && suffix.n == 0 && w != WINDOW_OPEN)
            return v;
        if (w == WINDOW_EXHAUSTED && v > longest)
            longest = v;
        if (w == WINDOW_UNSAID) {
            unsaid = v;
            unsaid_n++;
        } else {
            said_n++;
        }
    }
    if (longest == NOTHING && unsaid_n == 1 && said_n == 0)
        return unsaid;
    return longest;
}

/* Reads the number behind `name` and '=' in a header of several values. False: there is none. */
static bool part_read(struct str s, struct str name, int64_t scale, int64_t *out)
{
    for (ptrdiff_t at; (at = str_find_nocase(s, name)) >= 0;) {
        bool begins = at == 0 || !is_word(s.p[at - 1]);
        s = behind(s, (size_t)at + name.n);
        if (begins && s.n && s.p[0] == '=') {
            s = behind(s, 1);
            return number_cut(&s, scale, out);
        }
    }
    return false;
}

/* Reads header RateLimit of the IETF drafts: "limit=100, remaining=0, reset=33", later
 * "default";r=0;t=33. */
static int64_t from_combined(const struct evidence *ev)
{
    int64_t left, v;
    for (size_t i = 0; i < ev->nfield; i++) {
        struct str name = ev->field[i].name, s = ev->field[i].value;
        if (!str_eq(name, STR("ratelimit")) && !str_eq(name, STR("x-ratelimit")))
            continue;
        if ((part_read(s, STR("remaining"), 1, &left) && left == 0 &&
             part_read(s, STR("reset"), 1000, &v)) ||
            (part_read(s, STR("r"), 1, &left) && left == 0 && part_read(s, STR("t"), 1000, &v)))
            return v;
    }
    return NOTHING;
}

/* ---- 3: JSON members */

enum told { TOLD_MS, TOLD_SECONDS, TOLD_MOMENT };

static const struct {
    struct str name;
    enum told told;
} members[] = {
    {{"retryafterms", 12}, TOLD_MS},
    {{"retrydelayms", 12}, TOLD_MS},
    {{"resetsinms", 10}, TOLD_MS},
    {{"resetinms", 9}, TOLD_MS},
    {{"retryafterseconds", 17}, TOLD_SECONDS},
    {{"retryaftersecs", 14}, TOLD_SECONDS},
    {{"retryaftersec", 13}, TOLD_SECONDS},
    {{"retryafter", 10}, TOLD_SECONDS},
    {{"retryinseconds", 14}, TOLD_SECONDS},
    {{"retryin", 7}, TOLD_SECONDS},
    {{"resetsinseconds", 15}, TOLD_SECONDS},
    {{"resetinseconds", 14}, TOLD_SECONDS},
    {{"resetafterseconds", 17}, TOLD_SECONDS},
    {{"resetseconds", 12}, TOLD_SECONDS},
    {{"resetafter", 10}, TOLD_SECONDS},
    {{"resetin", 7}, TOLD_SECONDS},
    {{"resetsin", 8}, TOLD_SECONDS},
    {{"secondsuntilreset", 17}, TOLD_SECONDS},
    {{"waitseconds", 11}, TOLD_SECONDS},
    {{"cooldownseconds", 15}, TOLD_SECONDS},
    {{"quotaresetdelay", 15}, TOLD_SECONDS},
    {{"resetsat", 8}, TOLD_MOMENT},
    {{"resetat", 7}, TOLD_MOMENT},
    {{"resettime", 9}, TOLD_MOMENT},
    {{"resettimestamp", 14}, TOLD_MOMENT},
    {{"quotaresettimestamp", 19}, TOLD_MOMENT},
    {{"nextresettime", 13}, TOLD_MOMENT},
    {{"retryat", 7}, TOLD_MOMENT},
    {{"reset", 5}, TOLD_MOMENT},
    {{"nextresetat", 11}, TOLD_MOMENT},
    {{"nextavailableat", 15}, TOLD_MOMENT},
    {{"availableat", 11}, TOLD_MOMENT},
    {{"cooldownuntil", 13}, TOLD_MOMENT},
};

bool retry_after_member(struct str name)
{
    if (str_eq(name, STR("retrydelay")))
        return true;
    for (size_t i = 0; i < COUNT_OF(members); i++)
        if (str_eq(name, members[i].name))
            return true;
    return false;
}

static bool member_read(const struct evidence_field *f, int64_t now_ms, int64_t *out)
{
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        if (!str_eq(f->name, members[i].name))
            continue;
        switch (members[i].told) {
        case TOLD_MS:
            return number_whole(f->value, 1, out);
        case TOLD_SECONDS:
            return duration_whole(f->value, out);
        case TOLD_MOMENT:
            return moment(f->value, now_ms, out);
        }
    }
    return false;
}

static int64_t from_members(const struct evidence *ev, int64_t now_ms)
{
    int64_t v;
    for (size_t i = 0; i < ev->nwait; i++) {
        struct str s = ev->wait[i].value;
        if (str_eq(ev->wait[i].name, STR("retrydelay")) && duration_cut(&s, false, &v) && s.n == 0)
            return v;
    }
    for (size_t i = 0; i < ev->nwait; i++)
        if (member_read(&ev->wait[i], now_ms, &v))
            return v;
    return NOTHING;
}

/* ---- 4: words */

/* Words in front of a duration. A number without a unit counts behind words that allow no other
 * meaning. */
static const struct {
    struct str words;
    bool bare;
} cues[] = {
    {{"try again in", 12}, true},
    {{"try again after", 15}, true},
    {{"retry after", 11}, true},
    {{"retry-after", 11}, true},
    {{"retry_after", 11}, true},
    {{"retry in", 8}, true},
    {{"retrying in", 11}, true},
    {{"please wait", 11}, true},
    {{"wait for", 8}, true},
    {{"available in", 12}, true},
    {{"available again in", 18}, true},
    {{"reset in", 8}, true},
    {{"resets in", 9}, true},
    {{"reset after", 11}, true},
    {{"resets after", 12}, true},
    {{"replenished in", 14}, true},
    {{"must wait", 9}, true},
    {{"have to wait", 12}, true},
    {{"need to wait", 12}, true},
    {{"等待", 6}, true},
    {{"冷却", 6}, true},
    {{"versuchen sie es in", 19}, false},
    {{"erneut in", 9}, false},
    {{"warten sie", 10}, false},
    {{"réessayer dans", 15}, false},
    {{"réessayez dans", 15}, false},
    {{"patienter", 9}, false},
    {{"nuevo en", 8}, false},
    {{"nuevamente en", 13}, false},
    {{"novamente em", 12}, false},
    {{"riprova tra", 11}, false},
    {{"riprovare tra", 13}, false},
    {{"через", 10}, false},
};

/* Words that may stand between cue and number. */
static const struct str fillers[] = {
    {" for", 4}, {" another", 8}, {" about", 6}, {" approximately", 14}, {" at least", 9},
};

/* Reads a span as .NET writes it: "02:14:05" or, with days, "2.11:20:30". */
static bool span_read(struct str s, int64_t *out)
{
    static const int64_t units_ms[] = {86400000, 3600000, 60000, 1000};
    size_t digits = 0;
    while (digits < s.n && ascii_digit(s.p[digits]))
        digits++;
    size_t unit = digits < s.n && s.p[digits] == '.' ? 0 : 1;
    int64_t sum = 0;
    for (; unit < COUNT_OF(units_ms); unit++) {
        int64_t n = 0;
        size_t i = 0;
        for (; i < s.n && i < 4 && ascii_digit(s.p[i]); i++)
            n = n * 10 + (s.p[i] - '0');
        if (i == 0)
            return false;
        sum += n * units_ms[unit];
        s = behind(s, i);
        if (unit + 1 == COUNT_OF(units_ms))
            break;
        if (s.n == 0 || s.p[0] != (unit == 0 ? '.' : ':'))
            return false;
        s = behind(s, 1);
    }
    *out = sum < RETRY_AFTER_MAX_MS ? sum : RETRY_AFTER_MAX_MS;
    return true;
}

static int64_t after_cue(struct str s, bool bare)
{
    for (size_t i = 0; i < COUNT_OF(fillers); i++)
        if (str_starts(s, fillers[i]))
            s = behind(s, fillers[i].n);
    while (s.n &&
           (s.p[0] == ' ' || s.p[0] == '~' || s.p[0] == ':' || s.p[0] == '=' || s.p[0] == '"' || s.p[0] == '\''))
        s = behind(s, 1);
    int64_t v;
    return span_read(s, &v) || duration_cut(&s, bare, &v) ? v : NOTHING;
}

/* Reads "wait 30 seconds and retry". What to do then must follow, or the text describes a
 * setting. */
static int64_t wait_then(struct str text)
{
    static const struct str cue = {"wait ", 5};
    struct str s = text;
    for (ptrdiff_t at; (at = str_find(s, cue)) >= 0;) {
        s = behind(s, (size_t)at + cue.n);
        struct str rest = s;
        int64_t v;
        if (duration_cut(&rest, false, &v) &&
            (str_starts(rest, STR(" and ")) || str_starts(rest, STR(" before")) ||
             str_starts(rest, STR(" then"))))
            return v;
    }
    return NOTHING;
}

/* Reads "30 秒后", "30秒後", "30초 후", where the number comes first. Each duration is read once: when no
 * word for "after" follows it, none follows a part of it. */
static int64_t before_after(struct str text)
{
    struct str s = text;
    while (s.n) {
        bool inside = s.p != text.p && (ascii_digit(s.p[-1]) || s.p[-1] == '.' || s.p[-1] == ':');
        int64_t v;
        if (!ascii_digit(s.p[0]) || inside || !duration_cut(&s, false, &v)) {
            s = behind(s, 1);
            continue;
        }
        struct str rest = unspaced(s);
        static const struct str after[] = {{"后", 3},   {"之后", 6}, {"以后", 6}, {"後", 3},
                                           {"之後", 6}, {"以後", 6}, {"후", 3}};
        for (size_t i = 0; i < COUNT_OF(after); i++)
            if (str_starts(rest, after[i]))
                return v;
    }
    return NOTHING;
}

static int64_t from_words(const struct evidence *ev)
{
    for (size_t t = 0; t < ev->ntext; t++) {
        for (size_t i = 0; i < COUNT_OF(cues); i++) {
            struct str rest = ev->text[t];
            for (ptrdiff_t at; (at = str_find(rest, cues[i].words)) >= 0;) {
                rest = behind(rest, (size_t)at + cues[i].words.n);
                int64_t v = after_cue(rest, cues[i].bare);
                if (v >= 0)
                    return v;
            }
        }
        int64_t v = wait_then(ev->text[t]);
        if (v < 0)
            v = before_after(ev->text[t]);
        if (v >= 0)
            return v;
    }
    return NOTHING;
}

int64_t retry_after_read(const struct evidence *ev, bool headers_only, int64_t wall_now_ms)
{
    int64_t v = from_retry_after(ev, wall_now_ms);
    if (v < 0 && !headers_only)
        v = from_resets(ev, wall_now_ms);
    if (v < 0 && !headers_only)
        v = from_combined(ev);
    if (v < 0 && !headers_only)
        v = from_members(ev, wall_now_ms);
    if (v < 0 && !headers_only)
        v = from_words(ev);
    return v;
}
