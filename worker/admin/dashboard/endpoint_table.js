// The columns of an endpoint, as Overview shows some and Endpoints all of them.
import { h } from './dom.js';
import { t } from './i18n.js';
import * as fmt from './format.js';
import * as ui from './parts.js';

// What is said beside the state: how long yet.
export function stateMore(e, i) {
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

const COST = 'usage?by=endpoint&since=24h';

// All columns; rows are {e, i}: an endpoint and its place in the overview. `costs`: the reply to usage by endpoint, if there is one.
export function columns(costs) {
    const f = (r, path, show, more) => ui.f({ endpoints: { [r.i]: r.e } }, `endpoints.${r.i}.${path}`, show, more);
    const cost = (r) => {
        const k = costs?.keys.findIndex((x) => x.key === r.e.name) ?? -1;
        return k < 0 ? null : k;
    };
    return [
        { id: 'name', head: t('col.name'), tip: t('tip.name'), sort: (r) => r.e.name,
            cell: (r) => ui.link(ui.endpointHref(r.e.name), f(r, 'name', String, { tag: 'bdi' })) },
        { id: 'state', head: t('col.state'), tip: t('tip.state'), sort: (r) => ui.badness(r.e.state), cls: 'nowrap',
            cell: (r) => ui.state(r.e.state, `endpoints.${r.i}.state`, stateMore(r.e, r.i)) },
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
            cell: (r) => (cost(r) === null ? ui.time(null) : ui.cost(costs, 'keys.' + cost(r), COST)) },
    ];
}

export const costPath = COST;

// The worst first, at most eight.
export function shortTable(ctx) {
    const rows = (ctx.o.endpoints ?? []).map((e, i) => ({ e, i })).sort((a, b) => ui.badness(a.e.state) - ui.badness(b.e.state) || a.i - b.i);
    if (!rows.length) return ui.empty(t('no.endpoints'));
    const cols = columns(null).filter((c) => ['name', 'state', 'open', 'success', 'first', 'tokens', 'bound'].includes(c.id));
    return ui.table({ id: 'short', caption: t('nav.endpoints'), cols, rows: rows.slice(0, 8), key: (r) => r.e.name, open: (r) => ui.endpointHref(r.e.name) });
}
