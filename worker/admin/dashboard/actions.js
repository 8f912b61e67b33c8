// What an operator can do here. Nothing is shown before the reply; the reply's endpoint takes the row's place.
import { t, isolate } from './i18n.js';
import * as fmt from './format.js';
import { live, call, poll } from './api.js';
import { say, confirm, errorText, usable } from './parts.js';

export const VERBS = ['enable', 'disable', 'drain', 'verify', 'reset'];
const ASKED = ['disable', 'drain', 'reset'];
const busy = new Set();

// Whether an action on this endpoint is under way ('reload', 'history' for those).
export const isBusy = (name) => busy.has(name);

async function under(name, redraw, f) {
    busy.add(name);
    redraw();
    try {
        return await f();
    } finally {
        busy.delete(name);
        redraw();
    }
}

// part: {family} or {mark}, to reset that alone.
async function one(ctx, verb, name, part) {
    await under(name, ctx.redraw, async () => {
        try {
            const e = await call('POST', `endpoints/${encodeURIComponent(name)}/${verb}` + (part ? '?' + new URLSearchParams(part) : ''));
            const list = live.overview?.endpoints ?? [];
            const i = list.findIndex((x) => x.name === name);
            if (i >= 0 && e?.name === name) list[i] = { ...list[i], ...e };
            say(t('done.' + verb, { name: called([name], part) }));
        } catch (e) {
            say(t('done.failed', { name, why: errorText(e) }), 'error');
        }
    });
}

// Of what is acted on: endpoints, or the part of one.
const called = (names, part) => listed(names) + (part ? ': ' + Object.values(part) : '');

const listed = (names) => (names.length > 5 ? [...names.slice(0, 5), '…'] : names).map(isolate).join(', ');

// Whether something serves once these no longer do.
const left = (names) => (live.overview?.endpoints ?? []).some((e) => usable(e) && !names.includes(e.name));

// One verb on some endpoints, or on the part of one, asked before where it takes something away.
export async function act(ctx, verb, names, part) {
    if (!names.length) return;
    const last = () => (verb === 'disable' || verb === 'drain') && !left(names);
    if (ASKED.includes(verb)) {
        // looked at as long as it is asked: another operator may take the others out meanwhile
        const text = () => [t(part ? 'ask.part' : `ask.${verb}.text`), verb === 'reset' ? null : t('ask.lasts'), last() ? t('ask.nothing') : null];
        if (!await confirm(t('ask.' + verb, { names: called(names, part) }), text, t('act.' + verb), last() || verb === 'disable')) return;
    }
    for (const name of names) await one(ctx, verb, name, part);
    poll(true);
}

// Drains all others.
export async function only(ctx, name) {
    const list = live.overview?.endpoints ?? [];
    const others = list.filter((e) => e.name !== name && !e.draining && e.state !== 'disabled').map((e) => e.name);
    const me = list.find((e) => e.name === name);
    const serves = () => (live.overview?.endpoints ?? []).some((e) => e.name === name && usable(e));
    const text = () => [t('ask.only.text', { names: listed(others) || fmt.NONE }), t('ask.lasts'), me && !serves() ? t('ask.nothing') : null];
    if (!others.length || !await confirm(t('ask.only', { name }), text, t('act.only'), me && !serves())) return;
    for (const other of others) await one(ctx, 'drain', other);
    poll(true);
}

// Reads the configuration anew. A refusal stays in view; its faults are on Config.
export const reload = (ctx) => under('reload', ctx.redraw, async () => {
    try {
        const r = await call('POST', 'reload');
        say(t('done.reload', { n: r.generation ?? '' }));
    } catch (e) {
        say([errorText(e), ...(e.body?.faults ?? []).slice(0, 5)].join('\n'), 'error');
    }
    poll(true);
});

// Items of the menu of one endpoint.
export const menuItems = (ctx, e) => [
    ...VERBS.map((verb) => ({ label: t('act.' + verb), run: () => act(ctx, verb, [e.name]), cls: verb === 'disable' ? 'bad' : null })),
    null,
    { label: t('act.only'), run: () => only(ctx, e.name) },
];
