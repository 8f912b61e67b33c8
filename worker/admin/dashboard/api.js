// The admin API: one document polled, what the page in view asks on top of it, and actions. Addresses are relative, so that
// a proxy may put the page under a path.
import { store } from './i18n.js';

const TIMEOUT = 5000;
const BACKOFF = [1, 2, 4, 8, 15];
const KEEP = 40; // replies of queries that are out of view, for a way back without a wait
const SAMPLES_MS = 600000;

export const live = {
    state: 'start', // start live paused retrying token forbidden
    overview: null,
    at: 0, // Date.now() of the last overview
    retryAt: 0,
    error: null, // why the last poll failed (ApiError)
    seenVersion: null, // the server's version when this page was loaded
    samples: [], // {at, requests}: the page's own, of the last ten minutes
    polls: 0,
    period: () => period(),
};

export class ApiError extends Error {
    constructor(status, message, body) {
        super(message);
        this.status = status;
        this.body = body;
    }
}

let changed = () => {};
// Calls f whenever something that is shown may have changed.
export const onChange = (f) => (changed = f);

let token = store.get('token', 'sessionStorage') || store.get('token');

// keep: on this device, else until the browser closes
export function setToken(value, keep) {
    token = value;
    store.set('token', keep ? null : value, 'sessionStorage');
    store.set('token', keep ? value : null);
}

// What a plain link could not send along: the headers of a request.
export const headers = () => (token ? { authorization: 'Bearer ' + token } : {});

// One request. Anything but a 2xx is an ApiError with the server's sentence; no reply at all has status 0.
export async function call(method, path, outer) {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), method === 'GET' ? TIMEOUT : 60000);
    outer?.addEventListener('abort', () => abort.abort());
    try {
        const r = await fetch('api/v1/' + path, {
            method,
            signal: abort.signal,
            cache: 'no-store',
            redirect: 'error',
            headers: headers(),
        });
        const text = await r.text();
        let body = null;
        try {
            body = JSON.parse(text);
        } catch { /* judged below */ }
        if (r.ok && body !== null) return body;
        const said = body?.error?.message ?? body?.error ?? text.trim().slice(0, 300);
        throw new ApiError(r.ok ? 502 : r.status, r.ok ? 'not JSON: ' + said : said || `HTTP ${r.status}`, body);
    } catch (e) {
        if (e instanceof ApiError) throw e;
        throw new ApiError(0, e.name === 'AbortError' ? 'timeout' : 'network');
    } finally {
        clearTimeout(timer);
    }
}

// ---- the overview

let pollTimer = 0;
let polling = false;
let pollAgain = false;
let failures = 0;
let pollAbort = null;
let last = 0; // performance.now() of the last overview

const period = () => ((live.overview?.endpoints?.length ?? 0) >= 50 ? 5000 : 2000);

function sample(o, now) {
    const s = live.samples;
    const before = s[s.length - 1];
    // After a sleep, or a jump of a clock, differences begin anew.
    if (before) {
        const dt = now - before.at;
        const server = o.clock_ms - before.clock;
        if (dt > 15000 || Math.abs(server - dt) > 5000 || o.totals.requests < before.requests) s.length = 0;
    }
    s.push({ at: now, clock: o.clock_ms, requests: o.totals?.requests ?? 0 });
    while (s.length && now - s[0].at > SAMPLES_MS + 10000) s.shift();
}

function take(o) {
    const old = live.overview;
    const now = performance.now();
    if (live.seenVersion === null) live.seenVersion = o.version;
    if (old && (old.boot !== o.boot || old.generation !== o.generation)) {
        if (old.boot !== o.boot) live.samples.length = 0;
        for (const q of queries.values()) q.due = 0;
    }
    sample(o, now);
    live.overview = o;
    live.at = Date.now();
    last = now;
    live.polls++;
    live.state = userPaused ? 'paused' : 'live';
    live.error = null;
    failures = 0;
}

function failed(e) {
    live.error = e;
    if (e.status === 401) {
        live.state = 'token';
    } else if (e.status === 403) {
        live.state = 'forbidden';
    } else if (userPaused) {
        live.state = 'paused';
    } else {
        live.state = 'retrying';
        const s = BACKOFF[Math.min(failures++, BACKOFF.length - 1)];
        live.retryAt = Date.now() + s * 1000;
        schedule(s * 1000);
        return;
    }
    clearTimeout(pollTimer);
}

function schedule(ms) {
    clearTimeout(pollTimer);
    pollTimer = setTimeout(() => poll(), ms);
}

// Fetches the overview once; when one is under way already, another after it.
export async function poll(again) {
    if (polling) {
        pollAgain ||= again === true;
        return;
    }
    clearTimeout(pollTimer);
    if (document.hidden) return;
    polling = true;
    pollAbort = new AbortController();
    try {
        take(await call('GET', 'overview', pollAbort.signal));
        if (!userPaused) schedule(period());
    } catch (e) {
        if (document.hidden) live.state = live.overview ? live.state : 'start';
        else failed(e);
    }
    polling = false;
    changed();
    if (pollAgain) {
        pollAgain = false;
        poll();
    } else {
        pump();
    }
}

let userPaused = false;
export function pause(yes) {
    userPaused = yes;
    if (yes) {
        clearTimeout(pollTimer);
        if (live.state === 'live' || live.state === 'retrying') live.state = 'paused';
        changed();
    } else {
        now();
    }
}
export const paused = () => userPaused;

// Reads everything now, also while paused: what `r`, a click and a token do.
export function now() {
    failures = 0;
    for (const q of queries.values()) q.due = 0;
    if (live.state === 'token' || live.state === 'forbidden') live.state = 'start';
    poll(true);
}

// Tries the token just set; ends when the answer is there.
export async function retryToken() {
    failures = 0;
    await poll();
    if (live.state !== 'token') refresh();
}

document.addEventListener('visibilitychange', () => {
    if (document.hidden) {
        clearTimeout(pollTimer);
        pollAbort?.abort();
        queryAbort?.abort();
    } else if (!userPaused && !watch()) {
        failures = 0;
        poll(true);
    }
});
window.addEventListener('online', () => {
    failures = 0;
    if (!userPaused) poll(true);
});
// Whether what is shown is older than a poll makes it, which it then says: the machine has slept, and its timers with it. Not
// each system counts that time in performance.now().
function watch() {
    if (live.state !== 'live' || document.hidden) return false;
    if (Math.max(Date.now() - live.at, performance.now() - last) <= period() + TIMEOUT + 1000) return false;
    live.state = 'retrying';
    live.retryAt = Date.now();
    failures = 0;
    for (const q of queries.values()) q.due = 0;
    if (polling) pollAbort.abort();
    poll(true);
    changed();
    return true;
}
setInterval(watch, 1000);

// ---- what pages ask

const queries = new Map(); // path -> {data, error, at, due, every, used}
let render = 0;
let asking = null;
let queryAbort = null;
let queryTimer = 0;

// Begins a drawing: what is asked for from here on is in view.
export const beginUse = () => render++;

// Ends it: a question that is no longer in view is not waited for.
export function endUse() {
    if (asking && asking.used !== render) queryAbort.abort();
    if (queries.size > KEEP) {
        for (const [path, q] of queries) if (q.used !== render && queries.size > KEEP) queries.delete(path);
    }
    pump();
}

// query(path, every): {data, error, at, busy}: the reply to GET api/v1/PATH as far as there is one, asked again each
// `every` ms (0: only on change) as long as it is used in each drawing. `name`: questions of one name follow each
// other (a range that moves on), and until a reply is there the one before is shown.
export function query(path, every, name) {
    const id = name ?? path;
    let q = queries.get(id);
    if (!q) queries.set(id, (q = { id, path, data: null, error: null, at: 0, due: 0, since: Date.now(), path0: null }));
    if (q.path !== path) {
        q.path = path;
        q.due = 0;
    }
    q.every = q.used === render && q.every ? Math.min(q.every, every || Infinity) : every;
    q.used = render;
    q.order = order++;
    // What only a history can tell is not asked where there is none.
    if (!historyOn() && OF_HISTORY.test(path)) {
        q.data = null;
        q.error = new ApiError(409, live.overview.history?.why ?? '');
        q.due = Infinity;
    } else if (q.error?.status === 409 && q.due === Infinity) {
        q.error = null;
        q.due = 0;
    }
    return q;
}
let order = 0;

const OF_HISTORY = /^(usage|speed|requests\?(.*&)?since=)/;
export const historyOn = () => live.overview?.history?.state !== 'off';

// Asks these again, soon.
export function refresh(test) {
    for (const q of queries.values()) if (!test || test(q)) q.due = 0;
    pump();
}

async function pump() {
    clearTimeout(queryTimer);
    if (asking || document.hidden || !['start', 'live', 'paused'].includes(live.state)) return;
    const t = performance.now();
    let next = Infinity;
    let q = null;
    for (const c of queries.values()) {
        if (c.used !== render) continue;
        if (userPaused && c.due > 0) continue;
        if (c.due <= t && (!q || c.order < q.order)) q = c;
        else if (c.due > t) next = Math.min(next, c.due);
    }
    if (!q) {
        if (next < Infinity) queryTimer = setTimeout(pump, Math.max(next - t, 20));
        return;
    }
    asking = q;
    q.due = 1; // until it is there; 0: it is wanted anew meanwhile
    queryAbort = new AbortController();
    const path = q.path;
    try {
        const data = await call('GET', path, queryAbort.signal);
        q.data = data;
        q.path0 = path; // what the data answers
        q.error = null;
        q.at = Date.now();
        q.due = q.path === path && q.due !== 0 ? (q.every ? performance.now() + q.every : Infinity) : 0;
    } catch (e) {
        if (queryAbort.signal.aborted) {
            q.due = 0;
        } else {
            q.due = performance.now() + Math.max(q.every || 0, 15000);
            if (e.status === 401) failed(e);
            q.error = e;
        }
    }
    asking = null;
    if (q.used === render) changed();
    else pump();
}

export const isAsking = (q) => asking === q;
