// Overview: is all well, and if not, where.
import { h } from './dom.js';
import { t, lang } from './i18n.js';
import * as fmt from './format.js';
import { live, query, refresh } from './api.js';
import * as ui from './parts.js';
import { chart, spark, spread } from './chart.js';

const MINUTE = 60000;
const CHART = 240; // px of a chart with its readout and table button, less the margin of a skeleton
const TILE = 52; // px of a tile's two lines
const RANGES = { '6h': 900, '24h': 900, '7d': 21600, '30d': 86400 };

// ---- the sentence

function why(e, i) {
    const name = e.name;
    const of = (key) => t('why.' + key, {
        name, x: key === 'cooling' ? fmt.left(e.cooldown_s) : fmt.left(e.breaker?.retry_in_s), reason: e.queued?.reason ?? '–', by: e.disabled_by ?? '–' });
    let text = e.state === 'circuit_open' && !(e.breaker?.retry_in_s > 0) ? of('circuit_trial') : of(e.state);
    if (['degraded', 'unhealthy', 'circuit_open'].includes(e.state) && e.last_failure?.reason) text = t('why.reason', { text, reason: e.last_failure.reason });
    return h('a', { href: ui.endpointHref(name), 'data-f': `endpoints.${i}.state`, 'data-v': e.state }, text);
}

function sentence(o) {
    const list = o.endpoints ?? [];
    if (!list.length) return h('p.sentence.warn', null, h('span.mark', { 'aria-hidden': 'true' }, '◆'), h('span', null, t('no.endpoints')));
    const serve = list.filter(ui.usable).length;
    const odd = list.map((e, i) => [e, i]).filter(([e]) => e.state !== 'healthy').sort(([a], [b]) => ui.badness(a.state) - ui.badness(b.state));
    const level = !serve ? 'bad' : odd.length ? 'warn' : 'ok';
    const text = !odd.length ? t('all.well', { n: list.length }) : serve ? t('some.serve', { n: serve, all: list.length }) : t('none.serve', { all: list.length });
    const told = odd.slice(0, 2).flatMap(([e, i], k) => [k ? t('list') : ' ', why(e, i)]);
    return h('p', { class: 'sentence ' + level, id: 'sentence' },
        h('span.mark', { 'aria-hidden': 'true' }, { ok: '✓', warn: '◆', bad: '▲' }[level]),
        h('span', null, o.state === 'stopping' ? t('stopping') + ' ' : o.state === 'starting' ? t('starting') + ' ' : '', h('b', null, text), told, odd.length > 2 ? t('list') + t('why.more', { n: odd.length - 2 }) : '', odd.length ? t('stop') : ''));
}

// ---- tiles

const tile = (title, ...lines) => h('section.tile', { 'aria-label': title }, h('h2', null, title), lines);
const big = (...x) => h('p.big', null, x);

// Requests a minute over the last minute of polls, and the last ten minutes in bars of 10 s (null: nothing known).
export function rates(samples, now = performance.now()) {
    const bars = new Array(60).fill(null);
    for (let i = 1; i < samples.length; i++) {
        const a = samples[i - 1];
        const b = samples[i];
        const k = 59 - Math.floor((now - b.at) / 10000);
        if (k >= 0 && k < 60) bars[k] = (bars[k] ?? 0) + b.requests - a.requests;
    }
    const end = samples[samples.length - 1];
    const start = samples.find((s) => end.at - s.at <= 60500);
    const rate = start && end.at - start.at >= 1000 ? ((end.requests - start.requests) * 60000) / (end.at - start.at) : null;
    return { rate, bars: bars.map((n) => (n === null ? null : n * 6)) };
}

function nowTile(o) {
    const r = rates(live.samples);
    return tile(t('tile.now'), big(h('span', { id: 'rate', 'data-from': 'totals.requests' }, t('per.min', { n: r.rate === null ? fmt.NONE : fmt.num(r.rate, r.rate < 10 ? 1 : 0) })),
        h('span.side', null, ui.f(o, 'totals.requests_open'), ' ', t('open'))),
    h('p.dim', null, ui.f(o, 'totals.streams_open'), ' ', t('streams', { n: o.totals?.streams_open })),
    spark(r.bars, t('spark.10min')));
}

const USAGE_24H = 'usage?since=24h&step=900';

function shares(doc, base, of) {
    return h('p.dim', null, ui.dots([ui.f(doc, base + '.requests', fmt.num, { of }), ' ', t('requests', { n: ui.at(doc, base + '.requests') })], [ui.f(doc, base + '.failed', fmt.num, { of }), ' ', t('failed')], [ui.f(doc, base + '.cancelled', fmt.num, { of }), ' ', t('cancelled')]));
}

function hourTile(o, q) {
    if (q.error || !q.data) {
        const by = o.totals?.requests_by_status;
        if (!q.error || !by) return tile(t('tile.hour'), q.error ? big(fmt.NONE) : ui.skeleton(TILE));
        // Without a history: what has been counted, which goes on over a restart.
        return tile(t('tile.since'), big(ui.f(o, 'totals.requests_by_status.2xx'), ' ', t('ok')),
            h('p.dim', null, ui.dots([ui.f(o, 'totals.requests_by_status.4xx'), ' 4xx'], [ui.f(o, 'totals.requests_by_status.5xx'), ' 5xx'])));
    }
    const of = q.path0;
    const n = q.data.total.requests;
    return tile(t('tile.hour'),
        n ? big(ui.from(['total.ok', 'total.requests'], t('share.ok', { x: fmt.pct(q.data.total.ok / n) }), { of, title: `${fmt.num(q.data.total.ok)} / ${fmt.num(n)}` })) : big(h('span.dim', null, t('no.requests.hour'))),
        shares(q.data, 'total', of));
}

const firstTile = (o) => tile(t('tile.first'),
    big(h('small', null, 'p50 '), ui.f(o, 'totals.ttfb_ms.p50', fmt.dur)),
    h('p.dim', null, ui.dots(['p95 ', ui.f(o, 'totals.ttfb_ms.p95', fmt.dur)], t('first.window'))));

function moneyTile(title, q, bars) {
    if (q.error) return tile(title, big(fmt.NONE), h('p.dim', null, q.error.status === 409 ? t('history.off') : ui.errorText(q.error)));
    if (!q.data) return tile(title, ui.skeleton(bars ? 84 : TILE));
    const tk = q.data.total.tokens;
    const share = fmt.cacheShare(tk);
    return tile(title, big(ui.cost(q.data, 'total', q.path0)),
        h('p.dim', null, ui.dots(ui.from('total.tokens', [fmt.compact(fmt.tokenSum(tk)), ' ', t('tok')], { of: q.path0, title: fmt.num(fmt.tokenSum(tk)) }), share === null ? null : ui.from('total.tokens', [fmt.pct(share), ' ', t('cache')], { of: q.path0 }))),
        bars ? spark(bars(q.data), t('spark.7d')) : null);
}

const perDay = (data) => data.times.map((time) => {
    const list = data.buckets.filter((b) => b.time === time);
    return list.length ? list.reduce((a, b) => a + (b.priced_usd ?? 0), 0) : null;
});

// ---- the chart

const SERIES = [{ id: 'ok', cls: 'ok' }, { id: 'failed', cls: 'failed' }, { id: 'cancelled', cls: 'cancelled' }];

function requestsChart(ctx) {
    const range = ctx.route.params.range && Object.hasOwn(RANGES, ctx.route.params.range) ? ctx.route.params.range : '24h';
    const step = RANGES[range];
    const path = range === '24h' ? USAGE_24H : `usage?since=${range}&step=${step}` + (step > 3600 ? '&zone=' + fmt.zone(Date.now() / 1000 - (range === '7d' ? 8 : 31) * 86400, Date.now() / 1000 + 86400) : '');
    const q = query(path, range === '24h' || range === '6h' ? MINUTE : 5 * MINUTE, 'chart');
    const pick = h('select', { 'aria-label': t('range'), value: range, onchange: (e) => ctx.set({ range: e.currentTarget.value === '24h' ? null : e.currentTarget.value }) },
        Object.keys(RANGES).map((r) => h('option', { value: r }, t('range.' + r))));
    return ui.section(t('chart.requests'), pick,
        ui.loaded(q, CHART, () => refresh((x) => x === q), (d) => chart({
            id: 'requests', title: t('chart.requests'), unit: t('unit.requests', { step: t('step.' + d.step) }), times: d.times, step: d.step, redraw: ctx.redraw,
            series: SERIES.map((s) => ({ ...s, label: t(s.id), values: spread(d, (b) => b[s.id], { oldest: ctx.o.history?.oldest }) })), kind: 'bars', show: fmt.num,
        })));
}

// ---- lists

function failures(q) {
    const row = (r) => `requests.${q.data.requests.indexOf(r)}.`;
    const place = (r) => (r.endpoint ? 'endpoint' : r.attempts?.length ? `attempts.${r.attempts.length - 1}.endpoint` : 'endpoint');
    const cols = [
        { id: 'time', head: t('col.time'), tip: t('tip.rq.time'), cell: (r) => ui.time(r.time, { path: `${q.path0}#${row(r)}time`, ago: true }) },
        { id: 'endpoint', head: t('col.endpoint'), tip: t('tip.rq.endpoint'), cell: (r) => ui.f(q.data, row(r) + place(r), String, { of: q.path0, tag: 'bdi' }) },
        { id: 'status', head: t('col.status'), tip: t('tip.rq.status'), num: true, cell: (r) => ui.f(q.data, row(r) + 'status', String, { of: q.path0 }) },
        { id: 'end', head: t('col.end'), tip: t('tip.rq.end'), cell: (r) => ui.f(q.data, row(r) + 'end', () => fmt.ended(r) ?? fmt.NONE, { of: q.path0, tag: 'code' }) },
    ];
    return ui.loaded(q, 160, () => refresh((x) => x === q), (d) => (d.requests.length
        ? ui.table({ id: 'failures', caption: t('newest.failures'), cols, rows: d.requests, key: (r) => r.id, open: (r) => '#/requests/' + r.id })
        : ui.empty(t('no.failures'))));
}

export function eventList(q, again, noEndpoint) {
    const i = (e) => `${q.path0}#events.${q.data.events.indexOf(e)}.`;
    const cols = [
        { id: 'time', head: t('col.time'), tip: t('tip.rq.time'), cls: 'nowrap', cell: (e) => ui.time(e.time, { path: i(e) + 'time' }) },
        noEndpoint ? null : { id: 'endpoint', head: t('col.endpoint'), tip: t('word.endpoint.text'), cell: (e) => (e.endpoint ? ui.link(ui.endpointHref(e.endpoint), e.endpoint) : '') },
        { id: 'text', head: t('col.text'), tip: t('tip.ev.kind'), cell: (e) => h('code', { 'data-f': i(e) + 'text', 'data-v': e.text }, e.text) },
    ].filter(Boolean);
    return ui.loaded(q, 160, again, (d) => (d.events.length
        ? ui.table({ id: 'events', caption: t('newest.events'), cols, rows: d.events, key: (e) => String(e.k) })
        : ui.empty(t('no.events'))));
}

// What a new installation needs to be told.
export function firstSteps(o) {
    const l = o.listeners?.find((x) => !x.admin);
    const host = (l?.address ?? '127.0.0.1:7860').replace(/^(0\.0\.0\.0|\*|\[::\]|::)(?=:\d+$)/, location.hostname);
    const line = `export ANTHROPIC_BASE_URL=${l?.tls ? 'https' : 'http'}://${host}`;
    return ui.empty(t('empty.requests'), h('div.copy-line', null, h('code', null, line), ui.copyButton(line)));
}

// ---- endpoints

// Cells and marks below the state: what of a place that serves is held back.
const held = (e, i) => {
    const of = (e.cells ?? []).map((c, k) => ui.f({ endpoints: { [i]: e } }, `endpoints.${i}.cells.${k}.family`, String, { title: t('word.cell.text') }));
    if (e.marks?.length) of.push(ui.from(`endpoints.${i}.marks`, '⚑' + e.marks.length, { title: t('said.marks', { n: e.marks.length }) }));
    return of.length ? h('div.dim', null, '◐ ', of.flatMap((x, k) => (k ? [', ', x] : [x]))) : null;
};

// What is said beside the state: how long yet.
function stateMore(e, i) {
    const p = `endpoints.${i}.`;
    const sec = (path) => ui.f({ endpoints: { [i]: e } }, p + path, fmt.left);
    switch (e.state) {
    case 'cooling': return sec('cooldown_s');
    case 'queued': return e.queued?.verifying ? t('verifying') : e.queued?.next_in_s > 0 ? [t('next.in', { x: '' }), sec('queued.next_in_s')] : null;
    case 'circuit_open': return e.breaker?.retry_in_s > 0 ? [t('trial.in', { x: '' }), sec('breaker.retry_in_s')] : null;
    case 'disabled': return e.disabled_by ? t('by', { x: e.disabled_by }) : null;
    default: return e.verifying ? t('verifying') : null;
    }
}

export const COST = 'usage?by=endpoint&since=24h';

// All columns; rows are {e, i}: an endpoint and its place in the overview. `costs`: the reply to usage by endpoint, if there is one.
export function columns(costs, off) {
    const f = (r, path, show, more) => ui.f({ endpoints: { [r.i]: r.e } }, `endpoints.${r.i}.${path}`, show, more);
    const cost = (r) => {
        const k = costs?.keys.findIndex((x) => x.key === r.e.name) ?? -1;
        return k < 0 ? null : k;
    };
    // What a cell is made of, beside the texts and the row's place.
    const of = (get) => (r) => `${lang()} ${r.i} ${get(r.e)}`;
    const made = {
        name: of((e) => e.name), open: of((e) => `${e.open_requests}/${e.max_concurrent}`), success: of((e) => e.success_rate),
        state: of((e) => [e.state, e.cooldown_s, e.queued?.verifying, e.queued?.next_in_s, e.breaker?.retry_in_s, e.disabled_by, e.verifying, e.cells?.map((c) => c.family), e.marks?.length].join()),
        first: of((e) => `${e.ttfb_ms?.p50}/${e.ttfb_ms?.p95}`), tokens: of((e) => e.tokens?.output), bound: of((e) => e.sessions),
        priority: of((e) => e.priority), weight: of((e) => e.weight),
    };
    return [
        { id: 'name', head: t('col.name'), tip: t('tip.name'), sort: (r) => r.e.name,
            cell: (r) => ui.link(ui.endpointHref(r.e.name), f(r, 'name', String, { tag: 'bdi' })) },
        { id: 'state', head: t('col.state'), tip: t('tip.state'), sort: (r) => ui.badness(r.e.state), cls: 'nowrap',
            cell: (r) => [ui.state(r.e.state, `endpoints.${r.i}.state`, stateMore(r.e, r.i)), held(r.e, r.i)] },
        { id: 'open', head: t('col.open'), tip: t('tip.open'), num: true, sort: (r) => r.e.open_requests,
            cell: (r) => h('span', null, f(r, 'open_requests'), '/', r.e.max_concurrent > 0 ? f(r, 'max_concurrent') : h('span', { title: t('no.limit'), 'data-f': `endpoints.${r.i}.max_concurrent`, 'data-v': String(r.e.max_concurrent) }, '∞')) },
        { id: 'success', head: t('col.success'), tip: t('tip.success'), num: true, sort: (r) => r.e.success_rate, cell: (r) => f(r, 'success_rate', fmt.pct) },
        { id: 'first', head: t('col.first'), tip: t('word.first_byte.text'), num: true, sort: (r) => r.e.ttfb_ms?.p50,
            cell: (r) => h('span', null, f(r, 'ttfb_ms.p50', fmt.dur), ' / ', f(r, 'ttfb_ms.p95', fmt.dur)) },
        { id: 'tokens', head: t('col.tokens'), tip: t('tip.tokens'), num: true, sort: (r) => r.e.tokens?.output, cell: (r) => f(r, 'tokens.output', fmt.compact) },
        { id: 'bound', head: t('col.bound'), tip: t('word.binding.text'), num: true, sort: (r) => r.e.sessions, cell: (r) => f(r, 'sessions') },
        { id: 'priority', head: t('col.priority'), tip: t('tip.priority'), num: true, sort: (r) => r.e.priority, cell: (r) => f(r, 'priority') },
        { id: 'weight', head: t('col.weight'), tip: t('tip.weight'), num: true, sort: (r) => r.e.weight, cell: (r) => f(r, 'weight') },
        { id: 'cost', head: t('col.cost'), tip: t('tip.cost'), num: true, sort: (r) => (cost(r) === null ? null : costs.keys[cost(r)].priced_usd),
            cell: (r) => (cost(r) === null ? h('span', { title: t(off ? 'history.off' : 'value.none') }, fmt.NONE) : ui.cost(costs, 'keys.' + cost(r), COST)) },
    ].map((c) => ({ ...c, of: made[c.id] }));
}

// The worst first, at most eight.
function shortTable(ctx) {
    const rows = (ctx.o.endpoints ?? []).map((e, i) => ({ e, i })).sort((a, b) => ui.badness(a.e.state) - ui.badness(b.e.state) || a.i - b.i);
    if (!rows.length) return ui.empty(t('no.endpoints'));
    const cols = columns(null).filter((c) => ['name', 'state', 'open', 'success', 'first', 'tokens', 'bound'].includes(c.id));
    return ui.table({ id: 'short', caption: t('nav.endpoints'), cols, rows: rows.slice(0, 8), key: (r) => r.e.name, open: (r) => ui.endpointHref(r.e.name) });
}

// ---- the page

let seenFailures = null;

export default {
    title: () => t('nav.overview'),
    view(ctx) {
        const { o } = ctx;
        const hour = query('usage?since=1h', MINUTE);
        const today = query(`usage?by=model&since=${fmt.dayStart()}`, MINUTE, 'today');
        const from = fmt.dayStart(new Date(), 6);
        const week = query(`usage?by=model&since=${from}&step=86400&zone=${fmt.zone(from, from + 8 * 86400)}`, 5 * MINUTE, 'week');
        const main = requestsChart(ctx);
        const failed = query('requests?since=24h&status=failed&limit=5', MINUTE);
        const events = query('events?limit=5', MINUTE);
        const now = `${o.boot} ${JSON.stringify(o.endpoints_by_state)}`;
        if (seenFailures !== null && seenFailures !== now && Date.now() - events.at > 30000) events.due = 0;
        seenFailures = now;
        const behind = o.history?.behind_ms >= 5000 ? h('span.warn', { 'data-f': 'history.behind_ms', 'data-v': o.history.behind_ms }, t('behind', { x: fmt.span(o.history.behind_ms) })) : null;
        const fresh = o.totals && !(o.totals.requests > 0) && !(o.history?.requests > 0);
        return [
            h('h1.vh', null, t('nav.overview')),
            sentence(o),
            fresh ? firstSteps(o) : null,
            h('div.tiles', null, nowTile(o), hourTile(o, hour), firstTile(o), moneyTile(t('tile.today'), today), moneyTile(t('tile.week'), week, perDay)),
            main,
            ui.section(t('nav.endpoints'), ui.link('#/endpoints', t('all.endpoints')), shortTable(ctx)),
            h('div.split', null,
                ui.section(t('newest.failures'), [behind, ui.link('#/requests?status=failed', t('all.requests'))], failures(failed)),
                ui.section(t('newest.events'), ui.link('#/events', t('all.events')), eventList(events, (q) => refresh((x) => x === q)))),
        ];
    },
};
