// Events: state changes, operators' actions, reloads, upgrades, deaths of workers.
import { h } from './dom.js';
import { t } from './i18n.js';
import { query, refresh } from './api.js';
import * as ui from './parts.js';
import { pager } from './pager.js';
import { behind } from './requests.js';

const EVERY = 5000;
const list = pager('events', 'k');

const columns = (f) => [
    { id: 'time', head: t('col.time'), tip: t('tip.rq.time'), cls: 'nowrap', cell: (x) => ui.time(x.r.time, { path: `${x.of}#events.${x.i}.time` }) },
    { id: 'kind', head: t('col.kind'), tip: t('tip.ev.kind'), cell: (x) => f(x, 'kind', { tag: 'code' }) },
    { id: 'endpoint', head: t('col.endpoint'), tip: t('word.endpoint.text'), cell: (x) => (x.r.endpoint ? ui.link(ui.endpointHref(x.r.endpoint), f(x, 'endpoint', { tag: 'bdi' })) : '') },
    { id: 'text', head: t('col.text'), tip: t('tip.ev.text'), cls: 'grow', cell: (x) => f(x, 'text', { tag: 'code' }) },
    { id: 'who', head: t('col.who'), tip: t('tip.ev.who'), cell: (x) => (x.r.who ? f(x, 'who', { tag: 'bdi' }) : '') },
];

export default {
    title: () => t('nav.events'),
    view(ctx) {
        const { o } = ctx;
        const e = ctx.route.params.endpoint;
        const q = query('events?limit=50' + (e ? '&endpoint=' + encodeURIComponent(e) : ''), EVERY, 'events-page');
        const rows = list.rows(q);
        const f = (x, path, more) => ui.f(x.doc, `events.${x.i}.${path}`, String, { of: x.of, ...more });
        const names = [...new Set([...(o.endpoints ?? []).map((x) => x.name), e])].filter(Boolean);
        return [
            ui.pageHead(t('nav.events'), list.news(ctx.redraw)),
            h('div.filters', null, ui.select(t('col.endpoint'), e ?? '', [['', t('any')], ...names.map((n) => [n, n])], (v) => ctx.set({ endpoint: v || null }))),
            h('section.part', { 'aria-label': t('nav.events') },
                q.error ? ui.errorPart(q.error, () => refresh((x) => x === q)) : null,
                !list.ready(q) ? (q.error ? null : ui.skeleton(400)) : !rows.length ? ui.empty(t('no.events'))
                    : ui.table({ id: 'events-all', caption: t('nav.events'), cls: q.error ? 'stale' : '', cols: columns(f), rows, key: (x) => String(x.r.k) }),
                list.end(ctx.redraw),
                h('p.foot', null, ui.dots(rows.length ? t('ev.shown', { n: rows.length }) : null, (o.history?.state ?? 'off') === 'off' ? t('ev.memory') : null, behind(o),
                    rows[0]?.doc.oldest ? [t('rq.oldest'), ' ', ui.time(rows[0].doc.oldest, { path: rows[0].of + '#oldest' })] : null))),
        ];
    },
};
