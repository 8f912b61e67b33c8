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
    {STR_LIT("milliseconds"), 1},  {STR_LIT("millisecond"), 1},
    {STR_LIT("msec"), 1},          {STR_LIT("ms"), 1},
    {STR_LIT("minutes"), 60000},   {STR_LIT("minute"), 60000},
    {STR_LIT("mins"), 60000},      {STR_LIT("min"), 60000},
    {STR_LIT("m"), 60000},         {STR_LIT("seconds"), 1000},
    {STR_LIT("second"), 1000},     {STR_LIT("secs"), 1000},
    {STR_LIT("sec"), 1000},        {STR_LIT("s"), 1000},
    {STR_LIT("hours"), 3600000},   {STR_LIT("hour"), 3600000},
    {STR_LIT("hrs"), 3600000},     {STR_LIT("hr"), 3600000},
    {STR_LIT("h"), 3600000},       {STR_LIT("days"), 86400000},
    {STR_LIT("day"), 86400000},    {STR_LIT("d"), 86400000},
    {STR_LIT("毫秒"), 1},          {STR_LIT("秒間"), 1000},
    {STR_LIT("秒"), 1000},         {STR_LIT("分钟"), 60000},
    {STR_LIT("分鐘"), 60000},      {STR_LIT("分間"), 60000},
    {STR_LIT("分"), 60000},        {STR_LIT("个小时"), 3600000},
    {STR_LIT("個小時"), 3600000},  {STR_LIT("小时"), 3600000},
    {STR_LIT("小時"), 3600000},    {STR_LIT("時間"), 3600000},
    {STR_LIT("天"), 86400000},     {STR_LIT("日"), 86400000},
    {STR_LIT("초"), 1000},         {STR_LIT("분"), 60000},
    {STR_LIT("시간"), 3600000},    {STR_LIT("일"), 86400000},
    {STR_LIT("sekunden"), 1000},   {STR_LIT("sekunde"), 1000},
    {STR_LIT("minuten"), 60000},   {STR_LIT("stunden"), 3600000},
    {STR_LIT("stunde"), 3600000},  {STR_LIT("tagen"), 86400000},
    {STR_LIT("tage"), 86400000},   {STR_LIT("tag"), 86400000},
    {STR_LIT("secondes"), 1000},   {STR_LIT("seconde"), 1000},
    {STR_LIT("heures"), 3600000},  {STR_LIT("heure"), 3600000},
    {STR_LIT("jours"), 86400000},  {STR_LIT("jour"), 86400000},
    {STR_LIT("segundos"), 1000},   {STR_LIT("segundo"), 1000},
    {STR_LIT("minutos"), 60000},   {STR_LIT("minuto"), 60000},
    {STR_LIT("horas"), 3600000},   {STR_LIT("hora"), 3600000},
    {STR_LIT("días"), 86400000},   {STR_LIT("dias"), 86400000},
    {STR_LIT("día"), 86400000},    {STR_LIT("dia"), 86400000},
    {STR_LIT("secondi"), 1000},    {STR_LIT("minuti"), 60000},
    {STR_LIT("giorni"), 86400000}, {STR_LIT("giorno"), 86400000},
    {STR_LIT("секунд"), 1000},     {STR_LIT("сек"), 1000},
    {STR_LIT("минут"), 60000},     {STR_LIT("мин"), 60000},
    {STR_LIT("часов"), 3600000},   {STR_LIT("часа"), 3600000},
    {STR_LIT("час"), 3600000},     {STR_LIT("дней"), 86400000},
    {STR_LIT("дня"), 86400000},    {STR_LIT("день"), 86400000},
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

/* The time from which moments in the reply count: that of its Date header, the clock by which the
 * server reckons, however far it is from ours; without one that can be read, our own. */
static int64_t time_of_reply(const struct evidence *ev, int64_t now_ms)
{
    const struct str *date = header(ev, STR("date"));
    int64_t ms;
    return date && date_http(*date, &ms) ? ms : now_ms;
}

static int64_t from_retry_after(const struct evidence *ev, int64_t now_ms)
{
    int64_t v;
    for (size_t i = 0; i < ev->nfield; i++)
        if (str_eq(ev->field[i].name, STR("retry-after-ms")) &&
            number_whole(ev->field[i].value, 1, &v))
            return v;
    for (size_t i = 0; i < ev->nfield; i++)
        if (str_ends(ev->field[i].name, STR("-retry-after-ms")) &&
            number_whole(ev->field[i].value, 1, &v))
            return v;
    for (size_t i = 0; i < ev->nfield; i++) {
        if (!str_eq(ev->field[i].name, STR("retry-after")) &&
            !str_ends(ev->field[i].name, STR("-retry-after")))
            continue;
        struct str s = ev->field[i].value;
        int64_t when;
        if (number_whole(s, 1000, &v) || duration_whole(s, &v))
            return v;
        if ((date_http(s, &when) || date_rfc3339(s, &when)) && until(when, now_ms, &v))
            return v;
    }
    return NOTHING;
}

/* The state of a window by its headers; WINDOW_UNKNOWN: none names it. */
enum window { WINDOW_OPEN, WINDOW_UNKNOWN, WINDOW_EXHAUSTED };

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
    return WINDOW_UNKNOWN;
}

/* The longest wait of the exhausted windows. The reset of a WINDOW_UNKNOWN counts only when it is
 * the only one. */
static int64_t from_resets(const struct evidence *ev, int64_t now_ms)
{
    static const struct str unified = STR_LIT("anthropic-ratelimit-unified-");
    int64_t longest = NOTHING, unknown = NOTHING, v;
    size_t unknown_n = 0, known_n = 0;
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
        if (w == WINDOW_UNKNOWN) {
            unknown = v;
            unknown_n++;
        } else {
            known_n++;
        }
    }
    if (longest == NOTHING && unknown_n == 1 && known_n == 0)
        return unknown;
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

enum unit { UNIT_MS, UNIT_SECONDS, UNIT_MOMENT };

static const struct {
    struct str name;
    enum unit unit;
} members[] = {
    {STR_LIT("retryafterms"), UNIT_MS},
    {STR_LIT("retrydelayms"), UNIT_MS},
    {STR_LIT("resetsinms"), UNIT_MS},
    {STR_LIT("resetinms"), UNIT_MS},
    {STR_LIT("retryafterseconds"), UNIT_SECONDS},
    {STR_LIT("retryaftersecs"), UNIT_SECONDS},
    {STR_LIT("retryaftersec"), UNIT_SECONDS},
    {STR_LIT("retryafter"), UNIT_SECONDS},
    {STR_LIT("retryinseconds"), UNIT_SECONDS},
    {STR_LIT("retryin"), UNIT_SECONDS},
    {STR_LIT("resetsinseconds"), UNIT_SECONDS},
    {STR_LIT("resetinseconds"), UNIT_SECONDS},
    {STR_LIT("resetafterseconds"), UNIT_SECONDS},
    {STR_LIT("resetseconds"), UNIT_SECONDS},
    {STR_LIT("resetafter"), UNIT_SECONDS},
    {STR_LIT("resetin"), UNIT_SECONDS},
    {STR_LIT("resetsin"), UNIT_SECONDS},
    {STR_LIT("secondsuntilreset"), UNIT_SECONDS},
    {STR_LIT("waitseconds"), UNIT_SECONDS},
    {STR_LIT("cooldownseconds"), UNIT_SECONDS},
    {STR_LIT("quotaresetdelay"), UNIT_SECONDS},
    {STR_LIT("resetsat"), UNIT_MOMENT},
    {STR_LIT("resetat"), UNIT_MOMENT},
    {STR_LIT("resettime"), UNIT_MOMENT},
    {STR_LIT("resettimestamp"), UNIT_MOMENT},
    {STR_LIT("quotaresettimestamp"), UNIT_MOMENT},
    {STR_LIT("nextresettime"), UNIT_MOMENT},
    {STR_LIT("retryat"), UNIT_MOMENT},
    {STR_LIT("reset"), UNIT_MOMENT},
    {STR_LIT("nextresetat"), UNIT_MOMENT},
    {STR_LIT("nextavailableat"), UNIT_MOMENT},
    {STR_LIT("availableat"), UNIT_MOMENT},
    {STR_LIT("cooldownuntil"), UNIT_MOMENT},
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
        switch (members[i].unit) {
        case UNIT_MS:
            return number_whole(f->value, 1, out);
        case UNIT_SECONDS:
            return duration_whole(f->value, out);
        case UNIT_MOMENT:
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
    {STR_LIT("try again in"), true},
    {STR_LIT("try again after"), true},
    {STR_LIT("retry after"), true},
    {STR_LIT("retry-after"), true},
    {STR_LIT("retry_after"), true},
    {STR_LIT("retry in"), true},
    {STR_LIT("retrying in"), true},
    {STR_LIT("please wait"), true},
    {STR_LIT("wait for"), true},
    {STR_LIT("available in"), true},
    {STR_LIT("available again in"), true},
    {STR_LIT("reset in"), true},
    {STR_LIT("resets in"), true},
    {STR_LIT("reset after"), true},
    {STR_LIT("resets after"), true},
    {STR_LIT("replenished in"), true},
    {STR_LIT("must wait"), true},
    {STR_LIT("have to wait"), true},
    {STR_LIT("need to wait"), true},
    {STR_LIT("等待"), true},
    {STR_LIT("冷却"), true},
    {STR_LIT("versuchen sie es in"), false},
    {STR_LIT("erneut in"), false},
    {STR_LIT("warten sie"), false},
    {STR_LIT("réessayer dans"), false},
    {STR_LIT("réessayez dans"), false},
    {STR_LIT("patienter"), false},
    {STR_LIT("nuevo en"), false},
    {STR_LIT("nuevamente en"), false},
    {STR_LIT("novamente em"), false},
    {STR_LIT("riprova tra"), false},
    {STR_LIT("riprovare tra"), false},
    {STR_LIT("через"), false},
};

/* Words that may stand between cue and number. */
static const struct str fillers[] = {
    STR_LIT(" for"),           STR_LIT(" another"),  STR_LIT(" about"),
    STR_LIT(" approximately"), STR_LIT(" at least"),
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
    while (s.n && (s.p[0] == ' ' || s.p[0] == '~' || s.p[0] == ':' || s.p[0] == '=' ||
                   s.p[0] == '"' || s.p[0] == '\''))
        s = behind(s, 1);
    int64_t v;
    return span_read(s, &v) || duration_cut(&s, bare, &v) ? v : NOTHING;
}

/* Reads "wait 30 seconds and retry". What to do then must follow, or the text describes a
 * setting. */
static int64_t wait_then(struct str text)
{
    static const struct str cue = STR_LIT("wait ");
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

/* Reads "30 秒后", "30秒後", "30초 후", where the number comes first. Each duration is read once:
 * when no word for "after" follows it, none follows a part of it. */
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
        static const struct str after[] = {STR_LIT("后"), STR_LIT("之后"), STR_LIT("以后"),
                                           STR_LIT("後"), STR_LIT("之後"), STR_LIT("以後"),
                                           STR_LIT("후")};
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
    int64_t now_ms = time_of_reply(ev, wall_now_ms);
    int64_t v = from_retry_after(ev, now_ms);
    if (v < 0 && !headers_only)
        v = from_resets(ev, now_ms);
    if (v < 0 && !headers_only)
        v = from_combined(ev);
    if (v < 0 && !headers_only)
        v = from_members(ev, now_ms);
    if (v < 0 && !headers_only)
        v = from_words(ev);
    return v;
}
