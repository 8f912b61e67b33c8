// Config: what is in use, shown and not edited: the file is the one truth; and the prices.
import { h } from './dom.js';
import { t } from './i18n.js';
import * as fmt from './format.js';
import { query, refresh } from './api.js';
import * as ui from './parts.js';
import { reload, isBusy } from './actions.js';

const EVERY = 30000;
const RATES = ['input', 'output', 'cache_read', 'write_5m', 'write_1h'];

const leaf = (x) => x !== null && typeof x === 'object' && 'value' in x && 'changed' in x;

// A value as qcc.yaml would have it on one line.
const show = (key) => (v) => (v === null ? 'null' : key === 'base_url' ? fmt.address(v) : typeof v === 'object' ? JSON.stringify(v) : String(v));

// The settings of the tree as rows {name, path, key, leaf}: elements of lists by their names.
export function flat(tree, path = 'config', name = '') {
    return Object.entries(tree ?? {}).flatMap(([k, v]) => {
        const at = `${path}.${k}`;
        const label = Array.isArray(tree) ? `${name}[${(leaf(v?.name) ? v.name.value : v?.name) ?? k}]` : name ? `${name}.${k}` : k;
        if (leaf(v)) return [{ name: label, path: at, key: k, leaf: v }];
        return v !== null && typeof v === 'object' ? flat(v, at, label) : [];
    });
}

function inUse(ctx, d, of) {
    const f = (path, form, more) => ui.f(d, path, form, { of, ...more });
    const r = d.last_reload;
    const faults = r && r.ok === false ? r.faults ?? [] : [];
    return [h('dl.facts', null,
        h('dt', null, t('cf.file')), h('dd', null, f('file', String, { tag: 'code' })),
        h('dt', null, t('word.generation')), h('dd', null, f('generation')),
        h('dt', null, t('cf.taken')), h('dd', null, ui.time(d.taken, { path: of + '#taken', ago: true })),
        h('dt', null, t('cf.last')), h('dd', null, r ? [h('span', { class: r.ok ? 'ok' : 'bad', 'data-f': of + '#last_reload.ok', 'data-v': String(r.ok) }, t(r.ok ? 'cf.done' : 'cf.refused')), ' ', ui.time(r.at, { path: of + '#last_reload.at' })] : t('cf.noreload'))),
    faults.length || r?.error ? h('div.error', { id: 'faults' }, r.error ? h('p', null, f('last_reload.error', String)) : null,
        h('ul', null, faults.map((_, i) => h('li', null, f('last_reload.faults.' + i, String, { tag: 'code' })))), ui.copyButton(faults.join('\n'))) : null];
}

function settings(ctx, d, of) {
    const p = ctx.route.params;
    const word = (p.word ?? '').toLowerCase();
    const all = flat(d.config);
    const rows = all.filter((x) => (!p.changed || x.leaf.changed) && (x.name.toLowerCase().includes(word) || show(x.key)(x.leaf.value).toLowerCase().includes(word)));
    // null is a value here.
    const value = (x, m, cls) => h('code', { class: cls, 'data-f': `${of}#${x.path}.${m}`, 'data-v': String(x.leaf[m]) }, show(x.key)(x.leaf[m]));
    const cols = [
        { id: 'key', head: t('col.key'), tip: t('tip.cf.key'), cell: (x) => h('code', null, x.name) },
        { id: 'value', head: t('col.value'), tip: t('cf.values'), cls: 'wrap', cell: (x) => value(x, 'value', x.leaf.changed ? 'changed' : null) },
        { id: 'default', head: t('cf.default'), tip: t('tip.cf.default'), cell: (x) => (x.leaf.changed ? value(x, 'default', 'dim') : '') },
    ];
    return ui.section(t('cf.values'), [
        ui.search(t('cf.search'), p.word ?? '', (v) => ctx.set({ word: v || null })),
        h('label.field', null, h('input', { type: 'checkbox', checked: Boolean(p.changed), onchange: (e) => ctx.set({ changed: e.currentTarget.checked ? '1' : null }) }), t('cf.only')),
        h('span.dim', null, t('shown', { n: rows.length, all: all.length })),
    ], rows.length ? ui.table({ id: 'settings', caption: t('cf.values'), cols, rows, key: (x) => x.path }) : ui.empty(t('cf.none')));
}

// ---- prices

// An address is broken behind its slashes only.
const breakable = (s) => s.split(/(?<=\/)/).flatMap((x, i) => (i ? [h('wbr'), x] : [x]));

const yaml = (models) => ['prices:', '  models:', ...models.flatMap((m) => [`    - match: ${JSON.stringify(m)}`, '      rates:', `        - {input: ?, output: ?, cache_read: ?, write_5m: ?, write_1h: ?}`])].join('\n');

function missing(d, of) {
    const list = d.unpriced ?? [];
    if (!list.length) return null;
    const lines = yaml(list.map((u) => u.model));
    const cols = [
        { id: 'model', head: t('col.model'), tip: t('tip.model'), cls: 'grow', cell: (x) => ui.f(d, `unpriced.${x.i}.model`, String, { of, tag: 'bdi' }) },
        { id: 'requests', head: t('col.requests'), tip: t('pr.missing'), num: true, cell: (x) => ui.f(d, `unpriced.${x.i}.requests`, fmt.num, { of }) },
        { id: 'last', head: t('pr.last'), tip: t('tip.pr.last'), num: true, cell: (x) => ui.time(x.u.last, { path: `${of}#unpriced.${x.i}.last`, form: fmt.minute }) },
    ];
    return ui.section(t('pr.missing'), [ui.copyButton(lines)],
        ui.table({ id: 'unpriced', caption: t('pr.missing'), cols, rows: list.map((u, i) => ({ u, i })), key: (x) => x.u.model }),
        h('p', null, t('pr.lines')), h('pre.code', { tabindex: '0' }, lines));
}

function prices(ctx) {
    const q = query('prices', EVERY);
    const head = ui.pageHead(t('us.prices'), ui.link('#/config', '‹ ' + t('nav.config')));
    return [head, ui.loaded(q, 400, () => refresh((x) => x === q), (d) => {
        const of = q.path0;
        const f = (x, path, form, more) => ui.f(d, `models.${x.i}.${path}`, form, { of, ...more });
        const rate = (k, label) => ({ id: k, head: t(label), tip: t('tr.kind.' + k), num: true, cell: (x) => h('span', null, f(x, k, fmt.money, { absent: t('pr.none') }),
            x.m.above ? h('span.dim', { title: t('pr.above', { n: fmt.compact(x.m.above.tokens) }) }, ' / ', f(x, 'above.' + k, fmt.money, { absent: t('pr.none') })) : null) });
        const times = (k) => ({ id: k, head: t('pr.' + k), tip: t('tip.pr.' + k), num: true, cell: (x) => f(x, k, (v) => '×' + fmt.num(v, 6), { absent: t('pr.none') }) });
        const cols = [
            { id: 'model', head: t('col.model'), tip: t('tip.model'), cls: 'nowrap', cell: (x) => h('div', null, f(x, 'model', String, { tag: 'bdi' }), x.m.above ? h('div.dim', null, '/ ', t('pr.above', { n: fmt.compact(x.m.above.tokens) })) : null) },
            { id: 'from', head: t('pr.from'), tip: t('tip.pr.from'), cls: 'nowrap', cell: (x) => f(x, 'from', String, { absent: t('pr.always') }) },
            rate('input', 'col.tokens.in'), rate('output', 'col.tokens.out'), rate('cache_read', 'us.read'), rate('write_5m', 'pr.5m'), rate('write_1h', 'pr.1h'),
            times('fast'), times('batch'), times('geo_us'),
            { id: 'source', head: t('pr.source'), tip: t('tip.pr.source'), cls: 'source', cell: (x) => (x.m.override ? h('b', { 'data-f': `${of}#models.${x.i}.override`, 'data-v': 'true' }, t('pr.own')) : f(x, 'source', breakable, { cls: 'dim' })) },
        ];
        return [h('p.dim', null, ui.dots(d.list_prices_of ? [t('pr.day'), ' ', ui.f(d, 'list_prices_of', String, { of })] : null, t('pr.unit'))),
            d.unpriced === null ? h('p.dim', null, t('history.off')) : missing(d, of),
            ui.section(t('pr.table'), null, ui.table({ id: 'prices', caption: t('pr.table'), cls: 'broad', cols, rows: d.models.map((m, i) => ({ m, i })), key: (x) => x.m.model })),
            d.factors?.length ? ui.section(t('pr.factors'), null, ui.table({ id: 'factors', caption: t('pr.factors'), rows: d.factors.map((x, i) => ({ x, i })), key: (x) => String(x.i), cols: [
                { id: 'endpoint', head: t('col.endpoint'), tip: t('word.endpoint.text'), cls: 'grow', cell: (x) => ui.f(d, `factors.${x.i}.endpoint`, String, { of, tag: 'bdi' }) },
                { id: 'factor', head: 'price_factor', tip: t('tip.pr.factor'), num: true, cell: (x) => ui.f(d, `factors.${x.i}.factor`, (v) => '×' + fmt.num(v, 6), { of }) },
                { id: 'since', head: t('pr.from'), tip: t('tip.pr.from'), num: true, cell: (x) => ui.time(x.x.since, { path: `${of}#factors.${x.i}.since` }) },
            ] })) : null];
    })];
}

export default {
    title: (route) => (route.parts[1] === 'prices' ? t('us.prices') : t('nav.config')),
    view(ctx) {
        if (ctx.route.parts[1] === 'prices') return prices(ctx);
        const q = query('config', EVERY);
        return [
            ui.pageHead(t('nav.config'), ui.link('#/config/prices', t('us.prices')), ui.button(t('act.reload'), () => reload(ctx).then(() => refresh((x) => x === q)), { busy: isBusy('reload'), id: 'reload' })),
            h('p.dim', null, t('cf.why')),
            ui.loaded(q, 400, () => refresh((x) => x === q), (d) => [
                h('section.part', { 'aria-label': t('cf.inuse') }, h('div.part-head', null, h('h2', null, t('cf.inuse'))), inUse(ctx, d, q.path0)),
                settings(ctx, d, q.path0)]),
        ];
    },
};
