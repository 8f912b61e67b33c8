// A list whose newest rows come on top while it is read from its top, and which holds still else; older rows by a cursor.
import { h } from './dom.js';
import { t } from './i18n.js';
import { call } from './api.js';
import * as ui from './parts.js';

// Whether somebody reads: is further down, has chosen a row, or marks a text.
const reading = () => scrollY > 80 || Boolean(document.activeElement?.closest?.('main tbody')) || !getSelection().isCollapsed;

// list: the member of a reply that has the rows; id: the member that tells rows apart.
export function pager(list, id) {
    let path = null; // what is asked; another question begins anew
    let pages = []; // {data, of}: replies and the addresses they answer
    let busy = false;
    let error = null;
    let fresh = 0; // rows that wait
    let all = false; // more than one reply holds

    function take(q) {
        if (q.path !== path) {
            path = q.path;
            pages = [];
            error = null;
        }
        if (!q.data || q.path0 !== path) return;
        if (!pages.length || (pages.length === 1 && !reading())) pages = [{ data: q.data, of: path }];
        const known = new Set(pages[0].data[list].map((r) => r[id]));
        fresh = q.data[list].filter((r) => !known.has(r[id])).length;
        all = fresh > 0 && fresh === q.data[list].length;
    }

    async function older(redraw) {
        const from = path;
        const next = pages[pages.length - 1].data.next;
        const of = `${from}&before=${next}`;
        busy = true;
        redraw();
        try {
            const data = await call('GET', of);
            if (from === path) pages = [...pages, { data, of }];
            error = null;
        } catch (e) {
            error = e;
        }
        busy = false;
        redraw();
    }

    return {
        // The rows in view after a reply: {r, i, doc, of}.
        rows(q) {
            take(q);
            const seen = new Set();
            return pages.flatMap((p) => p.data[list].map((r, i) => ({ r, i, doc: p.data, of: p.of })))
                .filter((x) => !seen.has(x.r[id]) && seen.add(x.r[id]));
        },
        ready: (q) => pages.length > 0 || (q.data && q.path0 === q.path),
        // The rows that wait, to be let in.
        news: (redraw) => (fresh ? ui.button(t('list.new', { n: fresh + (all ? '+' : '') }), () => {
            pages = [];
            document.activeElement?.blur();
            getSelection().removeAllRanges();
            scrollTo(0, 0);
            redraw();
        }, { class: 'primary small news', id: 'news' }) : null),
        end: (redraw) => h('div.more', null, error ? ui.errorPart(error, () => older(redraw)) : null,
            pages.length && pages[pages.length - 1].data.next ? ui.button(t('list.older'), () => older(redraw), { busy, id: 'older' }) : null),
    };
}
