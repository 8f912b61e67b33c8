// What stands above every page, most severe first. Each has an id, so that one that was closed stays closed until
// what it says changes.
import { t } from './i18n.js';
import * as fmt from './format.js';

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;
const SKEW_MS = 30000;

export const usable = (e) => !['queued', 'disabled'].includes(e.state) && !e.draining;

// What the recorder says it does: storing, starting and off are no news.
function ofHistory(hist) {
    const { state } = hist;
    const why = hist.last_error ?? hist.why ?? state;
    const level = state === 'paused' || state === 'clock' ? 'warn' : 'bad';
    const key = { paused: 'paused', clock: 'paused', locked: 'failed', newer: 'failed', broken: 'failed', 'not running': 'failed', set_aside: 'aside' }[state];
    if (key) return { id: 'history-' + state, level, href: '#/system', text: t('banner.history.' + key, { why }) };
    if (hist.behind_ms >= 5000) return { id: 'history-behind', level: 'warn', href: '#/system', text: t('banner.history.behind', { x: fmt.span(hist.behind_ms) }) };
    if (hist.dropped > 0) return { id: 'history-dropped', level: 'info', href: '#/system', text: t('banner.history.dropped', { n: fmt.num(hist.dropped), count: hist.dropped }) };
    return null;
}

export function banners(live) {
    const o = live.overview;
    const out = [];
    const add = (b) => b && out.push(b);
    if (o) {
        const list = o.endpoints ?? [];
        if (list.length && !list.some(usable)) add({ id: 'none', level: 'bad', href: '#/endpoints', text: t('banner.none') });
        const r = o.last_reload;
        if (r && r.ok === false) add({ id: 'reload-' + r.at, level: 'bad', href: '#/config', text: t('banner.reload', { n: r.faults?.length ?? 0, time: fmt.when(r.at) }) });
        if (o.history) add(ofHistory(o.history));
        for (const e of list.filter((x) => x.disabled_by === 'auth')) {
            const at = e.refused_at ?? e.last_failure?.at;
            add({ id: `auth-${e.name}-${at}`, level: 'bad', href: '#/endpoints/' + encodeURIComponent(e.name), text: at ? t('banner.auth.since', { name: e.name, time: fmt.when(at) }) : t('banner.auth', { name: e.name }) });
        }
        const n = live.unpriced?.length;
        if (n) add({ id: 'prices-' + live.unpriced.join(), level: 'info', href: '#/config/prices', text: t('banner.prices', { n, models: live.unpriced.slice(0, 3).join(', ') + (n > 3 ? ', …' : '') }) });
    }
    if (location.protocol === 'http' + ':' && !LOOPBACK.test(location.hostname)) {
        const port = location.port || '80';
        add({ id: 'clear', level: 'warn', text: t('banner.clear', { line: `ssh -L ${port}:127.0.0.1:${port} ${location.hostname}` }) });
    }
    if (o) {
        if (live.seenVersion !== null && o.version !== live.seenVersion) {
            add({ id: 'version-' + o.version, level: 'info', text: t('banner.version', { version: o.version }), run: () => location.reload(), label: t('banner.version.load') });
        }
        const skew = o.clock_ms - live.at;
        if (Math.abs(skew) > SKEW_MS) add({ id: 'clock', level: 'warn', text: t(skew > 0 ? 'banner.clock.ahead' : 'banner.clock.behind', { x: fmt.span(Math.abs(skew)) }) });
    }
    return out;
}
