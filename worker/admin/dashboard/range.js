// A range of time in the fragment: `since` a span back from now (24h, 7d) or Unix seconds, `until` Unix seconds.
import { h } from './dom.js';
import { t } from './i18n.js';

const pad = (n) => String(n).padStart(2, '0');

// Unix seconds as a field of local date and time has them.
export function local(sec) {
    const d = new Date(sec * 1000);
    return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())}T${pad(d.getHours())}:${pad(d.getMinutes())}`;
}

const SPAN = { m: 60, h: 3600, d: 86400 };

// The beginning in Unix seconds; null: there is none.
export function start(since, now = Date.now() / 1000) {
    if (!since) return null;
    if (since === 'month') return new Date(new Date(now * 1000).getFullYear(), new Date(now * 1000).getMonth(), 1).getTime() / 1000;
    const m = /^(\d+)([mhd])$/.exec(since);
    return m ? Math.floor(now - m[1] * SPAN[m[2]]) : Number(since) || null;
}

// A choice of spans, and two fields for any other range. spans: [[value, text]…]; set({since, until}).
export function rangeFields(p, spans, set) {
    const own = Boolean(p.until) || /^\d+$/.test(p.since ?? '') || p.since === 'own';
    const field = (name, label) => h('label.field', { key: name }, h('span', null, label),
        h('input', { type: 'datetime-local', name, value: /^\d+$/.test(p[name] ?? '') ? local(Number(p[name])) : '',
            onchange: (e) => set({ [name]: e.currentTarget.value ? String(Math.floor(new Date(e.currentTarget.value).getTime() / 1000)) : null }) }));
    return [
        h('label.field', { key: 'span' }, h('span', null, t('range')), h('select', { name: 'range', value: own ? 'own' : p.since ?? spans[0][0],
            onchange: (e) => {
                const v = e.currentTarget.value;
                set({ since: v === 'own' ? String(Math.floor(start(p.since) ?? Date.now() / 1000 - 86400)) : v || null, until: null });
            } }, [...spans, ['own', t('range.own')]].map(([v, text]) => h('option', { value: v }, text)))),
        own ? [field('since', t('range.from')), field('until', t('range.to'))] : null,
    ];
}
