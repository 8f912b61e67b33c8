// Texts in the language of the reader. Both languages have the same keys, so that one is loaded, not two; the texts of the
// pages but the Overview come with those pages.

const LANGS = ['en', 'zh'];
let texts = {};
let plural = null;
let now = 'en';
export const lang = () => now;

// What this browser keeps; where that is forbidden, nothing is kept.
export const store = {
    get(key, area = 'localStorage') {
        try {
            return window[area].getItem('qcc.' + key);
        } catch {
            return null;
        }
    },
    set(key, value, area = 'localStorage') {
        try {
            if (value === null) window[area].removeItem('qcc.' + key);
            else window[area].setItem('qcc.' + key, value);
        } catch { /* it holds for this page */ }
    },
};

function wanted() {
    const kept = store.get('lang');
    if (LANGS.includes(kept)) return kept;
    for (const l of navigator.languages || []) {
        const short = l.toLowerCase().split('-')[0];
        if (LANGS.includes(short)) return short;
    }
    return 'en';
}

let more = null; // the promise of the texts of all pages, once they are wanted

async function load(l) {
    const zh = l === 'zh';
    const parts = [zh ? import('./zh.js') : import('./en.js')];
    if (more) parts.push(zh ? import('./zh-more.js') : import('./en-more.js'));
    const got = Object.assign({}, ...(await Promise.all(parts)).map((m) => m.default));
    return more && parts.length < 2 ? load(l) : got;
}

// Loads a language, that of the reader if none is named; keeps it when a person chose it.
export async function setLang(l = wanted(), keep = false) {
    texts = await load(l);
    now = l;
    plural = new Intl.PluralRules(l);
    document.documentElement.lang = l === 'zh' ? 'zh-CN' : 'en';
    if (keep) store.set('lang', l);
}

async function loadMore() {
    try {
        for (let l = null; l !== now;) {
            l = now;
            const got = await load(l);
            if (l === now) texts = got;
        }
    } catch (e) {
        more = null;
        throw e;
    }
}

// Loads the texts of the other pages.
export const allTexts = () => (more ??= Promise.resolve().then(loadMore));

export const has = (key) => key in texts;

// A name within a text: what of it turns the direction of writing ends with it.
export function isolate(name) {
    if (!/[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufefc]/.test(name)) return name;
    let open = 0;
    let out = '\u2068';
    for (const c of name) {
        if (c === '\u2069' && open === 0) continue; // it would end this one
        open += c === '\u2069' ? -1 : /[\u2066-\u2068]/.test(c) ? 1 : 0;
        out += c;
    }
    return out + '\u2069'.repeat(open + 1);
}

// t('key', {n: 3}): the text with {n} filled in. A text that depends on n is {one, other}.
export function t(key, args) {
    let text = texts[key];
    if (text === undefined) return key;
    if (typeof text === 'object') text = text[plural.select(Number(args?.count ?? args?.n ?? 0))] ?? text.other;
    return args ? text.replace(/\{(\w+)\}/g, (all, name) => (name in args ? isolate(String(args[name])) : all)) : text;
}
