// Endpoints: all of them as a table, with filter, order and actions; the page of one is endpoint.js.
import { h } from './dom.js';
import { t, lang } from './i18n.js';
import { query } from './api.js';
import * as ui from './parts.js';
import { columns, COST } from './overview.js';
import { act, isBusy, menuItems, VERBS } from './actions.js';
import { view as onePage } from './endpoint.js';

const picked = new Set();
let back = '#/endpoints'; // the list that was left for one of them
const anchors = new Map(); // name -> the object by which the table keeps its row

function anchor(name) {
    if (!anchors.has(name)) anchors.set(name, {});
    return anchors.get(name);
}
const actionColumn = (ctx) => ({
    id: 'act', head: h('span.vh', null, t('col.actions')), label: t('col.actions'), cls: 'act',
    cell: (r) => ui.button('⋯', (e) => ui.openMenu(e.currentTarget, t('act.more', { name: r.e.name }), menuItems(ctx, r.e)),
        { class: 'icon', 'aria-label': t('act.more', { name: r.e.name }), 'aria-haspopup': 'menu', busy: isBusy(r.e.name) }),
});

function view(ctx) {
    if (ctx.route.parts[1] !== undefined) return onePage(ctx);
    back = ctx.here;
    const { params } = ctx.route;
    const costs = query(COST, 60000);
    const all = (ctx.o.endpoints ?? []).map((e, i) => ({ e, i }));
    const names = new Set(all.map((r) => r.e.name));
    for (const name of picked) if (!names.has(name)) picked.delete(name);
    const word = (params.q ?? '').toLowerCase();
    const match = all.filter(({ e }) => (!params.state || e.state === params.state) && (!word || `${e.name} ${e.base_url}`.toLowerCase().includes(word)));
    const off = costs.error?.status === 409;
    const cols = [...columns(costs.data, off), actionColumn(ctx)];
    const rows = ui.sorted(match, cols, params.sort);
    const count = (s) => all.filter(({ e }) => e.state === s).length;
    const chosen = [...picked];
    // In the head, so that the rows stay where they are.
    const tools = chosen.length
        ? h('div.picked-bar', { role: 'group', 'aria-label': t('col.actions') }, h('b', null, t('selected', { n: chosen.length })),
            VERBS.map((verb) => ui.button(t('act.' + verb), () => act(ctx, verb, chosen), { busy: chosen.some(isBusy) })),
            ui.button(t('clear'), () => (picked.clear(), ctx.redraw()), { class: 'ghost' }))
        : null;
    return [
        ui.pageHead(t('nav.endpoints'), tools),
        h('div.filters', null,
            ui.search(t('search.endpoints'), params.q ?? '', (q) => ctx.set({ q })),
            ui.select(t('filter.state'), params.state ?? '', [['', t('any')], ...ui.STATES.filter((s) => count(s) || s === params.state).map((s) => [s, `${ui.MARKS[s]} ${s.replace('_', ' ')} (${count(s)})`])], (state) => ctx.set({ state })),
            h('span.dim', null, t('shown', { n: rows.length, all: all.length })),
            off ? h('span.dim', null, `${t('col.cost')}: `, t('history.off')) : null),
        h('section.part', { 'aria-label': t('nav.endpoints') },
            all.length === 0 ? ui.empty(t('no.endpoints'))
                : rows.length === 0 ? ui.empty(t('none.match'), ui.button(t('filter.clear'), () => ctx.set({ q: null, state: null })))
                    : ui.table({
                        id: 'endpoints', cls: 'mid', caption: t('nav.endpoints'), cols, rows, key: (r) => r.e.name, sort: params.sort,
                        onSort: (sort) => ctx.set({ sort }), select: picked, open: (r) => ui.endpointHref(r.e.name),
                        memo: (r) => [anchor(r.e.name), JSON.stringify([r.e, r.i, picked.has(r.e.name), isBusy(r.e.name), costs.at, off, lang()])], rowClass: (r) => 'row-' + r.e.state,
                        onSelect: (name, yes) => {
                            for (const n of name === null ? rows.map((r) => r.e.name) : [name]) {
                                if (yes) picked.add(n);
                                else picked.delete(n);
                            }
                            ctx.redraw();
                        },
                    })),
    ];
}

export default {
    title: (route) => route.parts[1] ?? t('nav.endpoints'),
    view,
    key(e, ctx) {
        if (e.key !== 'Escape') return;
        if (ctx.route.parts[1] !== undefined) return void ctx.go(back);
        picked.clear();
        ctx.redraw();
    },
};
