// The frame: navigation, live mark, banners, footer, keys; and which page is shown. A page is a module
//   export default { title(route), view(ctx), key?(event, ctx) }
// view returns descriptions (dom.js) and is called anew after each poll. ctx: {route: {page, parts, params}, here (its fragment), o (the overview), redraw(),
// set({param: value or null}, push) changes the fragment's parameters, go(fragment)}. What else it shows it asks for with
// query() of api.js while it draws.
import { h, patch } from './dom.js';
import { t, lang, setLang, allTexts, store, isolate } from './i18n.js';
import * as fmt from './format.js';
import * as api from './api.js';
import * as ui from './parts.js';
import overview from './overview.js';

const { live } = api;
const PAGES = { overview: 'o', endpoints: 'e', requests: 'r', usage: 'u', events: 'v', logs: 'l', config: 'c', system: 's' };
const known = (name) => Object.hasOwn(PAGES, name);
const root = document.getElementById('app');
const modules = Object.assign(Object.create(null), { overview }); // by what an address says, so without toString and the like
const broken = Object.create(null);
const closed = new Set();

// ---- routes

function parse() {
    const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
    const parts = path.split('/').filter(Boolean).map((p) => {
        try {
            return decodeURIComponent(p);
        } catch {
            return p;
        }
    });
    const page = parts[0] ?? 'overview';
    return { page, parts, params: Object.fromEntries(new URLSearchParams(query ?? '')) };
}

let route = parse();
let routed = true; // the next drawing shows another page than the last

function fragment(r) {
    const params = new URLSearchParams(Object.entries(r.params).filter(([, v]) => v !== null && v !== undefined && v !== ''));
    const path = r.page === 'overview' && r.parts.length < 2 ? '' : r.parts.map(encodeURIComponent).join('/');
    return '#/' + path + (params.size ? '?' + params : '');
}

const ctx = {
    get route() { return route; },
    get here() { return fragment(route); },
    get o() { return live.overview; },
    redraw,
    set(params, push) {
        route = { ...route, params: { ...route.params, ...params } };
        history[push ? 'pushState' : 'replaceState'](null, '', fragment(route));
        redraw();
    },
    go(to) { location.hash = to; },
};

window.addEventListener('hashchange', () => {
    const old = route;
    route = parse();
    routed = route.parts.join('/') !== old.parts.join('/');
    comeBack = null;
    if (routed && route.parts.length > old.parts.length) leavePlace(fragment(old));
    else if (routed && route.page === old.page && places.has(fragment(route))) comeBack = { ...places.get(fragment(route)), until: Date.now() + 3000 };
    redraw();
});

// ---- settings

const settings = { theme: store.get('theme') ?? 'auto', keys: store.get('keys') !== 'off' };

function setTheme(theme) {
    settings.theme = theme;
    store.set('theme', theme === 'auto' ? null : theme);
    if (theme === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    redraw();
}
function localize() {
    fmt.setLocale(lang(), { s: t('unit.s'), min: t('unit.min'), h: t('unit.h'), d: t('unit.d') });
}

const nextTheme = () => setTheme({ auto: 'light', light: 'dark', dark: 'auto' }[settings.theme]);

async function switchLang() {
    await setLang(lang() === 'zh' ? 'en' : 'zh', true);
    localize();
    redraw();
}

// ---- token

const form = { tries: 0, until: 0, busy: false, wrong: false, keep: false };

async function tryToken(e) {
    e.preventDefault();
    const value = e.currentTarget.elements.token.value.trim();
    if (!value || form.busy || Date.now() < form.until) return;
    form.busy = true;
    redraw();
    api.setToken(value, form.keep);
    await api.retryToken();
    form.busy = false;
    form.wrong = live.state === 'token';
    if (form.wrong) {
        form.tries++;
        // The third wrong one waits 2 s, the next 4, then 8.
        if (form.tries >= 3) form.until = Date.now() + Math.min(8, 2 ** (form.tries - 2)) * 1000;
    } else {
        form.tries = 0;
    }
    redraw();
}

function tokenForm() {
    const wait = Math.ceil((form.until - Date.now()) / 1000);
    return h('form.token', { onsubmit: tryToken, key: 'token' },
        h('h1', null, t('token.title')),
        h('p', null, t('token.where')),
        h('label.field', null, h('span', null, t('token.label')),
            h('input', { name: 'token', type: 'password', autocomplete: 'current-password', spellcheck: 'false', required: true, 'aria-invalid': form.wrong ? 'true' : null, 'aria-describedby': 'token-said', init: (el) => setTimeout(() => el.focus()) })),
        h('fieldset', null, h('legend', null, t('token.keep')),
            [[false, 'token.session'], [true, 'token.device']].map(([v, k]) => h('label', null,
                h('input', { type: 'radio', name: 'keep', checked: form.keep === v, onchange: () => { form.keep = v; redraw(); } }), ' ', t(k)))),
        h('p.bad', { id: 'token-said', role: 'alert' }, form.wrong ? t('token.wrong') + (wait > 0 ? ' ' + t('token.wait', { n: wait }) : '') : ''),
        h('button.primary', { type: 'submit', disabled: form.busy || wait > 0, 'aria-busy': form.busy ? 'true' : null }, t('token.go')));
}

// ---- frame

function liveMark() {
    const s = live.state;
    const wait = Math.max(0, Math.ceil((live.retryAt - Date.now()) / 1000));
    const kinds = {
        start: ['◌', t('live.start'), 'wait'],
        live: ['●', t('live.live'), 'ok'],
        paused: ['❚❚', t('live.paused'), 'wait'],
        retrying: ['▲', wait ? t('live.retrying', { n: wait }) : t('live.trying'), 'bad'],
        token: ['▲', t('live.token'), 'bad'],
        forbidden: ['▲', t('live.forbidden'), 'bad'],
    };
    const [mark, text, cls] = kinds[s];
    const click = () => (s === 'live' ? api.pause(true) : s === 'paused' ? api.pause(false) : api.now());
    return h('button', { type: 'button', id: 'live', class: 'live ' + cls, onclick: click, 'data-state': s,
        title: (live.error ? ui.errorText(live.error) + ' ' : '') + t(s === 'live' ? 'live.pause' : s === 'paused' ? 'live.resume' : 'live.now') },
    h('span.mark', { 'aria-hidden': 'true' }, mark), ' ', h('span', null, text),
    s === 'live' ? h('span.dim', null, ' ', live.period() / 1000 + ' s') : null,
    live.at && (s === 'retrying' || s === 'paused') ? h('span.dim.as-of', null, ' · ', t('asof'), ' ', fmt.clock(new Date(live.at))) : null);
}

function header() {
    return h('header.top', null,
        h('a.brand', { href: '#/', 'aria-label': 'QCC' }, 'QCC'),
        h('nav', { 'aria-label': t('nav.label') }, h('ul', null, Object.keys(PAGES).map((p) =>
            h('li', null, h('a', { href: p === 'overview' ? '#/' : '#/' + p, 'aria-current': route.page === p ? 'page' : null }, t('nav.' + p)))))),
        h('div.tools', null,
            liveMark(),
            ui.button(lang() === 'zh' ? 'English' : '中文', switchLang, { class: 'ghost', lang: lang() === 'zh' ? 'en' : 'zh-CN', id: 'lang' }),
            ui.button(h('span', { 'aria-hidden': 'true' }, { auto: '◐', light: '☀', dark: '☾' }[settings.theme]), nextTheme,
                { class: 'ghost icon', id: 'theme', 'aria-label': t('theme.is', { x: t('theme.' + settings.theme) }), title: t('theme.is', { x: t('theme.' + settings.theme) }) }),
            ui.button(h('span', { 'aria-hidden': 'true' }, '?'), help, { class: 'ghost icon', id: 'help', 'aria-label': t('help.title'), title: t('help.title') })));
}

// ---- banners: most severe first. Each has an id, so that one that was closed stays closed until what it says changes.

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;
const SKEW_MS = 30000;

// What the recorder says it does: storing, starting and off are no news.
function ofHistory(hist) {
    const { state } = hist;
    const why = hist.last_error ?? hist.why ?? state;
    const level = ['storing', 'paused', 'clock', 'sums only', 'not answering'].includes(state) ? 'warn' : 'bad';
    const aside = state === 'storing' && / set aside /.test(hist.last_error ?? '');
    const key = aside ? 'aside' : { paused: 'paused', clock: 'paused', 'sums only': 'sums', locked: 'failed', newer: 'failed', broken: 'failed', failed: 'failed', 'not running': 'failed', 'not answering': 'failed' }[state];
    if (key) return { id: aside ? 'history-aside-' + hist.last_error_at : 'history-' + state, level, href: '#/system', text: t('banner.history.' + key, { why }) };
    if (hist.behind_ms >= 5000) return { id: 'history-behind', level: 'warn', href: '#/system', text: t('banner.history.behind', { x: fmt.span(hist.behind_ms) }) };
    if (hist.dropped > 0) return { id: 'history-dropped', level: 'info', href: '#/system', text: t('banner.history.dropped', { n: fmt.num(hist.dropped), count: hist.dropped }) };
    return null;
}

const short = (names) => names.slice(0, 3).map(isolate).join(', ') + (names.length > 3 ? ', …' : '');

// Endpoints whose keys were refused: one banner, so that they leave room for the others.
function ofKeys(list) {
    if (!list.length) return null;
    const at = list.map((e) => e.refused_at ?? e.last_failure?.at).filter(Boolean).sort().pop();
    const id = 'auth-' + list.map((e) => e.name).join() + '-' + at;
    if (list.length > 1) return { id, level: 'bad', href: '#/endpoints?state=disabled', text: t('banner.auth', { name: short(list.map((e) => e.name)) + ` (${list.length})` }) };
    const { name } = list[0];
    return { id, level: 'bad', href: ui.endpointHref(name), text: at ? t('banner.auth.since', { name, time: fmt.when(at) }) : t('banner.auth', { name }) };
}

// The same on each page: what has no price, and the day of the list.
const prices = () => api.query('prices', 120000);

function banners() {
    const o = live.overview;
    const out = [];
    const add = (b) => b && out.push(b);
    if (o) {
        const list = o.endpoints ?? [];
        if (list.length && !list.some(ui.usable)) add({ id: 'none', level: 'bad', href: '#/endpoints', text: t('banner.none') });
        const r = o.last_reload;
        if (r && r.ok === false) add({ id: 'reload-' + r.at, level: 'bad', href: '#/config', text: t('banner.reload', { n: r.faults?.length ?? 0, time: fmt.when(r.at) }) });
        if (o.history) add(ofHistory(o.history));
        add(ofKeys(list.filter((x) => x.disabled_by === 'auth')));
        const models = prices().data?.unpriced?.map((x) => x.model) ?? [];
        const n = models.length;
        if (n) add({ id: 'prices-' + models.join(), level: 'info', href: '#/config/prices', text: t('banner.prices', { n, models: short(models) }) });
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

function bannersView() {
    const all = banners().filter((b) => !closed.has(b.id));
    const more = all.length - 3;
    return h('div.banners', { 'aria-label': t('banners'), role: 'region' }, all.slice(0, 3).map((b) =>
        h('div', { key: b.id, class: 'banner ' + b.level, 'data-banner': b.id },
            h('span.mark', { 'aria-hidden': 'true' }, b.level === 'bad' ? '▲' : b.level === 'warn' ? '◆' : 'ℹ'),
            h('p', null, b.text),
            b.href ? h('a', { href: b.href }, t('details')) : null,
            b.run ? ui.button(b.label, b.run, { class: 'small' }) : null,
            ui.button('×', () => (closed.add(b.id), redraw()), { class: 'icon', 'aria-label': t('dismiss') }))),
    more > 0 ? h('p.banner.more', { key: 'more' }, t('banners.more', { n: more })) : null);
}

function footer() {
    const o = live.overview;
    if (!o) return null; // it would stand where the page comes to be
    const day = prices().data?.list_prices_of;
    return h('footer', null, ui.dots(
        ['QCC ', ui.f(o, 'version', String)],
        [t('footer.generation'), ' ', ui.f(o, 'generation')],
        [t('footer.up'), ' ', h('span', { title: fmt.utc(new Date(o.boot)) || null }, fmt.span(o.clock_ms - new Date(o.boot).getTime()))],
        t('footer.zone', { zone: fmt.zoneName() }),
        day ? t('footer.prices', { day }) : null,
        live.state === 'retrying' || live.state === 'paused' ? [t('asof'), ' ', ui.time(new Date(live.at), { form: fmt.clock })] : null));
}

// ---- the page

const pages = async () => (await Promise.all([import('./pages.js'), allTexts()]))[0];

function load(name) {
    if (modules[name] || broken[name] === true) return;
    broken[name] = true; // under way
    pages().then((m) => {
        Object.assign(modules, m.default);
        delete broken[name];
        redraw();
    }, (e) => {
        broken[name] = e;
        redraw();
    });
}

function pageView() {
    if (live.state === 'token') return tokenForm();
    if (live.state === 'forbidden') {
        return h('div.error', null, h('h1', null, t('forbidden.title')), h('p', null, live.error.message), h('p', null, t('forbidden.fix')), ui.button(t('again'), api.now));
    }
    if (!known(route.page)) return h('div.empty', null, h('h1', null, t('nowhere.title')), h('p', null, t('nowhere.text')), h('a', { href: '#/' }, t('nav.overview')));
    const page = modules[route.page];
    if (!page) {
        const e = broken[route.page];
        if (e instanceof Error) return [h('h1', null, t('nav.' + route.page)), ui.errorPart({ message: t('error.module') }, () => (delete broken[route.page], load(route.page), redraw()))];
        load(route.page);
        return [h('h1', null, t('nav.' + route.page)), ui.skeleton(400)];
    }
    if (!live.overview) {
        return [h('h1', null, page.title(route)),
            live.error ? ui.errorPart(live.error, api.now) : ui.skeleton(400)];
    }
    return page.view(ctx);
}

const titleOf = () => (live.state === 'token' ? t('token.title') : modules[route.page]?.title(route) ?? (known(route.page) ? t('nav.' + route.page) : t('nowhere.title')));

let drawing = 0;
// now: within this turn, for a size that was just learned.
function redraw(now) {
    if (now === true) {
        if (drawing) (document.hidden ? clearTimeout : cancelAnimationFrame)(drawing);
        draw();
    } else if (!drawing) drawing = document.hidden ? setTimeout(draw) : requestAnimationFrame(draw);
}

function draw() {
    drawing = 0;
    api.beginUse();
    let main;
    try {
        main = pageView();
    } catch (e) {
        // A fault of one page leaves the frame standing.
        console.error(e);
        main = [h('h1', null, titleOf()), ui.errorPart({ message: t('error.page', { x: e.message }) }, redraw)];
    }
    const had = document.activeElement;
    const inBanners = had?.closest?.('.banners');
    patch(root, [
        h('a.skip', { href: '#main', onclick: (e) => (e.preventDefault(), document.getElementById('main').focus()) }, t('skip')),
        header(),
        bannersView(),
        h('main', { id: 'main', tabindex: '-1', class: live.state === 'retrying' || (live.state === 'paused' && live.error) ? 'stale' : null, 'data-page': route.parts.join('/') || 'overview', 'data-poll': live.overview?.clock_ms ?? null, 'aria-busy': live.overview || live.state !== 'start' ? null : 'true', key: 'main-' + route.page }, main),
        footer(),
        ui.toastsView(),
        ui.menuView(),
        h('div', { id: 'dialogs' }, ui.dialogsView()),
    ]);
    document.title = (live.overview ? sign(live.overview) : '') + isolate(titleOf()) + ' · QCC';
    api.endUse();
    // What held the focus is gone: it goes to what stands nearest, not to the beginning of the document.
    if (had && had !== document.body && !had.isConnected && document.activeElement === document.body) {
        (inBanners?.querySelector('button') ?? document.getElementById('main')).focus({ preventScroll: true });
    }
    if (routed) {
        routed = false;
        window.scrollTo(0, 0);
        document.querySelector('nav [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    }
    if (comeBack) restore();
}

// ---- places: where a list was left, for the way back from one of its rows

const places = new Map(); // fragment of a list -> {row, top}
const PLACES = 20;
let comeBack = null; // {row, top, until} that the list in view is to be brought to

function leavePlace(from) {
    const row = document.activeElement?.closest?.('tr')?.dataset.row ?? null;
    places.delete(from);
    places.set(from, { row, top: window.scrollY });
    if (places.size > PLACES) places.delete(places.keys().next().value);
}

// Once the row is there again; a list that is still loading is waited for, unless the user has gone on.
function restore() {
    const { row, top, until } = comeBack;
    const el = row ? [...document.querySelectorAll('main tr[data-row]')].find((x) => x.dataset.row === row) : null;
    const here = document.activeElement;
    const idle = !here || here === document.body || here.id === 'main';
    if (!el && row && idle && Date.now() < until) return;
    comeBack = null;
    if (!idle) return;
    window.scrollTo(0, top);
    el?.focus({ preventScroll: true });
}

// The state of the whole in the title of a tab: how many endpoints do not serve.
function sign(o) {
    const by = o.endpoints_by_state ?? {};
    const bad = ['unhealthy', 'circuit_open', 'queued'].reduce((n, s) => n + (by[s] ?? 0), 0);
    return bad ? `(${bad}) ` : '';
}

// ---- keys

async function help() {
    const m = await pages();
    m.help(settings, (on) => {
        settings.keys = on;
        store.set('keys', on ? null : 'off');
        redraw();
    });
}

let goUntil = 0;

const typing = (el) => el.closest?.('input:not([type=checkbox]):not([type=radio]),textarea,select,[contenteditable]');

function tableKey(key) {
    const tables = [...document.querySelectorAll('main table[data-nav]')];
    const here = document.activeElement.closest?.('tr[data-row]');
    const tbl = here?.closest('table') ?? tables[0];
    if (!tbl) return false;
    const rows = [...tbl.querySelectorAll('tbody tr[data-row]')];
    const i = rows.indexOf(here);
    const to = key === 'j' ? Math.min(i + 1, rows.length - 1) : i < 0 ? rows.length - 1 : Math.max(i - 1, 0);
    rows[to]?.focus();
    rows[to]?.scrollIntoView({ block: 'nearest' });
    return true;
}

const KEYS = {
    '/': () => {
        const el = document.querySelector('main input[type=search]');
        el?.focus();
        return Boolean(el);
    },
    j: () => tableKey('j'),
    k: () => tableKey('k'),
    p: () => (api.pause(!api.paused()), true),
    r: () => (api.now(), true),
    t: () => (nextTheme(), true),
    '?': () => (help(), true),
    g: () => (goUntil = Date.now() + 1500, true),
};

document.addEventListener('keydown', (e) => {
    if (e.ctrlKey || e.altKey || e.metaKey || e.defaultPrevented || ui.dialogOpen()) return;
    if (e.key === 'Escape') {
        hideTip();
        if (typing(e.target)) e.target.blur();
        else modules[route.page]?.key?.(e, ctx);
        if (e.target.matches?.('tr[data-row]')) e.target.blur();
        return;
    }
    if (e.key === 'Enter' && e.target.matches?.('tr[data-row]')) {
        location.hash = e.target.dataset.row;
        return;
    }
    if (!settings.keys || typing(e.target)) return;
    const page = Object.keys(PAGES).find((p) => PAGES[p] === e.key);
    if (Date.now() < goUntil && page) {
        goUntil = 0;
        location.hash = page === 'overview' ? '#/' : '#/' + page;
        e.preventDefault();
    } else if (Object.hasOwn(KEYS, e.key) && KEYS[e.key]()) {
        e.preventDefault();
    } else {
        modules[route.page]?.key?.(e, ctx);
    }
});

// ---- tooltips of column heads: by pointer and by focus

const tip = document.createElement('div');
tip.id = 'tip';
tip.popover = 'manual';
tip.setAttribute('role', 'tooltip');
document.body.append(tip);

function showTip(e) {
    const el = e.target.closest?.('[data-tip]');
    if (!el) return;
    tip.textContent = el.dataset.tip;
    if (!tip.matches(':popover-open')) tip.showPopover();
    const b = el.getBoundingClientRect();
    const m = tip.getBoundingClientRect();
    tip.style.left = Math.max(8, Math.min(b.left, innerWidth - m.width - 8)) + 'px';
    tip.style.top = (b.top > m.height + 8 ? b.top - m.height - 4 : b.bottom + 4) + 'px';
}

function hideTip() {
    if (tip.matches(':popover-open')) tip.hidePopover();
}

document.addEventListener('pointerover', (e) => (e.target.closest?.('[data-tip]') ? showTip(e) : hideTip()));
document.addEventListener('focusin', (e) => (e.target.matches?.('[data-tip]') && e.target.matches(':focus-visible') ? showTip(e) : hideTip()));

// ---- start

api.poll();
await setLang();
setTheme(settings.theme);
localize();
ui.useRedraw(redraw);
api.onChange(redraw);
// Only what counts down needs a drawing without news.
setInterval(() => {
    if (!document.hidden && (live.state === 'retrying' || Date.now() < form.until + 1000)) redraw();
}, 1000);
load(known(route.page) ? route.page : 'overview');
redraw();
