// Requests: the newest first, filters in the fragment; and the trail of one (trail.js).
import { h } from './dom.js';
import { t, lang } from './i18n.js';
import * as fmt from './format.js';
import { query, refresh } from './api.js';
import * as ui from './parts.js';
import { pager } from './pager.js';
import { rangeFields, start } from './range.js';
import { firstSteps } from './overview.js';
import { trail, endMs, endClass, endTip } from './trail.js';

const EVERY = 2000;
const LIMIT = 50;
const FROM_MEMORY = 500;
const FILTERS = ['endpoint', 'model', 'client', 'status', 'class', 'min_ms', 'since', 'until'];
const STATUS = ['failed', 'ok', 'cancelled', '2xx', '4xx', '5xx'];
const CLASSES = ['ok', 'transient', 'rate_limit', 'auth', 'permanent', 'unknown'];
const SLOW = [1000, 3000, 10000, 30000, 60000];
const list = pager('requests', 'id');
let shown = false; // the filters of a narrow screen
let back = '#/requests'; // the list that was left for a trail

const filtered = (p) => FILTERS.some((k) => p[k]);

// Without a history the last requests come from memory, and the page itself chooses among them.
function address(p, stored) {
    const s = new URLSearchParams({ limit: stored || !filtered(p) ? LIMIT : FROM_MEMORY });
    if (stored) for (const k of FILTERS) if (p[k]) s.set(k, p[k]);
    // Any condition leads to the history, whose reply has a cursor.
    if (stored && !filtered(p)) s.set('since', '0');
    return 'requests?' + s;
}

function passes(r, p) {
    const ok = r.end === 'ok' && r.status >= 200 && r.status < 400;
    const gone = r.end === 'client gone';
    const by = { ok, cancelled: gone, failed: !ok && !gone };
    const status = String(r.status ?? '');
    const end = endMs(r) / 1000;
    return (!p.endpoint || r.endpoint === p.endpoint) && (!p.client || r.client === p.client)
        && (!p.model || [r.model, r.sent, r.served].includes(p.model))
        && (!p.status || (by[p.status] ?? (p.status.endsWith('xx') ? status[0] === p.status[0] : status === p.status)))
        && (!p.class || r.attempts.some((a) => a.class === p.class)) && !(r.total_ms < Number(p.min_ms))
        && !(end < start(p.since)) && !(p.until && end >= Number(p.until));
}

// ---- cells

// Places tried in order; a cross behind each where none served.
function places(x) {
    const { r } = x;
    const mark = (path) => ui.f(x.doc, `requests.${x.i}.${path}`, String, { of: x.of, tag: 'bdi' });
    if (!r.attempts?.length) return mark('endpoint');
    const lost = r.attempts[r.attempts.length - 1].class !== 'ok' && r.end !== 'client gone';
    return h('span', null, r.attempts.map((a, k) => [lost && k ? ' ' : '', h('span', { class: 'place', title: [a.class, a.status, a.reason].filter(Boolean).join(' · ') }, k && !lost ? '→' : '',
        mark(`attempts.${k}.endpoint`), lost ? h('span.bad', null, ' ✕') : '')]));
}

function models(x) {
    const f = (path) => ui.f(x.doc, `requests.${x.i}.${path}`, (m) => m.replace(/^claude-/, ''), { of: x.of, tag: 'bdi', title: x.r[path] });
    const { r } = x;
    return h('span', null, f(r.sent ? 'sent' : 'model'),
        r.sent && r.model && r.sent !== r.model ? h('span.dim', { title: t('rq.asked', { x: r.model }) }, ' *') : null,
        r.model_differs ? h('span.warn', { title: t('rq.differs', { a: r.sent ?? r.model, b: r.served }) }, ' ≠ ', f('served')) : null);
}

function columns() {
    const f = (x, path, show, more) => ui.f(x.doc, `requests.${x.i}.${path}`, show, { of: x.of, ...more });
    const col = (id, head, cell, more) => ({ id, head: t(head), tip: t('tip.rq.' + id), cell, ...more });
    const num = { num: true };
    return [
        col('time', 'col.time', (x) => ui.link(trailHref(x.r), ui.time(x.r.time, { path: `${x.of}#requests.${x.i}.time` })), { cls: 'nowrap' }),
        col('client', 'col.client', (x) => f(x, 'client', String, { tag: 'bdi' })),
        col('model', 'col.model', models),
        col('endpoint', 'col.endpoint', places),
        col('status', 'col.status', (x) => f(x, 'status', String, { cls: x.r.status >= 400 ? 'bad' : null, title: null }), num),
        col('first', 'col.first', (x) => f(x, 'first_byte_ms', fmt.dur), num),
        col('total', 'col.total', (x) => f(x, 'total_ms', fmt.dur), num),
        col('inout', 'col.inout', (x) => h('span', null, f(x, 'tokens.input', fmt.compact), '/', f(x, 'tokens.output', fmt.compact)), num),
        col('cache', 'col.cache', (x) => {
            const share = fmt.cacheShare(x.r.tokens);
            return h('span', { ...ui.derived(`${x.of}#requests.${x.i}.tokens`, 'cache', share), title: share === null ? t('value.none') : t('rq.read', { n: fmt.num(x.r.tokens.cache_read) }) }, share === 1 || share === 0 || share === null ? fmt.pct(share) : Math.round(share * 100) + '%');
        }, { ...num, tip: t('tip.cache') }),
        col('cost', 'cost.usd', (x) => f(x, 'cost.usd', fmt.money, { absent: x.r.cost?.missing?.length ? x.r.cost.missing.join(', ') : t('value.none') }), { ...num, tip: t('tip.us.cost') }),
        col('end', 'col.end', (x) => h('span', { class: endClass(x.r) }, f(x, 'end', () => fmt.ended(x.r), { tag: 'code', title: endTip(x.r) }), h('span.dim', { 'aria-hidden': 'true' }, ' ›'))),
    ];
}

const trailHref = (r) => `#/requests/${r.id}?at=${endMs(r)}`;

// ---- filters

function filters(ctx, rows) {
    const p = ctx.route.params;
    // A field that is left with the page says so once another page is shown: that is not its address.
    const put = (v) => ctx.route.page === 'requests' && !ctx.route.parts[1] && ctx.set(v);
    const set = (name) => (v) => put({ [name]: v || null });
    const any = ['', t('any')];
    const text = (name, label, values) => h('label.field', { key: name }, h('span', null, label),
        h('input', { type: 'text', name, list: 'dl-' + name, value: p[name] ?? '', placeholder: t('any'), autocomplete: 'off', spellcheck: 'false', onchange: (e) => set(name)(e.currentTarget.value.trim()) }),
        h('datalist', { id: 'dl-' + name }, [...new Set(values)].filter(Boolean).sort().map((v) => h('option', { value: v }))));
    const names = [...new Set([...(ctx.o.endpoints ?? []).map((e) => e.name), p.endpoint])].filter(Boolean);
    const wide = matchMedia('(min-width: 721px)').matches;
    return h('details.fold', { key: 'filters', open: wide || shown || filtered(p), ontoggle: (e) => !wide && (shown = e.currentTarget.open) }, h('summary', null, t('rq.filters')), h('div.filters', { role: 'search', 'aria-label': t('rq.filters') },
        h('form.field', { onsubmit: (e) => {
            e.preventDefault();
            const id = e.currentTarget.elements.id.value.trim();
            if (id) ctx.go('#/requests/' + encodeURIComponent(id));
        } }, h('input.search', { type: 'search', name: 'id', placeholder: t('rq.id'), 'aria-label': t('rq.id'), autocomplete: 'off', spellcheck: 'false' })),
        ui.select(t('col.endpoint'), p.endpoint ?? '', [any, ...names.map((n) => [n, n])], set('endpoint')),
        text('model', t('col.model'), rows.flatMap(({ r }) => [r.model, r.sent, r.served])),
        text('client', t('col.client'), rows.map(({ r }) => r.client)),
        ui.select(t('rq.result'), p.status ?? '', [any, ...STATUS.map((s) => [s, s.endsWith('xx') ? s : t(s)])], set('status')),
        ui.select(t('col.class'), p.class ?? '', [any, ...CLASSES.map((c) => [c, c])], set('class')),
        ui.select(t('rq.slower'), p.min_ms ?? '', [any, ...SLOW.map((ms) => [String(ms), fmt.span(ms)])], set('min_ms')),
        rangeFields(p, [['', t('any')], ['1h', t('range.1h')], ['24h', t('range.24h')], ['7d', t('range.7d')], ['30d', t('range.30d')]], put),
        filtered(p) ? ui.button(t('filter.clear'), () => ctx.set(Object.fromEntries(FILTERS.map((k) => [k, null]))), { class: 'small' }) : null));
}

// ---- the list

const stateOf = (o) => o.history?.state ?? 'off';
// Where nobody answers what is asked of the history.
const MUTE = ['off', 'starting', 'not running', 'not answering'];

// What the history lacks of what has happened, if anything: {state}, else how far it stands behind.
export function behind(o) {
    const s = stateOf(o);
    if (s !== 'storing' && s !== 'off') {
        const why = o.history.last_error ?? o.history.why;
        return h('span.warn', { 'data-f': 'history.state', 'data-v': s }, t('history.is', { x: s }), why ? ` (${why})` : '');
    }
    const ms = o.history?.behind_ms;
    return ms >= 2000 ? h('span.warn', { 'data-f': 'history.behind_ms', 'data-v': String(ms) }, t('behind', { x: fmt.span(ms) })) : null;
}

// No row: none there was, none matches, or none is known.
function none(o, p, stored) {
    if (filtered(p)) return ui.empty(t('rq.none'));
    const known = stored || (stateOf(o) === 'off' && !(o.totals?.requests > 0));
    return known ? firstSteps(o) : ui.empty(t('rq.unknown'));
}

function listView(ctx) {
    const { o } = ctx;
    const p = ctx.route.params;
    // What is stored no more is still there to be searched, if it can be read; the newest are in memory alone.
    const whole = stateOf(o) === 'storing';
    let stored = whole || (filtered(p) && !MUTE.includes(stateOf(o)));
    let q = query(address(p, stored), EVERY, 'requests');
    if (stored && !whole && q.error && q.path0 !== q.path) {
        stored = false;
        q = query(address(p, false), EVERY, 'requests-memory');
    }
    const again = () => refresh((x) => x === q);
    const every = list.rows(q);
    const rows = stored ? every : every.filter(({ r }) => passes(r, p));
    back = ctx.here || back;
    return [
        ui.pageHead(t('nav.requests'), list.news(ctx.redraw)),
        filters(ctx, every),
        h('section.part', { 'aria-label': t('nav.requests') },
            q.error ? ui.errorPart(q.error, again) : null,
            whole || stateOf(o) === 'off' ? null : h('p.note', { id: 'lacks' }, ui.dots(behind(o), t(stored ? 'rq.older' : 'rq.memory'))),
            !list.ready(q) ? (q.error ? null : ui.skeleton(400)) : !rows.length
                ? none(o, p, stored)
                : ui.table({ id: 'requests', caption: t('nav.requests'), cls: 'broad' + (q.error ? ' stale' : ''), cols: columns(), rows, key: (x) => x.r.id, memo: (x) => [x.r, `${lang()} ${x.of} ${x.i} ${new Date().getDate()}`], open: (x) => trailHref(x.r) }),
            list.end(ctx.redraw),
            h('p.foot', null, ui.dots(rows.length ? t('rq.shown', { n: rows.length }) : null, stateOf(o) === 'off' ? t('rq.memory') : whole ? behind(o) : null,
                every[0]?.doc.oldest ? [t('rq.oldest'), ' ', ui.time(every[0].doc.oldest, { path: every[0].of + '#oldest' })] : null))),
    ];
}

export default {
    title: (route) => (route.parts[1] ? t('rq.title', { id: route.parts[1].slice(0, 8) }) : t('nav.requests')),
    view: (ctx) => (ctx.route.parts[1] ? trail(ctx, ctx.route.parts[1], back) : listView(ctx)),
    key(e, ctx) {
        if (e.key !== 'Escape') return;
        if (ctx.route.parts[1]) ctx.go(back);
        else document.activeElement?.blur();
    },
};
