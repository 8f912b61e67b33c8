"""lint_page.py [FOLDER]: what can be seen of the dashboard without running it. Nothing makes markup or code of text, no
address leads elsewhere; both languages have the same texts with the same places in them, each is used and none is
missing; node, where it is there, parses the modules. Prints each fault as file:line: text and exits 1 when there is one.
A line with a comment that says `lint: why` is exempt from the words."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

FOLDER = "worker/admin/dashboard"
WORDS = re.compile(
    r"\b(innerHTML|outerHTML|insertAdjacentHTML|eval)\b|\b(Function) *\(|\b(document\.write)|(?<![\w-])(style) *=(?!=)|\b(https?:)")
TOKEN = re.compile(r"""//[^\n]*|/\*.*?\*/|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`""", re.S)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def forbidden(path):
    """Words of markup as text, of code as text, and of other places."""
    faults = []
    for number, line in enumerate(read(path).split("\n"), 1):
        found = WORDS.search(line)
        if found and "lint:" not in line and not line.lstrip().startswith("//"):
            word = next(g for g in found.groups() if g)
            if word == "style" and not path.endswith(".html") and not re.search(r"<[^>]*style *=|['\"`]style *=", line):
                continue  # el.style = ... of a script is CSSOM; of markup it is blocked
            faults.append(f"{path}:{number}: {word} has no place in the dashboard")
    return faults


def literals(text):
    """[(place, text, kind)] of a script's strings and templates, without comments."""
    return [(m.start(), m.group()[1:-1], m.group()[0]) for m in TOKEN.finditer(text) if m.group()[0] in "'\"`"]


def texts(path):
    """{key: (line, places in braces)} of a language, and its faults: the members of the one object."""
    text = read(path)
    blank = TOKEN.sub(lambda m: re.sub(r"[^\n]", " ", m.group()) if m.group()[0] == "/" else m.group(), text)
    found, faults, depth, key, at = {}, [], 0, None, 0
    while at < len(blank):
        m = TOKEN.match(blank, at)
        if m:
            name, end = m.group()[1:-1], m.end()
            if depth == 1 and re.match(r"\s*:", blank[end:]):
                key = name
                if key in found:
                    faults.append(f"{path}:{line_of(blank, at)}: {key} is there twice")
                found[key] = (line_of(blank, at), set())
            elif key:
                found[key][1].update(re.findall(r"\{(\w+)\}", name))
            at = end
            continue
        plain = re.match(r"(\w+)\s*:", blank[at:]) if depth == 1 and not re.match(r"\w", blank[at - 1:at]) else None
        if plain:
            key = plain.group(1)
            found[key] = (line_of(blank, at), set())
            at += plain.end()
            continue
        depth += (blank[at] == "{") - (blank[at] == "}")
        at += 1
    return found, faults


def alike(one, other, paths):
    """Faults of keys that one language lacks, and of places that only the other fills."""
    faults = []
    for a, b, path, of in ((one, other, paths[1], paths[0]), (other, one, paths[0], paths[1])):
        faults += [f"{path}:1: {key} is missing ({of}:{a[key][0]})" for key in sorted(set(a) - set(b))]
    for key in sorted(set(one) & set(other)):
        for place in sorted(other[key][1] - one[key][1]):
            faults.append(f"{paths[1]}:{other[key][0]}: {key} has {{{place}}}, which {paths[0]} has not")
    return faults


def early(folder, scripts, keys):
    """Faults of texts that come with the later pages but are used by what app.js imports, which is shown before."""
    first, todo = set(), [os.path.join(folder, "app.js")]
    while todo:
        script = todo.pop()
        if script in scripts and script not in first:
            first.add(script)
            todo += [os.path.join(folder, name) for name in re.findall(r"^import .* from '\./([a-z0-9]+\.js)';$", read(script), re.M)]
    faults = []
    for script in sorted(first):
        text = read(script)
        for at, s, kind in literals(text):
            begin = s.split("${")[0] if kind == "`" else s if re.match(r"\s*\+", text[at + len(s) + 2:]) else ""
            if s in keys or (begin.endswith(".") and any(k.startswith(begin) for k in keys)):
                faults.append(f"{script}:{line_of(text, at)}: the text {s} comes with the later pages")
    return faults


def used(scripts, keys, places):
    """Faults of keys that no script has, as a string, a template or the beginning of one; and of t('...') that is no key."""
    whole, parts, faults = set(), set(), []
    for script in scripts:
        text = read(script)
        for at, s, kind in literals(text):
            if kind == "`" and "${" in s:
                pattern = "(.+)".join(re.escape(p) for p in re.split(r"\$\{[^}]*\}", s))
                if re.match(r"[\w.]+", s):
                    parts.add(pattern)
                # strings inside of a template's expressions
                whole.update(m[1:-1] for m in re.findall(r"'[\w.]+'|\"[\w.]+\"", s))
                continue
            whole.add(s)
            end = at + len(s) + 2
            if re.match(r"\s*\+", text[end:]) and re.fullmatch(r"[\w.]+\.", s):
                parts.add(re.escape(s) + ".+")
            if re.search(r"(?<![\w.])t\($", text[:at]) and re.match(r"\s*[,)]", text[end:]) and s not in keys:
                faults.append(f"{script}:{line_of(text, at)}: there is no text {s}")
    for key, (number, _) in sorted(keys.items()):
        if key not in whole and not any(re.fullmatch(p, key) for p in parts):
            faults.append(f"{places[key]}:{number}: {key} is used nowhere")
    return faults


def parses(scripts):
    """Faults that node finds; none without node."""
    if not shutil.which("node"):
        print("  node is not to be had here: the scripts are not parsed", file=sys.stderr)
        return []
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        for script in scripts:
            module = os.path.join(folder, os.path.basename(script)[:-3] + ".mjs")
            shutil.copyfile(script, module)
            done = subprocess.run(["node", "--check", module], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode:
                found = re.search(r":(\d+)\n", done.stdout)
                why = re.search(r"^\w*Error: .*", done.stdout, re.M)
                faults.append(f"{script}:{found.group(1) if found else 1}: {why.group() if why else done.stdout.strip()}")
    return faults


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else FOLDER
    files = sorted(glob.glob(os.path.join(folder, "**", "*.*"), recursive=True))
    scripts = [f for f in files if f.endswith(".js")]
    parts = [[os.path.join(folder, "lang", name + part) for name in ("en", "zh")] for part in (".js", "-more.js")]
    faults = [fault for f in files for fault in forbidden(f)] + parses(scripts)
    keys, place = {}, {}
    for languages in parts:
        there = [f for f in languages if f in files]
        if len(there) == 2:
            (one, bad), (other, worse) = texts(languages[0]), texts(languages[1])
            faults += bad + worse + alike(one, other, languages)
            faults += [f"{languages[0]}:{one[k][0]}: {k} is in {place[k]}, too" for k in one if k in keys]
            keys.update(one)
            place.update(dict.fromkeys(one, languages[0]))
        elif there:
            faults.append(f"{there[0]}:1: the other language is missing")
    if keys:
        languages = [f for pair in parts for f in pair]
        others = [s for s in scripts if s not in languages]
        faults += used(others + [f for f in files if f.endswith(".html")], keys, place)
        faults += early(folder, others, {k: v for k, v in keys.items() if place[k] == parts[1][0]})
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
