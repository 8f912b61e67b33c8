// System: workers, the hosts that share state, the recorder and its history, listeners, versions.
import { h } from './dom.js';
import { t } from './i18n.js';
import * as fmt from './format.js';
import { query, refresh, call, headers } from './api.js';
import * as ui from './parts.js';

const EVERY = 10000;
const LOOK_MS = 500;
let check = null; // {busy, text, faults, bad}

// The whole file is read in the background; the reply tells how far.
async function begin(redraw) {
    check = { busy: true, text: t('sy.checking', { x: '0%' }) };
    redraw();
    try {
        let job = await call('POST', 'history/check');
        while (job.state === 'running') {
            check.text = t('sy.checking', { x: fmt.pct(job.total ? job.done / job.total : 0) });
            redraw();
            await new Promise((go) => setTimeout(go, LOOK_MS));
            job = await call('GET', 'history/job?id=' + job.job);
        }
        const text = job.whole ? t(job.rows_only ? 'sy.whole.rows' : 'sy.whole') : t('sy.damaged', { n: job.faults?.length ?? 0 });
        check = { busy: false, text: job.state === 'failed' ? job.why ?? job.error ?? job.state : text, faults: job.faults ?? [], bad: !job.whole };
    } catch (e) {
        check = { busy: false, text: ui.errorText(e), faults: [], bad: true };
    }
    ui.say(check.text, check.bad ? 'error' : 'ok');
    redraw();
}

// Words that others have, too; else sy.* and tip.sy.*.
const HEADS = { state: 'col.state', generation: 'word.generation', requests: 'col.requests', requests_open: 'col.open' };
const TIPS = { generation: 'word.generation.text', requests: 'sy.started', age_s: 'sy.started' };

function workers(o) {
    const list = o.workers ?? [];
    const f = (x, path, show, more) => ui.f(o, `workers.${x.i}.${path}`, show, more);
    const col = (path, show, more = {}) => ({ id: path, head: t(HEADS[path] ?? 'sy.' + path), tip: t(TIPS[path] ?? 'tip.sy.' + path), num: true, cell: (x) => f(x, path, show, { title: null }), ...more });
    const cols = [
        col('pid', String, { num: false }),
        col('state', String, { num: false, cell: (x) => f(x, 'state', String, { tag: 'code' }) }),
        col('generation'), col('connections'), col('requests_open'), col('requests'), col('buffered_bytes', fmt.bytes),
        col('memory_bytes', fmt.bytes), col('failures'), col('age_s', (s) => fmt.span(s * 1000)),
    ];
    return list.length ? ui.table({ id: 'workers', caption: t('sy.workers'), cls: 'broad', cols, rows: list.map((w, i) => ({ w, i })), key: (x) => String(x.w.pid) }) : ui.empty(t('sy.noworkers'));
}

// A plain link cannot send the token: with one, the text is fetched and shown here.
async function openText(e, path) {
    if (!headers().authorization || e.ctrlKey || e.metaKey) return;
    e.preventDefault();
    try {
        const r = await fetch(path, { headers: headers(), cache: 'no-store', redirect: 'error' });
        const text = await r.text();
        ui.dialog({ title: '/' + path, cls: 'wide', body: () => h('pre.code', { tabindex: '0' }, text), buttons: [{ label: t('close'), value: true }] });
    } catch {
        ui.say(t('error.network'), 'error');
    }
}

const textLink = (path) => ui.link(path, '/' + path, { onclick: (e) => openText(e, path) });

const rows = (list) => h('dl.facts', null, list.filter(Boolean).map(([label, ...x]) => [h('dt', null, label), h('dd', null, x)]));

function history(d, of) {
    const f = (path, show, more) => ui.f(d, path, show, { of, title: null, ...more });
    const time = (path) => ui.time(d[path], { path: `${of}#${path}`, ago: true });
    const keep = (path) => f('retention.' + path, (s) => (s ? fmt.span(s * 1000) : t('sy.forever')));
    return rows([
        [t('col.state'), f('state', String, { tag: 'code' }), d.why ? [' ', h('span.dim', null, f('why', String))] : null],
        d.state === 'off' ? null : [t('cf.file'), f('path', String, { tag: 'code' })],
        d.state === 'off' ? null : [t('sy.size'), f('size_bytes', fmt.bytes), ' · ', f('requests', fmt.num), ' ', t('sy.rows'), ' · ', f('free_bytes', fmt.bytes), ' ', t('sy.free')],
        d.state === 'off' ? null : [t('sy.span'), time('oldest'), ' – ', time('newest')],
        d.state === 'off' ? null : [t('sy.behind'), f('behind_ms', fmt.dur), ' · ', f('dropped'), ' ', t('sy.dropped')],
        d.retention ? [t('sy.keep'), t('sy.keep.requests'), ' ', keep('keep_requests_s'), ' · ', t('sy.keep.usage'), ' ', keep('keep_usage_s'), ' · ', t('sy.max'), ' ', f('retention.max_size_bytes', fmt.bytes), ' · ', f('retention.state', String, { tag: 'code' })] : null,
        d.last_error ? [t('sy.error'), h('span.bad', null, f('last_error', String)), ' ', time('last_error_at')] : null,
    ]);
}

// The hosts that share state, and the engine between them.
function cluster(d, of) {
    const f = (path, show, more) => ui.f(d, path, show, { of, title: null, ...more });
    const self = d.hosts.find((x) => x.self);
    const col = (path, head, tip, show, more) => ({ id: path, head, tip, num: true, cell: (x) => f(`hosts.${x.i}.${path}`, show), ...more });
    const name = (x) => [f(`hosts.${x.i}.name`, String), ' ', f(`hosts.${x.i}.version`, String, { cls: 'dim' }), x.w.self ? [' ', h('span.dim', null, t('sy.self'))] : null];
    const digest = (x) => [f(`hosts.${x.i}.digest`, String, { tag: 'code' }), self && x.w.digest !== self.digest ? [' ', h('span.bad', null, t('sy.other'))] : null];
    return [
        rows([
            [t('col.state'), f('state', String, { tag: 'code' }), ' ', ui.time(d.since, { path: of + '#since', ago: true }), d.reason ? [' ', h('span.dim', null, f('reason', String))] : null],
            ['Redis', f('engine.url', String, { tag: 'code' }), ' ', f('engine.version', String), ' · ', f('engine.maxmemory_policy', String, { tag: 'code', cls: d.engine.maxmemory_policy === 'noeviction' ? null : 'bad' })],
            [t('sy.rtt'), 'p50 ', f('rtt_ms.p50', fmt.dur), ' · p99 ', f('rtt_ms.p99', fmt.dur)],
            [t('sy.behind'), f('log.lag_ms', fmt.dur), ' · ', f('queue.bytes', fmt.bytes)],
        ]),
        ui.table({ id: 'hosts', caption: t('sy.hosts'), cols: [
            col('name', t('sy.hosts'), t('tip.sy.hosts'), String, { num: false, cell: name }),
            col('beat_ms', t('sy.beat'), t('tip.sy.beat'), fmt.dur),
            col('digest', t('nav.config'), t('tip.sy.digest'), String, { num: false, cell: digest }),
            col('bindings', t('word.binding'), t('word.binding.text')),
        ], rows: d.hosts.map((w, i) => ({ w, i })), key: (x) => x.w.id }),
    ];
}

const recorder = (d, of) => rows([
    ['pid', ui.f(d, 'pid', (x) => (x > 0 ? String(x) : fmt.NONE), { of, title: null })],
    [t('sy.memory_bytes'), ui.f(d, 'memory_bytes', fmt.bytes, { of, title: null })],
    [t('sy.age_s'), ui.f(d, 'age_s', (s) => fmt.span(s * 1000), { of, title: null })],
    [t('sy.stored'), ui.f(d, 'stored', fmt.num, { of }), ' · ', ui.f(d, 'commits', fmt.num, { of }), ' ', t('sy.commits')],
    [t('sy.failures'), ui.f(d, 'restarts', fmt.num, { of })],
]);

export default {
    title: () => t('nav.system'),
    view(ctx) {
        const { o } = ctx;
        const q = query('history', EVERY);
        const off = (q.data?.state ?? o.history?.state) === 'off';
        const status = query('status', 60000);
        const on = (status.data?.cluster ?? 'off') !== 'off' ? query('cluster', 5000) : null;
        const again = () => refresh((x) => x === q || x === on);
        const libraries = Object.keys(status.data?.libraries ?? {});
        return [
            ui.pageHead(t('nav.system')),
            ui.section(t('sy.workers'), null, workers(o)),
            on ? ui.section(t('sy.hosts'), null, ui.loaded(on, 160, again, (d) => (d.enabled ? cluster(d, on.path0) : null))) : null,
            h('div.split', null,
                ui.section(t('sy.history'), off ? null : ui.button(t('sy.check'), () => begin(ctx.redraw), { busy: check?.busy ?? false, id: 'check' }),
                    ui.loaded(q, 160, again, (d) => (off ? [h('div.empty', null, h('p', null, t('history.off')), d.why ? h('p.dim', null, ui.f(d, 'why', String, { of: q.path0 })) : null)] : history(d, q.path0))),
                    check ? h('div', { class: check.bad ? 'error' : 'note', id: 'checked' }, h('p', null, check.text), check.faults?.length ? [h('ul', null, check.faults.map((x) => h('li', null, h('code', null, x)))), ui.copyButton(check.faults.join('\n'))] : null) : null),
                ui.section(t('sy.recorder'), null, ui.loaded(q, 160, again, (d) => (off ? ui.empty(t('history.off')) : recorder(d, q.path0)))),
                ui.section(t('sy.listeners'), null, rows((o.listeners ?? []).map((l, i) => [ui.f(o, `listeners.${i}.address`, String, { tag: 'code' }), ui.dots(t(l.admin ? 'sy.admin' : 'sy.clients'), l.tls ? 'TLS' : null)]))),
                ui.section(t('sy.versions'), null, rows([
                    ['QCC', ui.f(o, 'version', String)],
                    ...libraries.map((k) => [k, ui.f(status.data, 'libraries.' + k, String, { of: 'status' })]),
                    [t('sy.links'), ui.dots(...['metrics', 'healthz', 'readyz'].map(textLink))],
                    [t('sy.manual'), h('code', null, 'man qcc-supervisor'), ' · ', h('code', null, 'man qcc.yaml'), ' · ', h('code', null, 'man qccctl')],
                ])))];
    },
};
