// One endpoint: why it is in its state, what it has done, what it costs.
import { h } from './dom.js';
import { t, has } from './i18n.js';
import * as fmt from './format.js';
import { query, refresh } from './api.js';
import * as ui from './parts.js';
import { chart, spread } from './chart.js';
import { eventList } from './overview.js';
import { act, only, isBusy, VERBS } from './actions.js';

const MINUTE = 60000;
const again = (q) => refresh((x) => x === q);

// The state in sentences, from what brought it about.
function said(e) {
    const out = [];
    const b = e.breaker ?? {};
    if (e.disabled_by) out.push(t('said.disabled.' + e.disabled_by, { status: e.refused_status ?? fmt.NONE }));
    if (e.queued) {
        const key = e.queued.verifying ? 'said.queued.now' : 'said.queued';
        out.push(t(key, { reason: e.queued.reason ?? fmt.NONE, n: e.queued.verifications, x: fmt.left(e.queued.next_in_s ?? 0) }));
        if (e.queued.in_reach) out.push(t('said.queued.far'));
    }
    if (b.state && b.state !== 'closed') out.push(b.state === 'open' ? t('said.circuit_open', { n: b.failures, x: fmt.left(b.retry_in_s ?? 0) }) : t('said.circuit_half', { n: b.failures }));
    if (e.cooldown_s > 0) out.push(t(e.cooldown_own_word ? 'said.cooling.own' : 'said.cooling', { x: fmt.left(e.cooldown_s) }));
    if (e.draining) out.push(t('said.draining', { n: fmt.num(e.sessions) }));
    const ill = ['degraded', 'unhealthy'].includes(e.health);
    if (!out.length || (ill && !e.queued && !e.disabled_by && b.state === 'closed')) out.unshift(t('said.' + (has('said.' + e.health) ? e.health : 'healthy')));
    if (e.verifying && !e.queued?.verifying) out.push(t('said.verifying'));
    if (e.cells?.length) out.push(t('said.cells', { n: e.cells.length }));
    if (e.marks?.length) out.push(t('said.marks', { n: e.marks.length }));
    return out;
}

function why(e, p) {
    const l = e.e.last_failure;
    return h('section.part.why', { 'aria-label': t('ep.why') },
        h('p', { id: 'why' }, ui.state(e.e.state, p + 'state'), ' ', said(e.e).join(' ')),
        h('p.dim', null, ui.dots(
            e.e.state_since_s > 0 ? h('span', { 'data-f': p + 'state_since_s', 'data-v': e.e.state_since_s }, t('said.since', { x: fmt.span(e.e.state_since_s * 1000) })) : null,
            l ? [t('said.last', { text: '' }), ui.time(l.at, { path: p + 'last_failure.at' }), ' ', ui.word(l.class, 'class', p + 'last_failure.class'), l.reason ? [' ', ui.word(l.reason, 'reason', p + 'last_failure.reason')] : null, l.status ? [' ', h('code', { 'data-f': p + 'last_failure.status', 'data-v': l.status }, l.status)] : null] : null)));
}

// What of it is held back though it serves the rest: its cells and marks, each of which can be reset alone.
function limits(ctx, e, f, p) {
    const rows = [...(e.cells ?? []).map((c, k) => ({ c, at: `cells.${k}.`, part: { family: c.family } })), ...(e.marks ?? []).map((m, k) => ({ at: `marks.${k}.`, part: { mark: m.name } }))];
    const left = ({ c, at }) => (c?.breaker.state === 'half_open' ? f(at + 'breaker.state', String, { tag: 'code' }) : f(at + (!c ? 'until_s' : c.breaker.retry_in_s === null && c.cooldown_s > 0 ? 'cooldown_s' : 'breaker.retry_in_s'), fmt.left));
    const cols = [
        { id: 'kind', head: t('col.kind'), tip: ['cell', 'mark'].map((w) => t('word.' + w) + ': ' + t(`word.${w}.text`)).join('. '), cell: (r) => (r.c ? h('code', null, 'cell') : f(r.at + 'kind', String, { tag: 'code' })) },
        { id: 'text', head: t('col.text'), tip: t('tip.ev.text'), cls: 'wrap', cell: (r) => f(r.at + (r.c ? 'family' : 'name'), String, { tag: 'bdi' }) },
        { id: 'state', head: t('col.state'), tip: t('tip.state'), cell: (r) => (r.c ? ui.state(r.c.tier, p + r.at + 'tier') : '') },
        { id: 'left', head: t('col.left'), tip: t('tip.left'), num: true, cell: left },
        { id: 'act', head: h('span.vh', null, t('col.actions')), label: t('col.actions'), cls: 'act', cell: (r) => ui.button(t('act.reset'), () => act(ctx, 'reset', [e.name], r.part), { class: 'small', busy: isBusy(e.name) }) },
    ];
    return rows.length ? ui.section(t('ep.held'), null, ui.table({ id: 'held', caption: t('ep.held'), cols, rows, key: (r) => Object.keys(r.part) + Object.values(r.part) })) : null;
}

const tile = (title, big, ...rest) => h('section.tile', { 'aria-label': title }, h('h2', null, title), h('p.big', null, big), h('p.dim', null, rest));

function attempts(f, from, e) {
    const all = Object.entries(e.attempts ?? {});
    const sum = all.reduce((a, [, n]) => a + n, 0);
    if (!sum) return ui.empty(t('no.attempts'));
    return h('div.bars', null, all.map(([cls, n]) => h('div.bar-row', { key: cls }, ui.word(cls, 'class'),
        h('div.bar', { 'aria-hidden': 'true' }, h('span', { class: cls === 'ok' ? null : 'lost', style: { width: (n / sum) * 100 + '%' } })),
        h('span.num', null, f('attempts.' + cls), ' ', from('attempts', fmt.pct(n / sum), { class: 'dim' })))));
}

function models(q) {
    const of = q.path0;
    const col = (id, head, tip, path, show) => ({ id, head, tip, num: true, cell: (r) => ui.f(q.data, `keys.${r.i}.${path}`, show, { of }) });
    const cols = [
        { id: 'model', head: t('col.model'), tip: t('tip.model'), cell: (r) => ui.f(q.data, `keys.${r.i}.key`, String, { of, tag: 'bdi' }) },
        col('requests', t('col.requests'), t('tip.requests'), 'requests', fmt.num),
        col('in', t('col.tokens.in'), t('tip.in'), 'tokens.input', fmt.compact),
        col('out', t('col.tokens.out'), t('tip.out'), 'tokens.output', fmt.compact),
        { id: 'cache', head: t('col.cache'), tip: t('word.cache_share.text'), num: true, cell: (r) => ui.from(`keys.${r.i}.tokens`, fmt.pct(fmt.cacheShare(r.k.tokens)), { of }) },
        { id: 'cost', head: t('col.cost7'), tip: t('word.list_price.text'), num: true, cell: (r) => ui.cost(q.data, 'keys.' + r.i, of) },
    ];
    return q.data.keys.length ? ui.table({ id: 'models', caption: t('ep.models'), cols, rows: q.data.keys.map((k, i) => ({ k, i })), key: (r) => r.k.key }) : ui.empty(t('no.blocks'));
}

function blocks(q) {
    const of = q.path0;
    const f = (r, path, show) => ui.f(q.data, `blocks.${r.i}.${path}`, show, { of });
    const cols = [
        { id: 'block', head: t('col.block'), tip: t('tip.block'), cls: 'nowrap', cell: (r) => [ui.time(r.b.start, { form: (d) => `${fmt.day(d)}, ${fmt.hhmm(d)}`, path: `${of}#blocks.${r.i}.start` }), '–', ui.time(r.b.end, { form: fmt.hhmm, path: `${of}#blocks.${r.i}.end` }),
            r.b.running ? h('span.tag', null, t('block.running', { x: fmt.span(r.b.end * 1000 - Date.now()) })) : null] },
        { id: 'requests', head: t('col.requests'), tip: t('tip.requests'), num: true, cell: (r) => f(r, 'requests') },
        { id: 'in', head: t('col.tokens.in'), tip: t('tip.in'), num: true, cell: (r) => f(r, 'tokens.input', fmt.compact) },
        { id: 'out', head: t('col.tokens.out'), tip: t('tip.out'), num: true, cell: (r) => f(r, 'tokens.output', fmt.compact) },
        { id: 'cost', head: t('col.cost7'), tip: t('word.list_price.text'), num: true, cell: (r) => ui.cost(q.data, 'blocks.' + r.i, of) },
        { id: 'rate', head: t('col.rate'), tip: t('tip.rate'), num: true, cell: (r) => (r.b.running ? f(r, 'tokens_per_minute', fmt.compact) : '') },
        { id: 'end', head: t('col.projected'), tip: t('tip.projected'), num: true, cell: (r) => (r.b.running ? [f(r, 'projected_tokens', fmt.compact), ' · ', f(r, 'projected_usd', fmt.money)] : '') },
    ];
    const rows = q.data.blocks.map((b, i) => ({ b, i })).sort((a, b) => b.b.start - a.b.start).slice(0, 10);
    return rows.length ? ui.table({ id: 'blocks', cls: 'mid', caption: t('ep.blocks'), cols, rows, key: (r) => String(r.b.start) }) : ui.empty(t('no.blocks'));
}

function failures(q) {
    const f = (r, path, show) => ui.f(q.data, `requests.${q.data.requests.indexOf(r)}.${path}`, show, { of: q.path0 });
    const mark = (r, path) => `${q.path0}#requests.${q.data.requests.indexOf(r)}.${path}`;
    const cols = [
        { id: 'time', head: t('col.time'), tip: t('tip.rq.time'), cls: 'nowrap', cell: (r) => ui.link(`#/requests/${r.id}`, ui.time(r.time, { path: mark(r, 'time') })) },
        { id: 'model', head: t('col.model'), tip: t('tip.rq.model'), cell: (r) => f(r, 'model', String) },
        { id: 'class', head: t('col.class'), tip: t('help.classes'), cell: (r) => {
            const k = (r.attempts?.length ?? 0) - 1;
            const a = r.attempts?.[k] ?? {};
            return [ui.word(a.class, 'class', a.class ? mark(r, `attempts.${k}.class`) : null), a.reason ? [' ', ui.word(a.reason, 'reason', mark(r, `attempts.${k}.reason`))] : null];
        } },
        { id: 'status', head: t('col.status'), tip: t('tip.rq.status'), num: true, cell: (r) => f(r, 'status', String) },
    ];
    return q.data.requests.length ? ui.table({ id: 'failures', caption: t('ep.failures'), cols, rows: q.data.requests, key: (r) => r.id, open: (r) => '#/requests/' + r.id }) : ui.empty(t('no.failures'));
}

// Settings as leaves {value, changed}: [path, value, changed, where it is in the reply].
function leaves(tree, path, out) {
    for (const [k, v] of Object.entries(tree)) {
        const name = path ? path + '.' + k : k;
        const leaf = v && typeof v === 'object' && 'value' in v;
        if (v && typeof v === 'object' && !Array.isArray(v) && !leaf) leaves(v, name, out);
        else out.push([name, leaf ? v.value : v, Boolean(v?.changed), leaf ? name + '.value' : name]);
    }
    return out;
}

function config(q, e, p) {
    const inner = q.data?.endpoints ? '' : 'config.';
    const list = q.data?.endpoints ?? q.data?.config?.endpoints ?? [];
    const found = list.find((c) => (c.name?.value ?? c.name) === e.name);
    const text = (k, v) => (/url$/.test(k) ? fmt.address(v) : v === null ? fmt.NONE : typeof v === 'object' ? JSON.stringify(v) : String(v));
    const rows = found ? leaves(found, '', []) : ['base_url', 'priority', 'weight', 'max_concurrent', 'price_factor'].map((k) => [k, e[k], true, k]);
    const base = found ? `config#${inner}endpoints.${list.indexOf(found)}.` : p;
    // An address is shown without what it may carry beside host and path: no field as it is.
    const mark = (k, v, at) => (/url$/.test(k) ? { 'data-from': base + at } : { 'data-f': base + at, 'data-v': v === null ? null : String(v) });
    return h('dl.settings', null, rows.filter((r) => r[1] !== undefined).map(([k, v, changed, at]) => [h('dt', null, h('code', null, k)), h('dd', { class: changed ? null : 'dim' }, h('code', mark(k, v, at), text(k, v)))]));
}

// In milliseconds where all of it is below a second.
function speedChart(d, name, redraw) {
    const series = ['p50', 'p95'].map((id) => ({ id, label: id, values: spread(d, (b) => b.first_byte_ms?.[id] ?? null, { zero: null }) }));
    const max = Math.max(0, ...series.flatMap((s) => s.values));
    const scale = max >= 1000 ? { unit: t('unit.sec'), show: (x) => fmt.num(x / 1000, 2) } : { unit: 'ms', show: (x) => fmt.num(x, max < 10 ? 2 : 1) };
    return chart({ id: 'speed-' + name, title: t('ep.speed'), times: d.times, step: d.step, redraw, kind: 'lines', series, ...scale });
}

export function view(ctx) {
    const name = ctx.route.parts[1];
    const i = (ctx.o.endpoints ?? []).findIndex((x) => x.name === name || x.id === name);
    const back = ui.link('#/endpoints', '← ' + t('ep.back'), { class: 'back' });
    if (i < 0) return [back, h('h1', null, name), ui.empty(t('ep.none', { name }))];
    const e = ctx.o.endpoints[i];
    const p = `endpoints.${i}.`;
    const f = (path, show, more) => ui.f(ctx.o, p + path, show, more);
    const of = 'endpoint=' + encodeURIComponent(e.name);
    const speed = query(`speed?${of}&since=24h`, MINUTE);
    const usage = query(`usage?${of}&by=model&since=7d`, MINUTE);
    const block = query(`usage/blocks?${of}&since=7d`, MINUTE);
    const events = query(`events?${of}&limit=10`, MINUTE);
    const failed = query(`requests?${of}&status=failed&since=7d&limit=5`, MINUTE);
    const conf = query('config', 0);
    const part = (title, q, height, show) => ui.section(title, null, ui.loaded(q, height, again, show));
    return [
        back,
        ui.pageHead(h('bdi', null, e.name),
            VERBS.map((verb) => ui.button(t('act.' + verb), () => act(ctx, verb, [e.name]), { busy: isBusy(e.name), 'data-act': verb })),
            ui.button(t('act.only'), () => only(ctx, e.name), { busy: isBusy(e.name) })),
        h('p.dim.address', null, h('code', { 'data-from': p + 'base_url' }, fmt.address(e.base_url)), e.protocol === 'openai' ? [' · ', f('protocol')] : null),
        why({ e }, p),
        limits(ctx, e, f, p),
        h('div.tiles', null,
            tile(t('col.open'), [f('open_requests'), h('span.side', null, '/ ', e.max_concurrent > 0 ? f('max_concurrent') : '∞')], f('sessions'), ' ', t('bound.now')),
            tile(t('col.success'), f('success_rate', fmt.pct), f('charged'), ' ', t('charged'), t('list'), t('ep.since')),
            tile(t('col.first'), [h('small', null, 'p50 '), f('ttfb_ms.p50', fmt.dur)], 'p95 ', f('ttfb_ms.p95', fmt.dur)),
            tile(t('ep.tps.head'), speed.data ? ui.f(speed.data, 'total.output_tokens_per_s', (x) => fmt.num(x, 1), { of: speed.path0 }) : fmt.NONE, t('ep.tps')),
            tile(t('ep.cost7'), usage.data ? ui.cost(usage.data, 'total', usage.path0) : fmt.NONE, usage.data ? [ui.f(usage.data, 'total.requests', fmt.num, { of: usage.path0 }), ' ', t('requests', { n: usage.data.total.requests })] : '')),
        h('div.split', null,
            part(t('ep.speed'), speed, 240, (d) => speedChart(d, e.name, ctx.redraw)),
            ui.section(t('ep.attempts'), h('span.dim', null, t('ep.since')), attempts(f, (path, text, more) => ui.from(p + path, text, more), e))),
        part(t('ep.models'), usage, 160, () => models(usage)),
        part(t('ep.blocks'), block, 160, () => blocks(block)),
        h('div.split', null,
            ui.section(t('ep.events'), null, eventList(events, again, true)),
            part(t('ep.failures'), failed, 160, () => failures(failed))),
        ui.section(t('ep.config'), null, config(conf, e, p)),
    ];
}
