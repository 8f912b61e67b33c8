// Charts in SVG: stacked bars or lines over time, with one cursor for pointer and keys, and the same as a table.
import { h } from './dom.js';
import { t } from './i18n.js';
import * as fmt from './format.js';

const HEIGHT = 200;
const LEFT = 48;
const TOP = 20;
const BOTTOM = 20;
const DASHES = [null, '6 3', '2 3', '8 3 2 3', '1 2', '10 4', '4 2', '6 2 2 2 2 2', '3 6'];
const kept = {}; // what a chart keeps over drawings, by its id: width, cursor, whether its table is open

// The values of a usage or speed reply, one for each of its times: get(bucket), of one key where given. Where there is no bucket
// it is `zero`, and a member that a bucket lacks is 0; before `oldest` (an ISO time) and in the future nothing is known: null.
export function spread(d, get, { key, zero = 0, oldest } = {}) {
    const start = oldest ? fmt.date(oldest).getTime() / 1000 : -Infinity;
    const by = new Map();
    for (const b of d.buckets) if (key === undefined || b.key === key) by.set(b.time, (by.get(b.time) ?? 0) + (get(b) ?? 0));
    return d.times.map((time) => (by.has(time) ? by.get(time) : time + d.step <= start ? null : zero));
}

// Bars without axes; what is not known is left out.
export function spark(values, label) {
    const max = Math.max(...values.map((v) => v ?? 0), 1e-9);
    const w = 240 / values.length;
    return h('svg.spark', { viewBox: '0 0 240 24', preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
        h('title', null, label),
        values.map((v, i) => (v === null ? null : h('rect', { class: 'f0', x: i * w, width: w * 0.75, y: 24 - Math.max(1, (v / max) * 23), height: Math.max(1, (v / max) * 23) }))));
}

// whole: what is counted has no halves.
function ticks(max, whole) {
    if (!max) return [0];
    const raw = max / 4;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = whole && raw < 1 ? 1 : [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999 && (!whole || Number.isInteger(s)));
    const out = [];
    for (let v = 0; v < max + step * 0.999; v += step) out.push(v);
    return out;
}

// The times that are written below: midnights and round hours, as many as fit.
function labels(o, width) {
    const room = Math.max(2, Math.floor(width / 64));
    const span = o.times.length * o.step;
    const every = [900, 3600, 10800, 21600, 43200, 86400, 172800, 259200, 604800].find((s) => s >= o.step && span / s <= room) ?? Math.ceil(span / room / 604800) * 604800;
    return o.times.flatMap((s, i) => {
        const d = new Date(s * 1000);
        const local = s - d.getTimezoneOffset() * 60;
        if (local % every) return [];
        return [[i, every >= 86400 || local % 86400 === 0 ? fmt.day(d) : fmt.hhmm(d)]];
    });
}

const slot = (o, i) => {
    const at = (s) => new Date((o.times[i] + s) * 1000);
    if (o.step >= 86400) return fmt.day(at(0));
    // An hour that comes twice, or that is missing, is not told by the clock alone.
    const changes = at(-3600).getTimezoneOffset() !== at(o.step + 3599).getTimezoneOffset();
    const form = changes ? fmt.hhmmZone : fmt.hhmm;
    return `${fmt.day(at(0))}, ${form(at(0))}–${form(at(o.step))}`;
};
const running = (o, i) => o.times[i] + o.step > Date.now() / 1000;

function marks(o, x, w, y) {
    if (o.kind === 'lines') {
        return o.series.map((s, k) => {
            let path = '';
            s.values.forEach((v, i) => {
                if (v === null) return;
                const alone = s.values[i - 1] == null && s.values[i + 1] == null;
                path += `${s.values[i - 1] == null ? 'M' : 'L'}${(x(i) + w / 2).toFixed(1)} ${y(v).toFixed(1)}${alone ? 'h.1' : ''}`;
            });
            return h('path', { key: s.id, class: 'l' + (s.cls ?? k), d: path, fill: 'none', 'stroke-width': 2, 'stroke-linecap': 'round', 'stroke-dasharray': DASHES[k] });
        });
    }
    const gap = w > 6 ? 2 : w > 3 ? 1 : 0.5;
    return o.times.map((_, i) => {
        let sum = 0;
        const bars = o.series.map((s, k) => {
            const v = s.values[i];
            if (!v) return null;
            const top = y(sum + v);
            const r = h('rect', { key: s.id, class: 'f' + (s.cls ?? k), x: x(i) + gap / 2, width: w - gap, y: top, height: Math.max(0.5, y(sum) - top) });
            sum += v;
            return r;
        });
        if (sum && running(o, i)) bars.push(h('rect', { key: 'run', fill: 'url(#hatch)', x: x(i) + gap / 2, width: w - gap, y: y(sum), height: y(0) - y(sum) }));
        return bars;
    });
}

const keyOf = (s, k, lines) => (lines
    ? h('svg.key-line', { width: 18, height: 10, 'aria-hidden': 'true' }, h('path', { class: 'l' + (s.cls ?? k), d: 'M1 5h16', 'stroke-width': 2, 'stroke-dasharray': DASHES[k] }))
    : h('span', { class: 'key f' + (s.cls ?? k), 'aria-hidden': 'true' }));

// '≥': the least that it is, a part of it is not known.
const valueAt = (o, s, i) => (s.values[i] === null ? fmt.NONE : (s.least?.[i] ? '≥ ' : '') + o.show(s.values[i]));

const textAt = (o, i) => [slot(o, i) + (running(o, i) ? ` (${t('bucket.running')})` : ''), ...o.series.map((s) => `${s.label} ${valueAt(o, s, i)}`)].join(' · ');

// chart({id, title, unit, times, step, series: [{id, label, values, cls, least}], kind: 'bars' or 'lines', show(value), redraw}).
// A value of null is a gap.
export function chart(o) {
    const state = (kept[o.id] ??= { width: 0, at: null });
    const n = o.times.length;
    if (state.at !== null && state.at >= n) state.at = n - 1;
    const width = Math.max(state.width - LEFT - 4, 10);
    const sums = o.times.map((_, i) => (o.kind === 'lines' ? Math.max(...o.series.map((s) => s.values[i] ?? 0)) : o.series.reduce((a, s) => a + (s.values[i] ?? 0), 0)));
    const max = Math.max(...sums, 0);
    const scale = ticks(max, o.show(0.25) === o.show(0));
    const top = scale[scale.length - 1] || 1;
    const w = width / n;
    const x = (i) => LEFT + i * w;
    const y = (v) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - v / top);
    const unknown = o.times.map((_, i) => o.series.every((s) => s.values[i] === null));
    const move = (to) => {
        to = Math.max(0, Math.min(n - 1, to));
        if (to === state.at) return;
        state.at = to;
        o.redraw();
    };
    const point = (e) => move(Math.floor((e.clientX - e.currentTarget.getBoundingClientRect().left - LEFT) / w));
    const key = (e) => {
        const at = state.at ?? n;
        const to = { ArrowLeft: at - 1, ArrowRight: state.at === null ? 0 : at + 1, Home: 0, End: n - 1 }[e.key];
        if (to === undefined) return;
        e.preventDefault();
        move(to);
    };
    const leave = () => {
        state.at = null;
        o.redraw();
    };
    const svg = h('svg', { height: HEIGHT, role: 'slider', tabindex: '0', 'aria-label': t('chart.help', o), 'aria-valuemin': 0, 'aria-valuemax': n - 1,
        'aria-valuenow': state.at ?? n - 1, 'aria-valuetext': textAt(o, state.at ?? n - 1),
        onpointermove: point, onpointerdown: point, onpointerleave: (e) => e.pointerType === 'mouse' && leave(), onkeydown: key, onblur: leave },
    h('defs', null, h('pattern', { id: 'hatch', width: 5, height: 5, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' }, h('rect', { class: 'hatch', width: 2.5, height: 5 }))),
    h('text.unit', { x: 0, y: 10 }, o.unit),
    unknown.map((yes, i) => (yes ? h('rect', { class: 'unknown', x: x(i), width: w + 0.5, y: TOP, height: HEIGHT - TOP - BOTTOM }) : null)),
    scale.map((v) => [h('path', { class: v ? 'grid' : 'axis', d: `M${LEFT} ${y(v)}h${width}` }), h('text', { x: LEFT - 6, y: y(v) + 4, 'text-anchor': 'end' }, o.show(v))]),
    labels(o, width).map(([i, text]) => h('text', { x: Math.min(Math.max(x(i), LEFT), LEFT + width - 20), y: HEIGHT - 4, 'text-anchor': 'middle' }, text)),
    state.width ? marks(o, x, w, y) : null,
    state.at === null ? null : h('path', { class: 'cursor', d: `M${x(state.at) + w / 2} ${TOP}V${HEIGHT - BOTTOM}` }));
    return h('div.chart', { key: 'chart-' + o.id,
        init: (el) => new ResizeObserver(([e]) => {
            state.width = Math.floor(e.contentRect.width);
            o.redraw(true); // before the first picture
        }).observe(el) },
    svg,
    h('p.readout', null, state.at === null ? (max ? null : h('span.dim', null, t('chart.none'))) : h('b', null, slot(o, state.at), running(o, state.at) ? ` (${t('bucket.running')})` : ''),
        o.series.map((s, k) => h('span', null, keyOf(s, k, o.kind === 'lines'), s.label, state.at === null ? null : [' ', h('b', null, valueAt(o, s, state.at))]))),
    h('details', { open: state.table, ontoggle: (e) => { if (state.table !== e.currentTarget.open) { state.table = e.currentTarget.open; o.redraw(); } } },
        h('summary', null, t('as.table')), state.table ? asTable(o) : null));
}

const asTable = (o) => h('div.table-wrap', null, h('table.list', null,
    h('caption.vh', null, `${o.title}, ${o.unit}`),
    h('thead', null, h('tr', null, h('th', { scope: 'col' }, t('col.time')), o.series.map((s) => h('th.num', { scope: 'col' }, s.label)))),
    h('tbody', null, o.times.map((time, i) => h('tr', { key: time }, h('th', { scope: 'row', 'data-label': t('col.time') }, slot(o, i), running(o, i) ? ` (${t('bucket.running')})` : ''),
        o.series.map((s) => h('td.num', { 'data-label': s.label }, valueAt(o, s, i))))))));
