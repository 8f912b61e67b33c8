// Logs: the last lines of the service's log, the newest below.
import { h } from './dom.js';
import { t } from './i18n.js';
import { query, refresh } from './api.js';
import * as ui from './parts.js';

const EVERY = 2000;
const LEVELS = ['debug', 'info', 'warning', 'error'];
let held = null; // {data, of}: what stands while it is not followed
let box = null;
let typed = null; // what is not asked for yet
let timer = 0;

const atEnd = (el) => el.scrollHeight - el.scrollTop - el.clientHeight < 8;

function follow(yes, shown, redraw) {
    held = yes ? null : shown;
    redraw();
}

export default {
    title: () => t('nav.logs'),
    view(ctx) {
        const { level, word } = ctx.route.params;
        const s = new URLSearchParams({ n: 300 });
        if (LEVELS.includes(level)) s.set('level', level);
        if (word) s.set('grep', word);
        const q = query('logs?' + s, EVERY, 'logs');
        if (held && held.of !== q.path) held = null;
        const shown = held ?? (q.data && q.path0 === q.path ? { data: q.data, of: q.path0 } : null);
        if (!held) setTimeout(() => box?.isConnected && !atEnd(box) && (box.scrollTop = box.scrollHeight));
        const set = (v) => {
            typed = v;
            clearTimeout(timer);
            timer = setTimeout(() => {
                typed = null;
                if (ctx.route.page === 'logs') ctx.set({ word: v || null });
            }, 250);
        };
        return [
            ui.pageHead(t('nav.logs')),
            h('div.filters', null,
                ui.search(t('lg.word'), typed ?? word ?? '', set),
                ui.select(t('lg.level'), level ?? '', [['', 'debug'], ...LEVELS.slice(1).map((l) => [l, l])], (v) => ctx.set({ level: v || null })),
                ui.button(t(held ? 'lg.follow' : 'lg.pause'), () => follow(Boolean(held), shown, ctx.redraw), { 'aria-pressed': held ? 'true' : 'false', id: 'follow' }),
                shown ? ui.copyButton(() => shown.data.lines.map((l) => l.line).join('\n')) : null,
                held ? h('span.warn', null, t('lg.held')) : null),
            h('section.part', { 'aria-label': t('nav.logs') },
                q.error ? ui.errorPart(q.error, () => refresh((x) => x === q)) : null,
                !shown ? (q.error ? null : ui.skeleton(400)) : !shown.data.lines.length ? ui.empty(t(word || level ? 'lg.none' : 'lg.empty'))
                    : h('div.log', { key: 'log', tabindex: '0', role: 'region', 'aria-label': t('nav.logs'), class: q.error ? 'stale' : null,
                        init: (el) => (box = el),
                        onscroll: (e) => {
                            // Who reads what is further up is not moved.
                            if (!held && !atEnd(e.currentTarget) && e.currentTarget.matches(':hover,:focus')) follow(false, shown, ctx.redraw);
                        } },
                    shown.data.lines.map((l, i) => h('code', { class: 'lv-' + l.level, 'data-f': `${shown.of}#lines.${i}.line`, 'data-v': l.line }, l.line))),
                shown ? h('p.foot', null, t('lg.shown', { n: shown.data.lines.length })) : null),
        ];
    },
    key(e, ctx) {
        if (e.key === 'Escape') follow(true, null, ctx.redraw);
    },
};
