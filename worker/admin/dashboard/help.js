// The help: keys, and QCC's words.
import { h } from './dom.js';
import { t } from './i18n.js';
import { dialog, MARKS, state } from './parts.js';

const KEYS = ['g o', 'g e', 'g r', 'g u', 'g v', 'g l', 'g c', 'g s', '/', 'j k', 'Enter', 'Esc', 'p', 'r', 't', '?'];
const WORDS = ['endpoint', 'binding', 'breaker', 'queue', 'cooldown', 'drain', 'verify', 'trial', 'second_opinion', 'cell', 'mark', 'attempt', 'fault', 'first_byte', 'cache_share', 'list_price', 'generation'];
const CLASSES = ['ok', 'transient', 'rate_limit', 'auth', 'permanent', 'unknown'];

export function help(settings, setKeys) {
    dialog({
        title: t('help.title'), cls: 'wide', buttons: [{ label: t('close'), value: true, cls: 'primary' }],
        body: () => h('div.help', null,
            h('section', null, h('h3', null, t('help.keys')),
                h('dl.keys', null, KEYS.map((k) => [h('dt', null, k.split(' ').flatMap((x, i) => [i ? ' ' : null, h('kbd', null, x)])), h('dd', null, k.startsWith('g ') ? t('help.go', { page: t('nav.' + GO[k[2]]) }) : t('help.key.' + k))])),
                h('label', null, h('input', { type: 'checkbox', checked: settings.keys, onchange: (e) => setKeys(e.currentTarget.checked) }), ' ', t('help.single'))),
            h('section', null, h('h3', null, t('help.states')), h('dl', null, Object.keys(MARKS).map((s) => [h('dt', null, state(s)), h('dd', null, t('state.' + s))]))),
            h('section', null, h('h3', null, t('help.classes')), h('dl', null, CLASSES.map((c) => [h('dt', null, h('code', null, c)), h('dd', null, t('class.' + c))]))),
            h('section', null, h('h3', null, t('help.words')), h('dl', null, WORDS.map((w) => [h('dt', null, t('word.' + w)), h('dd', null, t('word.' + w + '.text'))])))),
    });
}

const GO = { o: 'overview', e: 'endpoints', r: 'requests', u: 'usage', v: 'events', l: 'logs', c: 'config', s: 'system' };
