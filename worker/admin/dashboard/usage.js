// Usage: tokens, costs, requests and errors of a range, stacked over time and summed in a table, both out of one reply.
import { h } from './dom.js';
import { t } from './i18n.js';
import * as fmt from './format.js';
import { query, refresh } from './api.js';
import * as ui from './parts.js';
import { chart } from './chart.js';
import { rangeFields, start } from './range.js';
import { behind } from './requests.js';

const EVERY = 60000;
const SERIES = 8;
const POINTS = 120;
const SPANS = ['24h', '7d', '30d', '90d', 'month'];
const STEPS = [900, 3600, 21600, 86400];
const STEP = { '24h': 3600, '7d': 21600 };
const BY = ['model', 'endpoint', 'client', 'none'];
const KINDS = ['input', 'output', 'cache_read', 'write_5m', 'write_1h'];
const COUNTS = ['requests', 'ok', 'failed', 'cancelled'];
const REST = ['web', 'bytes_in', 'bytes_out'];
const MORE = ['retried', 'moved', 'untold'];

// A part of it has no price: what is known is the least that it costs.
const least = (p) => Boolean(p.unpriced?.length || p.untold);
// Its endpoints told no usage at all: what it costs is not known, and not nothing.
const blank = (p) => p.untold > 0 && !fmt.tokenSum(p.tokens);

// What is measured: of(part) its value, show how it is written. A share cannot be stacked.
const MEASURES = {
    cost: { of: (p) => (p.priced_usd || !(least(p) || blank(p)) ? p.priced_usd : null), least, show: fmt.money, unit: 'unit.usd' },
    tokens: { of: (p) => fmt.tokenSum(p.tokens), show: fmt.compact, unit: 'unit.tokens' },
    requests: { of: (p) => p.requests ?? 0, show: fmt.num, unit: 'unit.requests' },
    cache: { of: (p) => fmt.cacheShare({ cache_read: 0, ...p.tokens }), show: fmt.pct, unit: 'unit.share', share: true },
    errors: { of: (p) => p.failed ?? 0, show: fmt.num, unit: 'unit.errors' },
};

// ---- the question

function view(p) {
    const now = Date.now() / 1000;
    const v = { since: p.since ?? '7d', by: BY.includes(p.by) ? p.by : 'model', measure: Object.hasOwn(MEASURES, p.measure ?? '') ? p.measure : 'cost' };
    const from = start(v.since, now) ?? now - 7 * 86400;
    const until = p.until ? Number(p.until) : now; // before `from`: the API says so
    const steps = STEPS.filter((s) => (until - from) / s < POINTS);
    v.steps = steps.length ? steps : [86400];
    v.step = v.steps.includes(Number(p.step)) ? Number(p.step) : v.steps.includes(STEP[v.since]) ? STEP[v.since] : v.steps.find((s) => (until - from) / s <= 40) ?? 86400;
    v.rest = `&step=${v.step}&zone=` + encodeURIComponent(fmt.zone(from - 86400, until + 86400)).replaceAll('%2C', ',').replaceAll('%3A', ':');
    v.path = `usage?by=${v.by === 'none' ? 'total' : v.by}&since=${/^\d+[mhd]$/.test(v.since) ? v.since : Math.floor(from)}` + (p.until ? `&until=${Math.floor(until)}` : '') + v.rest;
    return v;
}

// The same number of buckets right before.
const before = (v, d) => `usage?by=${d.by}&since=${2 * d.since - d.until}&until=${d.since}&step=${v.step}&zone=${fmt.zone(2 * d.since - d.until - 86400, d.since)}`;

// ---- the chart

// Since when something is known: sums may be kept longer than requests.
const begun = (o, d) => Math.min((fmt.date(o.history?.oldest)?.getTime() ?? -Infinity) / 1000, ...d.buckets.slice(0, 1).map((b) => b.time));

function merge(parts) {
    const sum = { priced_usd: 0, untold: 0, tokens: {}, unpriced: [] };
    for (const p of parts) {
        sum.unpriced.push(...p.unpriced ?? []);
        for (const k of [...COUNTS, 'untold', 'priced_usd']) sum[k] = (sum[k] ?? 0) + (p[k] ?? 0);
        for (const k of KINDS) sum.tokens[k] = (sum.tokens[k] ?? 0) + (p.tokens[k] ?? 0);
    }
    return sum;
}

// What the API sums of keys beyond those it tells apart.
const OTHER = '(other)';
const nameOf = (key) => (key === null || key === undefined || key === '' ? t('us.nobody') : key);

// The parts of a stack: {id, label, keys, of}: of which keys, and what of them.
function stacks(v, d, keys) {
    const m = MEASURES[v.measure];
    const one = (id, label, of) => ({ id, label, of });
    if (v.by === 'none') {
        if (v.measure === 'tokens') return KINDS.map((k) => one(k, t('tr.kind.' + k), (p) => p.tokens[k]));
        if (v.measure === 'requests') return COUNTS.slice(1).map((k) => ({ ...one(k, t(k), (p) => p[k]), cls: k }));
        if (v.measure === 'errors') return ['failed', 'cancelled'].map((k) => ({ ...one(k, t(k), (p) => p[k]), cls: k }));
        return [one('all', t('us.' + v.measure), m.of)];
    }
    const told = keys.filter((k) => k.key !== OTHER).slice(0, SERIES);
    const out = told.map((k) => ({ ...one('k' + k.key, nameOf(k.key), m.of), keys: new Set([k.key]) }));
    if (keys.length > told.length) out.push({ ...one('other', OTHER, m.of), keys: new Set(keys.filter((k) => !told.includes(k)).map((k) => k.key)), cls: 8 });
    return out;
}

function chartOf(ctx, v, d, keys, of) {
    const m = MEASURES[v.measure];
    const now = Date.now() / 1000;
    const oldest = begun(ctx.o, d);
    const at = Map.groupBy ? Map.groupBy(d.buckets, (b) => b.time) : d.buckets.reduce((a, b) => a.set(b.time, [...(a.get(b.time) ?? []), b]), new Map());
    const parts = (s, time) => (at.get(time) ?? []).filter((b) => !s.keys || s.keys.has(b.key));
    const value = (s, time) => {
        const of = parts(s, time);
        if (of.length) return s.of(merge(of));
        // Nothing was used, or nothing is known: the history begins later.
        return m.share || time > now || (time + d.step <= oldest && !at.has(time)) ? null : 0;
    };
    return chart({
        id: 'usage', title: t('us.' + v.measure), unit: t(v.by === 'none' && v.measure === 'errors' ? 'unit.requests' : m.unit, { step: t('step.' + d.step) }), times: d.times, step: d.step ?? v.step, redraw: ctx.redraw, of,
        series: stacks(v, d, keys).map((s) => ({ ...s, values: d.times.map((time) => value(s, time)), least: m.least && d.times.map((time) => m.least(merge(parts(s, time)))) })), kind: m.share ? 'lines' : 'bars', show: m.show,
    });
}

// ---- the table

function change(v, part, old) {
    const m = MEASURES[v.measure];
    const a = m.of(part);
    const b = old ? m.of(old) : null;
    if (a === null || b === null) return h('span.dim', { title: t(a === null ? 'value.none' : 'us.nobefore') }, fmt.NONE);
    // two least values say nothing of the change
    if (m.least && (part.unpriced?.length || old.unpriced?.length)) return h('span.dim', { title: t('us.least') }, fmt.NONE);
    const sign = (x) => (x > 0 ? '+' : x < 0 ? '−' : '±');
    const title = t('us.was', { x: m.show(b) });
    if (m.share) return h('span', { title }, sign(a - b) + fmt.num(Math.abs(a - b) * 100, 1) + ' ' + t('us.points'));
    if (!b) return h('span.dim', { title }, a ? t('us.new') : fmt.NONE);
    const x = (a - b) / b;
    return h('span', { title }, sign(x) + (Math.abs(x) >= 10 ? '×' + fmt.num(a / b, 0) : fmt.num(Math.abs(x) * 100, Math.abs(x) < 0.0995 ? 1 : 0) + '%'));
}

// The same part of the range before; null: it was not told apart then, or that range is not known whole.
function former(old, x) {
    if (!old) return null;
    if (x.key === undefined) return old.total;
    if (x.key === OTHER) return null;
    const found = old.keys.find((k) => k.key === x.key);
    return found ?? (old.keys.some((k) => k.key === OTHER) ? null : merge([]));
}

const BY_TIP = { model: 'tip.model', endpoint: 'word.endpoint.text', client: 'tip.rq.client' };
const part = (a, all) => (a === null ? null : a / all);

function columns(v, d, of, old) {
    const m = MEASURES[v.measure];
    const all = m.of(d.total);
    const f = (x, path, show, more) => ui.f(d, `${x.p}.${path}`, show, { of, ...more });
    const num = { num: true };
    const tk = (k, head) => ({ id: k, head: t(head), tip: t('tr.kind.' + k), cell: (x) => f(x, 'tokens.' + k, fmt.compact), ...num });
    return [
        { id: 'key', head: t('us.by.' + v.by), tip: BY_TIP[v.by] && t(BY_TIP[v.by]), cls: 'grow', cell: (x) => (x.key === undefined ? t('us.all') : x.key ? f(x, 'key', String, { tag: 'bdi' }) : h('span.dim', null, t('us.nobody'))) },
        { id: 'requests', head: t('col.requests'), tip: t('tip.us.requests'), cell: (x) => f(x, 'requests'), ...num },
        { id: 'failed', head: t('us.failed'), tip: t('tip.us.failed'), cell: (x) => f(x, 'failed', fmt.num, { cls: x.part.failed ? 'bad' : null }), ...num },
        { id: 'cancelled', head: t('us.left'), tip: t('tip.us.cancelled'), cell: (x) => f(x, 'cancelled'), ...num },
        tk('input', 'col.tokens.in'), tk('output', 'col.tokens.out'), tk('cache_read', 'us.read'),
        { id: 'writes', head: t('us.writes'), tip: t('tip.us.writes'), cell: (x) => h('span', null, f(x, 'tokens.write_5m', fmt.compact), '/', f(x, 'tokens.write_1h', fmt.compact)), ...num },
        { id: 'cache', head: t('col.cache'), tip: t('tip.cache'), cell: (x) => h('span', { ...ui.derived(`${of}#${x.p}.tokens`, 'cache', fmt.cacheShare(x.part.tokens)), title: t('tip.cache') }, fmt.pct(fmt.cacheShare(x.part.tokens))), ...num },
        { id: 'cost', head: t('cost.usd'), tip: t('tip.us.cost'), cell: (x) => ui.cost(d, x.p, of), ...num },
        m.share ? null : { id: 'share', head: t('us.share'), tip: t('tip.us.share', { x: t('us.' + v.measure) }), cell: (x) => h('span', ui.derived(`${of}#${x.p}`, 'share of ' + v.measure, all ? part(m.of(x.part), all) : null), fmt.pct(all ? part(m.of(x.part), all) : null)), ...num },
        { id: 'change', head: t('us.change'), tip: t('tip.us.change', { x: t('us.' + v.measure) }), cell: (x) => change(v, x.part, former(old, x)), ...num },
    ].filter(Boolean);
}

// Models without a price, what of them was used without one, and where to say it.
function unpriced(d) {
    const models = d.total.unpriced ?? [];
    if (!models.length) return null;
    return h('p.note', { id: 'unpriced' }, h('span.mark.warn', { 'aria-hidden': 'true' }, '◆ '),
        ui.link('#/config/prices', t('us.unpriced', { count: models.length, n: models.length, x: fmt.compact(d.total.unpriced_tokens) }), { title: models.join(', ') }));
}

function tableOf(v, d, keys, of, old) {
    const rows = keys.map((k) => ({ key: k.key ?? null, p: 'keys.' + d.keys.indexOf(k), part: k }));
    const total = { p: 'total', part: d.total };
    const cols = columns(v, d, of, old);
    return ui.table({ id: 'usage-table', caption: t('us.caption'), cls: 'broad', cols, rows: rows.length ? rows : [total], key: (x) => 'k' + x.key, total: rows.length ? (c) => c.cell(total) : null });
}

// ---- what can be taken away

const iso = (sec) => {
    const d = new Date(sec * 1000);
    const o = -d.getTimezoneOffset();
    const two = (n) => String(Math.floor(n)).padStart(2, '0');
    return new Date(sec * 1000 + o * 60000).toISOString().slice(0, 19) + (o < 0 ? '-' : '+') + two(Math.abs(o) / 60) + ':' + two(Math.abs(o) % 60);
};

// A field as RFC 4180 has it; no text is a formula to a spreadsheet.
export function field(x) {
    if (typeof x === 'number') return String(x);
    const text = (/^[=+\-@\t]/.test(x) ? "'" : '') + x;
    return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
}

export function csv(d) {
    const by = ['model', 'endpoint', 'client'].includes(d.by);
    const head = ['time', ...(by ? [d.by] : []), ...COUNTS, ...MORE, ...KINDS, ...REST, 'cost_usd', 'unpriced'];
    const rows = d.buckets.map((b) => [{ raw: iso(b.time) }, ...(by ? [b.key ?? ''] : []), ...[...COUNTS, ...MORE].map((k) => b[k] ?? 0), ...KINDS.map((k) => b.tokens[k] ?? 0), ...REST.map((k) => b[k] ?? 0),
        b.cost_usd === null ? '' : { raw: b.cost_usd.toFixed(6) }, (b.unpriced ?? []).join(' ')]);
    return [head, ...rows].map((r) => r.map((x) => x.raw ?? field(x)).join(',') + '\r\n').join('');
}

// ---- the page

function controls(ctx, v) {
    const p = ctx.route.params;
    const set = (name) => (x) => ctx.set({ [name]: x });
    const seg = (name, label, words, key) => h('div.seg', { role: 'group', 'aria-label': label }, words.map((w) =>
        ui.button(t(key + w), () => set(name)(w), { 'aria-pressed': v[name] === w ? 'true' : 'false', 'data-set': `${name}=${w}` })));
    return h('div.filters', null,
        rangeFields({ ...p, since: v.since }, SPANS.map((s) => [s, t('range.' + s)]), (x) => ctx.set({ ...x, step: null })),
        seg('by', t('us.by'), BY, 'us.by.'), seg('measure', t('us.measure'), Object.keys(MEASURES), 'us.'),
        ui.select(t('us.step'), String(v.step), v.steps.map((s) => [String(s), fmt.span(s * 1000)]), set('step')));
}

function report(ctx, v, q) {
    const d = q.data;
    const m = MEASURES[v.measure];
    const old = query(before(v, d), 0, 'usage-before');
    const keys = (d.keys ?? []).slice().sort((a, b) => (a.key === OTHER) - (b.key === OTHER) || (m.share ? b.requests - a.requests : m.of(b) - m.of(a)));
    const known = old.path0 === old.path && old.data && begun(ctx.o, old.data) < old.data.since + v.step ? old.data : null;
    const of = q.path0;
    const name = `qcc-usage-${iso(d.since).slice(0, 10)}-${d.by}`;
    const tools = [
        ui.button('CSV', () => ui.download(name + '.csv', 'text/csv;charset=utf-8', csv(d)), { class: 'small' }),
        ui.button('JSON', () => ui.download(name + '.json', 'application/json', JSON.stringify(d, null, 1)), { class: 'small' }),
        ui.copyButton(() => location.href, t('us.link')),
    ];
    const range = [ui.time(d.since, { form: fmt.minute, path: of + '#since' }), ' – ', ui.time(d.until, { form: fmt.minute, path: of + '#until' })];
    return [
        h('p.dim', { id: 'range' }, ui.dots(range, t('footer.zone', { zone: fmt.zoneName() }), d.list_prices_of ? t('footer.prices', { day: d.list_prices_of }) : null, d.rounded ? t('us.rounded') : null, ctx.o.history?.state === 'sums only' ? null : behind(ctx.o))),
        ui.section(t('us.' + v.measure), tools, chartOf(ctx, v, d, keys, of)),
        h('section.part', { 'aria-label': t('us.caption') }, d.total.requests ? tableOf(v, d, keys, of, known) : ui.empty(t('us.none')), unpriced(d)),
    ];
}

export default {
    title: () => t('nav.usage'),
    view(ctx) {
        const v = view(ctx.route.params);
        // What has no answer is not asked.
        if (ctx.o.history?.state === 'off') return [ui.pageHead(t('nav.usage')), controls(ctx, v), ui.historyOff(ctx.o.history.why)];
        const q = query(v.path, EVERY, 'usage');
        const mine = q.path0 === v.path || (q.data && q.path0);
        return [ui.pageHead(t('nav.usage')), controls(ctx, v),
            q.data && mine && q.data.by === (v.by === 'none' ? 'total' : v.by) ? ui.loaded(q, 400, () => refresh((x) => x === q), () => report(ctx, v, q))
                : ui.loaded({ error: q.error }, 400, () => refresh((x) => x === q), () => null)];
    },
};
