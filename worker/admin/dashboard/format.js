// Numbers, money, durations and times as people read them. Nothing here reads a clock but where `now` is left out.

let loc = 'en';
let units = { s: 's', min: 'min', h: 'h', d: 'd' };
const cache = new Map(); // of formatters, by their options: constants below, or written out

function formatter(Kind, id, options) {
    let f = cache.get(id);
    if (!f) cache.set(id, (f = new Kind(loc, options())));
    return f;
}

// Numbers with this many digits after the point: at least, at most.
const nf = (min, max) => formatter(Intl.NumberFormat, min * 32 + max, () => ({ minimumFractionDigits: min, maximumFractionDigits: max }));
const df = (id, options) => formatter(Intl.DateTimeFormat, id, () => ({ hourCycle: 'h23', ...options }));

export function setLocale(lang, names) {
    cache.clear();
    loc = lang === 'zh' ? 'zh-CN' : 'en-US';
    units = names;
}

export const NONE = '–';
const none = (x) => x === null || x === undefined || Number.isNaN(x);

// 1,234
export const num = (n, digits = 0) => (none(n) ? NONE : nf(0, digits).format(n));

// 840, 1.2k, 310k, 1.2M
export function compact(n) {
    if (none(n)) return NONE;
    if (Number.isInteger(n) && Math.abs(n) < 1000) return String(n);
    const digits = loc === 'en-US' && Math.abs(n) >= 99950 && Math.abs(n) < 1e6 ? 0 : 1;
    const text = formatter(Intl.NumberFormat, 'c' + digits, () => ({ notation: 'compact', maximumFractionDigits: digits })).format(n);
    return text.replace('K', 'k');
}

// $12.34, $0.0123 (four significant digits below a dollar); null is not nothing: –
export function money(usd) {
    if (none(usd)) return NONE;
    const abs = Math.abs(usd);
    const digits = abs >= 0.99995 || abs === 0 ? 2 : Math.min(20, 3 - Math.floor(Math.log10(abs)));
    return (usd < 0 ? '−$' : '$') + nf(2, digits).format(abs);
}

// A share as 99.8%: never rounded to all, nor to none, what is not.
export function pct(x) {
    if (none(x)) return NONE;
    let p = x * 100;
    if (x < 1 && p > 99.9) p = 99.9;
    if (x > 0 && p < 0.1) return '<' + nf(0, 1).format(0.1) + '%';
    return nf(x === 1 || x === 0 ? 0 : 1, 1).format(p) + '%';
}

// 0.5 ms, 850 ms, 12.4 s, 2 min 5 s, 3 h 12 min, 12 d 4 h
export function dur(ms) {
    if (none(ms)) return NONE;
    if (ms > 0 && ms < 9.95) return nf(0, 1).format(ms) + ' ms';
    if (ms < 999.5) return nf(0, 0).format(ms) + ' ms';
    if (ms < 59950) return nf(1, 1).format(ms / 1000) + ' s';
    return span(ms);
}

// The same in whole seconds: 39 s, 2 min 5 s
export function span(ms) {
    if (none(ms)) return NONE;
    const s = Math.max(0, Math.round(ms / 1000));
    if (s < 60) return `${s} ${units.s}`;
    const two = (a, x, b, y) => `${a} ${x}` + (b ? ` ${b} ${y}` : '');
    if (s < 3600) return two(Math.floor(s / 60), units.min, s % 60, units.s);
    if (s < 86400) return two(Math.floor(s / 3600), units.h, Math.floor(s / 60) % 60, units.min);
    return two(nf(0, 0).format(Math.floor(s / 86400)), units.d, Math.floor(s / 3600) % 24, units.h);
}

// Seconds of a countdown: 39 s, 0.4 s is 1 s
export const left = (s) => (none(s) ? NONE : span(Math.ceil(s) * 1000));

// 640 B, 1.5 KiB, 384 MiB
export function bytes(n) {
    if (none(n)) return NONE;
    let i = 0;
    while (Math.abs(n) >= 1024 && i < 4) {
        n /= 1024;
        i++;
    }
    return nf(0, i && n < 100 ? 1 : 0).format(n) + ' ' + ['B', 'KiB', 'MiB', 'GiB', 'TiB'][i];
}

// An ISO time, Unix seconds, or a Date, as a Date; null if there is none.
export function date(x) {
    if (none(x) || x === '') return null;
    const d = x instanceof Date ? x : new Date(typeof x === 'number' ? x * 1000 : x);
    return Number.isNaN(d.getTime()) ? null : d;
}

const sameDay = (a, b) => a.getFullYear() === b.getFullYear() && a.getMonth() === b.getMonth() && a.getDate() === b.getDate();
const HMS = { hour: '2-digit', minute: '2-digit', second: '2-digit' };

export const clock = (d) => df('s', HMS).format(d);
export const hhmm = (d) => df('m', { hour: '2-digit', minute: '2-digit' }).format(d);
// The same with how far it is from UTC: 01:00 GMT-4
export const hhmmZone = (d) => df('z', { hour: '2-digit', minute: '2-digit', timeZoneName: 'shortOffset' }).format(d);
export const day = (d) => df('d', { month: 'short', day: 'numeric' }).format(d);
export const minute = (d) => df('u', { year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' }).format(d);
export const full = (d) => df('f', { year: 'numeric', month: 'short', day: 'numeric', weekday: 'short', ...HMS }).format(d);

// Of today the clock time; of another day that day, too; of another year that year.
export function when(x, now = new Date()) {
    const d = date(x);
    if (!d) return NONE;
    if (sameDay(d, now)) return clock(d);
    const year = d.getFullYear() === now.getFullYear() ? {} : { year: 'numeric' };
    return df(year.year ? 'y' : 'w', { month: 'short', day: 'numeric', ...year, ...HMS }).format(d);
}

// 2026-11-30 14:03:21.112 UTC
export const utc = (x) => {
    const d = date(x);
    return d ? d.toISOString().replace('T', ' ').replace('Z', ' UTC') : '';
};

const offset = (sec) => -new Date(sec * 1000).getTimezoneOffset();

// The browser's zone as the API takes it: minutes east of UTC, and its changes between two times (Unix seconds).
export function zone(since, until) {
    const quarter = 900;
    let at = Math.floor(since / quarter) * quarter;
    let now = offset(at);
    let text = String(now);
    while (at < until) {
        const next = at + 86400;
        if (offset(next) !== now) {
            let low = at;
            let high = next;
            while (high - low > quarter) {
                const mid = low + Math.floor((high - low) / 2 / quarter) * quarter;
                if (offset(mid) === now) low = mid;
                else high = mid;
            }
            now = offset(high);
            if (high < until) text += `,${high}:${now}`;
            at = high;
        } else {
            at = next;
        }
    }
    return text;
}

// Where a local day began, `back` days ago, in Unix seconds.
export const dayStart = (now = new Date(), back = 0) =>
    Math.floor(new Date(now.getFullYear(), now.getMonth(), now.getDate() - back).getTime() / 1000);

let zoneKept = { offset: null, text: '' }; // its name is dear to ask for

// Asia/Shanghai (UTC+8)
export function zoneName(d = new Date()) {
    const o = -d.getTimezoneOffset();
    if (o === zoneKept.offset) return zoneKept.text;
    const m = Math.abs(o) % 60;
    const text = o ? (o < 0 ? '−' : '+') + Math.floor(Math.abs(o) / 60) + (m ? ':' + String(m).padStart(2, '0') : '') : '';
    zoneKept = { offset: o, text: `${new Intl.DateTimeFormat().resolvedOptions().timeZone} (UTC${text})` };
    return zoneKept.text;
}

// What may be shown of an address: host and path, no user part, no query.
export function address(url) {
    try {
        const u = new URL(url);
        if (u.host) return u.host + (u.pathname === '/' ? '' : u.pathname);
    } catch { /* not an address: cut by hand */ }
    return String(url ?? '').replace(/^[a-z+.-]+:\/\//i, '').replace(/^[^/]*@/, '').replace(/[?#].*$/, '');
}

// The share of the prompt that came out of the cache; null where nothing was told.
export function cacheShare(tk) {
    if (!tk || none(tk.cache_read)) return null;
    const writes = none(tk.write_5m) && none(tk.write_1h) ? tk.cache_write ?? 0 : (tk.write_5m ?? 0) + (tk.write_1h ?? 0);
    const all = (tk.input ?? 0) + tk.cache_read + writes;
    return all ? tk.cache_read / all : null;
}

export const tokenSum = (tk) =>
    tk ? ['input', 'output', 'cache_read', 'write_5m', 'write_1h'].reduce((a, k) => a + (tk[k] ?? 0), 0) : null;

// How a request ended. The API says `ok` of each reply that reached the client, also of a refusal that no place could avoid.
export function ended(r) {
    const tries = r.attempts ?? [];
    if (r.end !== 'ok' || !(r.status >= 400) || !tries.length || tries[tries.length - 1].class === 'ok') return r.end;
    return tries.some((a) => a.endpoint !== tries[0].endpoint) ? 'all failed' : 'failed';
}
