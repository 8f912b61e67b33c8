// What pages are made of: marked values, states, tables, filters, menus, dialogs, messages.
import { h } from './dom.js';
import { t, has } from './i18n.js';
import * as fmt from './format.js';

let redraw = () => {};
export const useRedraw = (f) => (redraw = f);

// ---- values

// The value at a path ('endpoints.0.open_requests') of a document.
export const at = (doc, path) => path.split('.').reduce((o, k) => (o === null || o === undefined ? undefined : o[k]), doc);

// A value as shown, marked with the field it comes from: `path` in the overview, or 'ADDRESS#path' in the reply to a GET of
// api/v1/ADDRESS. `show` formats it, `more.title` says it exactly. What was not told is a dash that says so.
export function f(doc, path, show = fmt.num, more = {}) {
    const address = more.of ? more.of + '#' : '';
    const v = at(doc, path);
    if (v === null || v === undefined) return h(more.tag ?? 'span', { 'data-f': address + path, title: more.absent ?? t('value.none') }, fmt.NONE);
    const text = show(v);
    const title = more.title ?? (typeof v === 'number' && v >= 1000 && text !== String(v) ? fmt.num(v, 6) : typeof v === 'number' && !Number.isInteger(v) ? String(v) : null);
    return h(more.tag ?? 'span', { 'data-f': address + path, 'data-v': String(v), title, class: more.cls }, text);
}

// What is worked out of fields, marked with where they are: paths in the overview, or in the reply to a GET of `of`.
export const from = (paths, text, { of, ...more } = {}) =>
    h('span', { ...more, 'data-from': [].concat(paths).map((p) => (of ? of + '#' : '') + p).join(' ') }, text);

export const MARKS = {
    healthy: '●', degraded: '◐', cooling: '◷', draining: '◇', unhealthy: '▲', circuit_open: '✕', queued: '■', disabled: '○',
};
export const STATES = Object.keys(MARKS);
// From what stops most to what stops least.
const WORST = ['queued', 'circuit_open', 'disabled', 'unhealthy', 'cooling', 'degraded', 'draining', 'healthy'];
// Whether a request that is bound nowhere may go there now, as /readyz counts it: a pause by QCC's own word only puts it last.
export const usable = (e) => !e.disabled_by && !e.queued && !e.draining && !(e.cooldown_s > 0 && e.cooldown_own_word)
    && (e.breaker?.state ?? 'closed') === 'closed' && !['disabled', 'queued', 'draining', 'circuit_open'].includes(e.state);
export const badness = (state) => WORST.indexOf(state);

// A state: shape, word and colour; `more` is what is said beside it. Its word is QCC's own, explained in the tooltip.
export const state = (word, path, more) =>
    h('span', { class: 'state st-' + word, title: has('state.' + word) ? t('state.' + word) : null },
        h('span.mark', { 'aria-hidden': 'true' }, MARKS[word] ?? '?'),
        h('code', { 'data-f': path ?? null, 'data-v': path ? word : null }, word === 'circuit_open' ? 'circuit open' : word), more ? [' ', more] : null);

// A word of QCC's own (a class, a reason), with its explanation where there is one.
export const word = (w, kind, path) => (w === null || w === undefined || w === ''
    ? h('span', { title: t('value.none') }, fmt.NONE)
    : h('code', { title: has(kind + '.' + w) ? t(kind + '.' + w) : null, 'data-f': path ?? null, 'data-v': path ? w : null }, w));

// A time in the browser's zone, UTC in the tooltip. `form`: how (fmt.when).
export function time(x, { form = fmt.when, path = null, ago = false } = {}) {
    const d = fmt.date(x);
    if (!d) return h('span', { title: t('value.none'), 'data-f': path }, fmt.NONE);
    const since = Date.now() - d.getTime();
    return h('time', { datetime: d.toISOString(), title: `${fmt.full(d)} · ${fmt.utc(d)}`, 'data-f': path, 'data-v': path ? String(x) : null },
        form(d), ago && since >= 0 ? ` (${t('ago', { x: fmt.span(since) })})` : '');
}

// Costs of a part of a usage reply: '≥' where models had no price, a dash where nothing is known.
export function cost(doc, path, of) {
    const p = path ? path + '.' : '';
    const part = path ? at(doc, path) : doc;
    if (!part) return h('span', { title: t('value.none') }, fmt.NONE);
    if (part.cost_usd !== null && part.cost_usd !== undefined) {
        const low = part.untold > 0;
        if (low && !fmt.tokenSum(part.tokens)) return h('span', { title: t('cost.untold', { n: part.untold }) }, fmt.NONE);
        return h('span', { title: low ? t('cost.untold', { n: part.untold }) : '$' + fmt.num(part.cost_usd, 6) },
            low ? '≥ ' : '', f(doc, p + 'cost_usd', fmt.money, { of, title: '$' + fmt.num(part.cost_usd, 6) }));
    }
    const why = t('cost.unpriced', { n: part.unpriced?.length ?? 0, models: (part.unpriced || []).join(', ') });
    if (!(part.priced_usd > 0)) return h('span', { title: why, 'data-f': (of ? of + '#' : '') + p + 'cost_usd' }, fmt.NONE);
    return h('span', { title: why }, '≥ ', f(doc, p + 'priced_usd', fmt.money, { of, title: why }));
}

export const tokens = (doc, path, more) => f(doc, path, fmt.compact, more);

// ---- layout

export const pageHead = (title, ...tools) =>
    h('div.page-head', null, h('h1', null, title), h('div.tools', null, tools));

export const section = (title, tools, ...content) =>
    h('section.part', { 'aria-label': typeof title === 'string' ? title : null },
        h('div.part-head', null, h('h2', null, title), h('div.tools', null, tools)), content);

// A busy button keeps the focus, so it is not `disabled`; a click does nothing.
export const button = (label, onclick, { busy, ...more } = {}) =>
    h('button', { type: 'button', ...more, onclick: busy ? null : onclick, 'aria-busy': busy ? 'true' : null, 'aria-disabled': busy ? 'true' : null }, label);

export const link = (href, label, more) => h('a', { href, ...more }, label);
export const endpointHref = (name) => '#/endpoints/' + encodeURIComponent(name);

const dot = () => h('span', { 'aria-hidden': 'true' }, '·');
export const dots = (...list) => list.filter(Boolean).flatMap((x, i) => (i ? [' ', dot(), ' ', x] : [x]));

// ---- states of a part

export const skeleton = (height) => h('div.skeleton', { style: { height: height + 'px' }, 'aria-hidden': 'true' });

export const empty = (text, ...more) => h('div.empty', null, h('p', null, text), more);

export const errorPart = (e, again) =>
    h('div.error', { role: 'group' }, h('p', null, h('span.mark', { 'aria-hidden': 'true' }, '▲ '), errorText(e)),
        button(t('again'), again, { class: 'small' }));

export const errorText = (e) =>
    e.status === 0 ? t(e.message === 'timeout' ? 'error.timeout' : 'error.network') : e.message;

// What a query shows: its data by `show`, else a skeleton, or the error of this part alone. `live.refresh` is passed as again.
export function loaded(q, height, again, show) {
    if (q.error) return [q.data ? null : errorOrOff(q.error, () => again(q)), q.data ? [errorPart(q.error, () => again(q)), h('div.stale', null, show(q.data))] : null];
    if (!q.data) return skeleton(height);
    return show(q.data);
}

const errorOrOff = (e, again) => (e.status === 409 ? historyOff(e.message) : errorPart(e, again));

export const historyOff = (why) => h('div.empty', null, h('p', null, t('history.off')), why ? h('p.dim', null, h('code', null, why)) : null);

// ---- copying and downloading

export function copyButton(text, label = t('copy')) {
    return button(label, async () => {
        const value = typeof text === 'function' ? text() : text;
        try {
            await navigator.clipboard.writeText(value);
            say(t('copied'));
        } catch {
            // Without TLS there is no clipboard: the text is shown selected instead.
            dialog({ title: label, text: t('copy.byhand'), body: () => h('textarea.copy', { readonly: true, rows: '4', 'aria-label': label, init: (el) => setTimeout(() => el.select()) }, value), buttons: [{ label: t('close'), value: true }] });
        }
    }, { class: 'small' });
}

export function download(name, type, text) {
    const url = URL.createObjectURL(new Blob([text], { type }));
    const a = document.createElement('a');
    a.href = url;
    a.download = name;
    a.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
}

// ---- messages

let toasts = [];
let toastId = 0;

const TOASTS = 5; // successes in view
const ERRORS = 50;

// Says something: shown for a while, read out; an error stays until it is closed.
export function say(text, kind = 'ok') {
    const id = ++toastId;
    toasts.push({ id, text, kind });
    const same = toasts.filter((x) => x.kind === kind);
    if (same.length > (kind === 'error' ? ERRORS : TOASTS)) toasts.splice(toasts.indexOf(same[0]), 1);
    // Each is a paragraph of its own: what was said just before is read out all the same.
    const p = document.createElement('p');
    p.textContent = text;
    document.getElementById('said').append(p);
    setTimeout(() => p.remove(), 10000);
    if (kind !== 'error') setTimeout(() => unsay(id), 5000);
    redraw();
}

export function unsay(id) {
    toasts = toasts.filter((x) => x.id !== id);
    redraw();
}

export const toastsView = () =>
    h('div.toasts', null, toasts.map((x) => h('div', { key: x.id, class: 'toast ' + x.kind },
        h('span.mark', { 'aria-hidden': 'true' }, x.kind === 'error' ? '▲' : '✓'), h('span', null, x.text),
        button('×', () => unsay(x.id), { class: 'icon', 'aria-label': t('close') }))));

// ---- dialogs

const dialogs = [];

// dialog({title, text, body, buttons: [{label, value, cls}]}): a promise of the value of the button, null when it was left.
export function dialog(d) {
    return new Promise((done) => {
        dialogs.push({ ...d, id: ++toastId, done, from: document.activeElement });
        redraw();
    });
}

export const confirm = (title, text, label, danger) =>
    dialog({ title, text, buttons: [{ label: t('cancel'), value: null }, { label, value: true, cls: danger ? 'danger' : 'primary' }] });

export const dialogOpen = () => dialogs.length > 0;

function endDialog(d, value) {
    const i = dialogs.indexOf(d);
    if (i < 0) return;
    dialogs.splice(i, 1);
    d.done(value);
    redraw();
    if (d.from?.isConnected) setTimeout(() => d.from.focus({ preventScroll: true }));
}

export const dialogsView = () => dialogs.map((d) =>
    h('dialog', { key: 'd' + d.id, class: d.cls, 'aria-labelledby': 'dt' + d.id,
        init: (el) => setTimeout(() => el.isConnected && el.showModal()),
        oncancel: (e) => (e.preventDefault(), endDialog(d, null)),
        onclick: (e) => e.target === e.currentTarget && endDialog(d, null) },
    h('div.dialog', null,
        h('h2', { id: 'dt' + d.id, tabindex: d.body ? '-1' : null, autofocus: Boolean(d.body) }, d.title),
        [typeof d.text === 'function' ? d.text() : d.text].flat().filter(Boolean).map((p) => h('p', null, p)),
        d.body ? d.body() : null,
        h('div.dialog-buttons', null, d.buttons.map((b, i) =>
            button(b.label, () => endDialog(d, b.value), { class: b.cls ?? '', autofocus: i === 0 && !d.body }))))));

// ---- menus: one at a time, outside of what is patched below it

let menu = null;

// Opens a menu below an element: items are {label, run, cls, disabled} or null for a line.
export function openMenu(anchor, label, items) {
    menu = { anchor, label, items, id: ++toastId };
    redraw();
}

function placeMenu(el, anchor) {
    const b = anchor.getBoundingClientRect();
    const m = el.getBoundingClientRect();
    const down = b.bottom + m.height + 8 < innerHeight || b.top < m.height + 8;
    el.style.left = Math.max(8, Math.min(b.right - m.width, innerWidth - m.width - 8)) + 'px';
    el.style.top = (down ? Math.min(b.bottom + 4, Math.max(8, innerHeight - m.height - 8)) : b.top - m.height - 4) + 'px';
}

function menuKey(e) {
    const all = [...e.currentTarget.querySelectorAll('[role=menuitem]:not([disabled])')];
    const i = all.indexOf(document.activeElement);
    const to = { ArrowDown: i + 1, ArrowUp: i - 1, Home: 0, End: all.length - 1 }[e.key];
    if (to !== undefined) {
        e.preventDefault();
        all[(to + all.length) % all.length]?.focus();
    } else if (e.key === 'Tab') {
        e.preventDefault();
        e.currentTarget.hidePopover();
    }
    e.stopPropagation();
}

export function menuView() {
    if (!menu) return null;
    const m = menu;
    return h('div.menu', { key: 'm' + m.id, popover: 'auto', role: 'menu', 'aria-label': m.label,
        init: (el) => setTimeout(() => {
            if (!el.isConnected) return;
            el.showPopover();
            placeMenu(el, m.anchor);
            el.querySelector('[role=menuitem]:not([disabled])')?.focus();
        }),
        onkeydown: menuKey,
        ontoggle: (e) => {
            if (e.newState !== 'closed') return;
            if (menu === m) menu = null;
            const stray = document.activeElement === document.body || e.currentTarget?.contains(document.activeElement);
            if (m.anchor.isConnected && stray) m.anchor.focus();
            redraw();
        } },
    m.items.map((x) => (x
        ? h('button', { type: 'button', role: 'menuitem', tabindex: '-1', class: x.cls, disabled: x.disabled ?? false,
            onclick: (e) => {
                e.currentTarget.closest('[popover]').hidePopover();
                m.anchor.focus();
                x.run();
            } }, x.label)
        : h('hr', { role: 'separator' }))));
}

// ---- tables

// The order of rows by a column: `sort` is 'id' or '-id'. Rows without a value come last either way.
export function sorted(rows, cols, sort) {
    const down = sort?.startsWith('-');
    const col = cols.find((c) => c.id === (down ? sort.slice(1) : sort));
    if (!col?.sort) return rows;
    const key = rows.map((r, i) => [col.sort(r), i, r]);
    const absent = (x) => x === null || x === undefined || Number.isNaN(x);
    key.sort(([a, i], [b, j]) => {
        if (absent(a) || absent(b)) return absent(a) - absent(b) || i - j;
        const c = typeof a === 'string' ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
        return (down ? -c : c) || i - j;
    });
    return key.map((k) => k[2]);
}

// table({id, caption, cols, rows, key, sort, onSort, select, onSelect, open, rowClass, total, menu}).
// cols: {id, head, tip, num, sort(row), cell(row), cls, label}: `head` is a text; where `sort` is given, the head sorts.
// memo(row): [object, stamp]: what it is made of; made anew only when these change, and of its cells those whose of(row) did.
// rows come as they are to be shown. select: a Set of keys, onSelect(key or null for all, yes). open(row): the address that Enter
// opens. On narrow screens each row is a card, its cells labelled.
export function table(o) {
    const { cols, rows, key } = o;
    const by = o.sort?.replace(/^-/, '');
    const head = (c) => {
        const dir = by === c.id ? (o.sort.startsWith('-') ? 'descending' : 'ascending') : null;
        const tip = c.tip ? { 'data-tip': c.tip, 'aria-description': c.tip } : {};
        return h('th', { key: c.id, scope: 'col', class: 'c-' + c.id + (c.num ? ' num' : '') + (c.cls ? ' ' + c.cls : ''), 'aria-sort': c.sort && o.onSort ? dir ?? 'none' : null },
            c.sort && o.onSort
                ? h('button.th', { type: 'button', ...tip, onclick: () => o.onSort(nextSort(c, o.sort)) }, c.head,
                    h('span.arrow', { 'aria-hidden': 'true' }, dir === 'descending' ? '↓' : dir ? '↑' : ''))
                : h('span.th', c.tip ? { tabindex: '0', ...tip } : null, c.head));
    };
    const all = o.select && rows.length > 0 && rows.every((r) => o.select.has(key(r)));
    const box = (label, checked, change, half) =>
        h('label.check', null, h('input', { type: 'checkbox', checked, indeterminate: half ?? false, 'aria-label': label, onchange: (e) => change(e.currentTarget.checked) }));
    return h('div.table-wrap', { key: o.id },
        o.onSort ? h('label.sort-by', null, t('sort.by'), ' ', h('select', { value: o.sort ?? '', onchange: (e) => o.onSort(e.currentTarget.value) },
            h('option', { value: '' }, t('sort.none')), cols.filter((c) => c.sort).flatMap((c) => [h('option', { value: c.id }, (c.label ?? c.head) + ' ↑'), h('option', { value: '-' + c.id }, (c.label ?? c.head) + ' ↓')]))) : null,
        // Columns of fixed widths: the browser need not look at each cell to place one.
        h('table', { class: 'list' + (rows.length > 60 ? ' many' : '') + (o.cls ? ' ' + o.cls : ''), 'data-nav': o.open ? '' : null },
            h('caption.vh', null, o.caption),
            h('thead', null, h('tr', null,
                o.select ? h('th.sel', { scope: 'col' }, box(t('select.all'), all, (yes) => o.onSelect(null, yes), !all && rows.some((r) => o.select.has(key(r))))) : null,
                cols.map(head))),
            h('tbody', null, rows.map((r) => row(r, o, box))),
            o.total ? h('tfoot', null, h('tr', null, o.select ? h('td') : null, cols.map((c) => h('td', { class: c.num ? 'num' : '' , 'data-label': c.label ?? c.head }, o.total(c))))) : null));
}

const nextSort = (c, sort) => {
    const first = c.num ? '-' + c.id : c.id;
    return sort === first ? (c.num ? c.id : '-' + c.id) : first;
};

const rowsKept = new WeakMap(); // what a row shows -> {stamp, v}

function row(r, o, box) {
    if (!o.memo) return rowOf(r, o, box);
    const [of, stamp] = o.memo(r);
    let kept = rowsKept.get(of);
    if (kept?.stamp !== stamp) {
        const cells = kept?.cells ?? new Map();
        rowsKept.set(of, (kept = { stamp, cells, v: rowOf(r, o, box, cells) }));
    }
    return kept.v;
}

// A cell of a kept row is made anew when what its column says it is made of (`of`) has changed.
function cellOf(r, c, i, kept) {
    const stamp = kept && c.of ? c.of(r) : undefined;
    const was = stamp === undefined ? null : kept.get(c.id);
    if (was?.stamp === stamp && stamp !== undefined) return was.v;
    const v = h(i === 0 ? 'th' : 'td', { key: c.id, scope: i === 0 ? 'row' : null, class: (c.num ? 'num ' : '') + (c.cls ?? ''), 'data-label': c.label ?? c.head }, whole(c.cell(r)));
    if (stamp !== undefined) kept.set(c.id, { stamp, v });
    return v;
}

function rowOf(r, o, box, kept) {
    const k = o.key(r);
    const picked = o.select?.has(k);
    return h('tr', { key: k, tabindex: o.open ? '-1' : null, class: (o.rowClass?.(r) ?? '') + (picked ? ' picked' : ''), 'data-row': o.open ? o.open(r) : null },
        o.select ? h('td.sel', null, box(t('select.one', { name: k }), picked, (yes) => o.onSelect(k, yes))) : null,
        o.cols.map((c, i) => cellOf(r, c, i, kept)));
}

// On a card the content of a cell is one thing beside its label.
const whole = (x) => (Array.isArray(x) ? h('span', null, x) : x);

// ---- filters

// A search field; set(text) is called as it is typed. The field keeps what is half typed over each update.
export const search = (label, value, set) =>
    h('input.search', { type: 'search', placeholder: label, 'aria-label': label, value, autocomplete: 'off', spellcheck: 'false',
        oninput: (e) => set(e.currentTarget.value) });

export const select = (label, value, options, set) =>
    h('label.field', null, h('span', null, label), h('select', { value, onchange: (e) => set(e.currentTarget.value) },
        options.map(([v, text]) => h('option', { value: v }, text))));

// Marks of a value that the page computes: of what (as data-f has it), how, and the value itself.
export const derived = (from, how, v) => ({ 'data-from': from, 'data-how': how, 'data-v': v === null ? null : String(v) });
