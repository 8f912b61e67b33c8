// The trail of one request: where it went, why there, what each place said, what it cost.
import { h } from './dom.js';
import { t } from './i18n.js';
import * as fmt from './format.js';
import { query, refresh } from './api.js';
import * as ui from './parts.js';

const OPEN_EVERY = 2000; // ms between questions for a request that is under way
const KINDS = ['input', 'output', 'cache_read', 'write_5m', 'write_1h'];

// When it ended, in ms: `time` is when it began.
export const endMs = (r) => r.at_ms ?? (fmt.date(r.time)?.getTime() ?? 0) + (r.total_ms ?? 0);

// It has not ended: `end` says what it does.
const underWay = (r) => (r.end ?? '').startsWith('under way');

export const endClass = (r) => (underWay(r) ? null : fmt.ended(r) === 'ok' ? (r.status >= 400 ? 'bad' : null) : r.end === 'client gone' ? 'warn' : 'bad');
export const endTip = (r) => (fmt.ended(r) === r.end ? null : t('rq.refused'));

const exact = (d) => fmt.when(d) + '.' + String(d.getMilliseconds()).padStart(3, '0');

// ---- the timeline

const at = (ms) => h('span.at', null, '+' + fmt.dur(ms));

function choice(r, i, f) {
    const c = r.choices[i];
    const p = `choices.${i}.`;
    const said = [
        c.conversation ? f(p + 'conversation', String, { tag: 'code' }) : null,
        c.trial ? t('tr.trial') : null, c.second_opinion ? t('tr.opinion') : null,
        c.new_connection ? t('tr.fresh') : null, c.learnt ? t('tr.learnt') : null, c.repeat ? t('tr.repeat') : null,
        c.times > 1 ? t('tr.times', { n: c.times }) : null,
    ];
    const skipped = c.skipped.map((s, k) => [k ? ', ' : '', f(`${p}skipped.${k}.endpoint`, String, { tag: 'bdi' }), ' (', f(`${p}skipped.${k}.reason`, String, { tag: 'code' }), ')']);
    return h('li', { key: 'c' + i }, at(c.at_ms), h('div', null,
        f(p + 'result', String, { tag: 'code' }), ' ', c.endpoint ? h('b', null, f(p + 'endpoint', String, { tag: 'bdi' })) : null, ' ',
        h('span.dim', null, ui.dots(...said)),
        skipped.length || c.others ? h('p.dim', null, t('tr.skipped'), ' ', skipped, c.others ? t('tr.others', { n: c.others }) : null) : null));
}

function attempt(r, i, f, last) {
    const a = r.attempts[i];
    const p = `attempts.${i}.`;
    const total = Math.max(r.total_ms ?? 0, a.at_ms + a.ms, 1);
    const bad = a.class !== 'ok';
    return h('li.try', { key: 'a' + i }, at(a.at_ms), h('div', null,
        h('span.dim', { 'aria-hidden': 'true' }, last ? '└ ' : '├ '), h('b.who', null, f(p + 'endpoint', String, { tag: 'bdi' })), ' ',
        h('span.bar', { 'aria-hidden': 'true' }, h('span', { class: bad ? 'lost' : 'won', style: { 'margin-left': (a.at_ms / total) * 100 + '%', width: Math.max((a.ms / total) * 100, 0.5) + '%' } })), ' ',
        f(p + 'ms', fmt.dur, { cls: 'nowrap' }), ' ',
        ui.dots(h('span', { class: bad ? 'bad' : 'ok' }, ui.word(a.class, 'class', `${f.of}#${p}class`)), a.status === null ? null : f(p + 'status', String, { title: null }), a.reason ? f(p + 'reason', String, { tag: 'code' }) : null,
            a.fault && a.fault !== 'none' ? [t('tr.fault'), ' ', f(p + 'fault', String, { tag: 'code' })] : null,
            a.scope && a.scope !== 'none' ? [t('tr.scope'), ' ', f(p + 'scope', String, { tag: 'code' })] : null,
            a.retry_after_ms === null ? null : [t('tr.retry'), ' ', f(p + 'retry_after_ms', fmt.dur)]),
        a.said ? h('div.dim', null, f(p + 'said', String, { tag: 'q' })) : null));
}

function timeline(r, f) {
    const steps = [...r.choices.map((c, i) => [c.at_ms, 0, i]), ...r.attempts.map((a, i) => [a.at_ms, 1, i])].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    if (!steps.length) return ui.empty(t('tr.none'));
    return h('ol.trail', null, steps.map(([, kind, i]) => (kind ? attempt(r, i, f, i === r.attempts.length - 1) : choice(r, i, f))),
        h('li', { key: 'end' }, at(r.total_ms), h('div', null, f('end', () => fmt.ended(r), { tag: 'code', cls: endClass(r), title: endTip(r) }),
            r.first_byte_ms === null ? null : h('span.dim', null, ' ', t('tr.first'), ' ', f('first_byte_ms', fmt.dur)))),
        r.choices_missed ? h('li', { key: 'missed' }, at(null), h('div.dim', null, t('tr.missed', { n: r.choices_missed }))) : null);
}

// ---- tokens and cost

function formula(r, f) {
    const c = r.cost;
    const term = (n, k) => [fmt.num(n), ' × ', f('cost.rates.' + k, fmt.money, { title: t('tr.kind.' + k) })];
    const terms = KINDS.filter((k) => r.tokens[k] > 0 && c.rates?.[k] !== undefined).flatMap((k, i) => [i ? ' + ' : '', term(r.tokens[k], k)]);
    const web = r.web_searches > 0 && c.rates?.web_search !== undefined ? [terms.length ? ' + ' : '', term(r.web_searches, 'web_search'), ' ', t('tr.per1000')] : null;
    const times = Object.keys(c.multipliers ?? {}).map((k) => [', ', k, ' ×', f('cost.multipliers.' + k, (x) => fmt.num(x, 6))]);
    return [terms.length || web ? [' = ', terms, terms.length ? [' ', t('tr.perM')] : null, web] : null,
        h('span.dim', null, c.model ? [', ', f('cost.model', String)] : null, ', ', t('tr.list'), c.from ? [' ', f('cost.from', String)] : null,
            c.above ? [', ', t('pr.above', { n: fmt.compact(c.above.tokens ?? c.above) })] : null, times,
            c.factor === undefined || c.factor === null ? null : [', ', t('tr.factor'), ' ', f('cost.factor', (x) => fmt.num(x, 6))])];
}

function sums(r, f) {
    const missing = (r.cost?.missing ?? []).join(', ');
    return h('dl.facts', null,
        h('dt', null, t('us.tokens')), h('dd', null, ui.dots(...KINDS.map((k) => h('span', null, f('tokens.' + k), ' ', t('tr.k.' + k))), r.web_searches > 0 ? h('span', null, f('web_searches'), ' ', t('tr.kind.web_search')) : null)),
        h('dt', null, t('cost.usd')), h('dd', null, f('cost.usd', fmt.money, { absent: missing || t('value.none') }), r.cost && r.cost.usd !== null ? formula(r, f) : null,
            missing && r.cost?.usd === null ? [' ', h('span.dim', null, f('cost.missing', () => missing)), ' ', ui.link('#/config/prices', t('us.prices'))] : null));
}

function facts(r, f) {
    const row = (label, ...x) => [h('dt', null, label), h('dd', null, x)];
    const name = (path) => f(path, String, { tag: 'bdi' });
    return h('dl.facts', null,
        row('id', f('id', String, { tag: 'code' })),
        row(t('col.client'), name('client')),
        row(t('col.model'), name('model'), r.sent && r.sent !== r.model ? [' → ', name('sent')] : null, r.model_differs ? [h('span.warn', { title: t('rq.differs', { a: r.sent, b: r.served }) }, ' ≠ '), name('served')] : null),
        row(t('col.endpoint'), r.endpoint ? ui.link(ui.endpointHref(r.endpoint), name('endpoint')) : name('endpoint'), r.protocol === 'openai' ? [' · ', f('protocol', String, { tag: 'code' })] : null),
        row(t('tr.path'), r.method ? [f('method', String, { tag: 'code' }), ' '] : null, f('path', String, { tag: 'code' }), r.stream ? ' · stream' : ''),
        row(t('col.status'), f('status', String, { title: null })),
        row(t('tr.bytes'), f('bytes_in', fmt.bytes), ' / ', f('bytes_out', fmt.bytes)),
        ['service_tier', 'speed', 'inference_geo'].filter((k) => r[k]).map((k) => row(h('code', null, k), name(k))));
}

// The page of the request `id`; back: the list it belongs to.
export function trail(ctx, id, back) {
    const { at: ms } = ctx.route.params;
    const q = query(`requests/${encodeURIComponent(id)}` + (ms ? '?at=' + encodeURIComponent(ms) : ''), 0);
    const head = (...tools) => ui.pageHead([t('rq.one'), ' ', h('code', null, id)], ...tools);
    if (!q.data) return [ui.link(back, '‹ ' + t('all.requests')), head(), ui.loaded(q, 300, () => refresh((x) => x === q), () => null)];
    const r = { choices: [], attempts: [], ...q.data };
    const f = (path, show, more) => ui.f(r, path, show, { of: q.path0, ...more });
    f.of = q.path0;
    const began = fmt.date(r.time);
    const n = r.attempts_begun ?? r.attempts.length;
    const open = underWay(r);
    if (open && q.due === Infinity) q.due = performance.now() + OPEN_EVERY;
    const good = r.end === 'ok' && r.status >= 200 && r.status < 400;
    const level = open ? 'open' : good ? 'ok' : r.end === 'client gone' ? 'warn' : 'bad';
    return [
        ui.link(back, '‹ ' + t('all.requests')),
        head(ui.copyButton(r.id ?? id, t('rq.copyid')), ui.copyButton(() => JSON.stringify(q.data, null, 2), t('rq.copyjson'))),
        q.error ? ui.errorPart(q.error, () => refresh((x) => x === q)) : null,
        h('p', { class: 'sentence ' + level },
            h('span.mark', { 'aria-hidden': 'true' }, { open: '◌', ok: '✓', warn: '◆', bad: '▲' }[level]),
            h('span', null, ui.dots(ui.time(r.time, { form: () => exact(began), path: q.path0 + '#time' }),
                h('b', null, f('end', () => fmt.ended(r), { title: endTip(r) })), t('rq.attempts', { n }), f('total_ms', fmt.dur), r.from ? h('span.dim', null, t('rq.from', { x: r.from })) : null))),
        ui.section(t('rq.timeline'), null, timeline(r, f)),
        h('div.split', null, ui.section(t('rq.sums'), null, sums(r, f)), ui.section(t('rq.facts'), null, facts(r, f))),
    ];
}
