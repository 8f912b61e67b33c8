# bundle.awk -v entry=FILE [-v within=FILE]: prints the script ENTRY together with the modules that it imports, as one module
# without comments and superfluous space. Each module becomes a function that runs once and returns what it exports,
# kept in a constant that is called as its file with $ before it. What WITHIN bundles (it stands in the same folder) is
# not bundled again but imported from there. bundle.awk -v css=FILE: a style sheet without comments and space.
# A module keeps to one form: an import is one line at the top, an export stands first on its line and never changes.

function fail(text) {
    print "dashboard: " text > "/dev/stderr"
    failed = 1
    exit 1
}

function read(path,    line, text, got) {
    text = ""
    while ((got = (getline line < path)) > 0) text = text line "\n"
    if (got < 0) fail(path " cannot be read")
    close(path)
    return text
}

function word(c) { return c ~ /[A-Za-z0-9_$\200-\377]/ }

# The end of a string or of a pattern that begins at `i`; 0 when its line ends before.
function literal_end(s, i, close_by,    c, list) {
    for (i++; i <= length(s); i++) {
        c = substr(s, i, 1)
        if (c == "\\") i++
        else if (c == "\n") return 0
        else if (close_by == "/" && c == "[") list = 1
        else if (close_by == "/" && c == "]") list = 0
        else if (c == close_by && !list) return i
    }
    return 0
}

# The end of a template's text that begins after `i`: its ` or the { of an expression within.
function template_end(s, i,    c) {
    for (i++; i <= length(s); i++) {
        c = substr(s, i, 1)
        if (c == "\\") i++
        else if (c == "`") return i
        else if (c == "$" && substr(s, i + 1, 1) == "{") return i + 1
    }
    return 0
}

# Whether a slash after this token begins a pattern, and is no division.
function pattern_after(token) {
    return token ~ /^(|return|typeof|case|in|of|await|[^A-Za-z0-9_$)\]"'`\200-\377])$/
}

# What stands between two tokens that a line break (`broken`) or space parts: as little as leaves the meaning. A break stays
# wherever a statement may end.
function between(before, last, first, broken) {
    if (broken && (last !~ /[;{(\[,=>&|?:*!<%^~+-]/ || before ~ /(\+\+|--)$/) && first !~ /[)\]},.?:&|=*%<>;]/) return "\n"
    if (word(last) && word(first)) return " "
    return last == first && first ~ /[+\/-]/ ? " " : ""
}

# A script without comments and superfluous space.
function lean(s, name,    out, i, n, c, token, end, last, broken, spaced, depth, within_template) {
    n = length(s)
    for (i = 1; i <= n; i = end + 1) {
        end = i
        c = substr(s, i, 1)
        if (c == " " || c == "\n") {
            spaced = 1
            if (c == "\n") broken = 1
            continue
        }
        if (c == "/" && substr(s, i + 1, 1) == "/") {
            end = i + index(substr(s, i), "\n") - 2
            continue
        }
        if (c == "/" && substr(s, i + 1, 1) == "*") {
            end = i + 3 + index(substr(s, i + 2), "*/") - 1
            spaced = 1
            continue
        }
        if (c == "'" || c == "\"") end = literal_end(s, i, c)
        else if (c == "`") end = template_end(s, i)
        else if (c == "}" && within_template[depth]) end = template_end(s, i)
        else if (c == "/" && pattern_after(token)) end = literal_end(s, i, "/")
        else if (word(c)) while (word(substr(s, end + 1, 1))) end++
        if (!end) fail(name ": what begins with " substr(s, i, 20) " does not end")
        # A bracket that closes a template's expression belongs to its text; one that opens another goes one deeper.
        if (c == "}" && depth) within_template[depth--] = 0
        last = substr(out, length(out))
        if (last == "," && c ~ /[})\]]/) {
            out = substr(out, 1, length(out) - 1)
        } else if (spaced && out != "") {
            out = out between(substr(out, length(out) - 1), last, c, broken)
        }
        token = substr(s, i, end - i + 1)
        out = out token
        if (c == "{") within_template[++depth] = 0
        else if ((c == "`" || c == "}") && token ~ /\$\{$/) within_template[++depth] = 1
        spaced = broken = 0
    }
    if (depth) fail(name ": a bracket is not closed")
    return out
}

# The module's own text of an import line, once what it names has been bundled.
function import_line(line, name, dry,    of, what) {
    if (line !~ /^import (\{ [A-Za-z0-9_, ]+ \}|\* as [A-Za-z0-9_]+|[A-Za-z0-9_]+) from '\.\/[a-z0-9]+\.js';$/)
        fail(name ": not an import as bundle.awk knows it: " line)
    of = line
    sub(/^.* from '\.\//, "", of)
    sub(/\.js';$/, "", of)
    if (dry) {
        walk(of)
        return ""
    }
    if (of in outside) needed[of] = 1
    else add(of)
    what = line
    sub(/^import /, "", what)
    sub(/ from .*$/, "", what)
    if (what ~ /^\*/) return "const " substr(what, 6) "=$" of ";\n"
    if (what ~ /^\{/) {
        gsub(/ as /, ": ", what)
        return "const " what "=$" of ";\n"
    }
    return "const " what "=$" of ".default;\n"
}

# Marks what a module and its imports are as bundled elsewhere.
function walk(name,    lines, n, i) {
    if (name in outside) return
    outside[name] = 1
    n = split(read(folder name ".js"), lines, "\n")
    for (i = 1; i <= n; i++) if (lines[i] ~ /^import /) import_line(lines[i], name, 1)
}

# Appends a module to the bundle, after those that it imports.
function add(name, is_entry,    lines, n, i, line, own, gives, key) {
    if (under_way[name]) fail(name " imports itself by way of others")
    if (name in added) return
    under_way[name] = 1
    n = split(read(folder name ".js"), lines, "\n")
    for (i = 1; i <= n; i++) {
        line = lines[i]
        if (line ~ /^import /) {
            line = import_line(line, name)
        } else if (line ~ /^export default / && !is_entry) {
            sub(/^export default /, "const $default = ", line)
            gives = gives ",default:$default"
        } else if (line ~ /^export / && !is_entry) {
            if (line !~ /^export (const|function|async function|class) [A-Za-z0-9_]+/) fail(name ": not an export as bundle.awk knows it: " line)
            sub(/^export /, "", line)
            key = line
            sub(/^(const|function|async function|class) /, "", key)
            match(key, /^[A-Za-z0-9_]+/)
            gives = gives "," substr(key, 1, RLENGTH)
        }
        own = own line "\n"
    }
    own = lean(own, name ".js")
    if (is_entry) bundle = bundle own "\n"
    else bundle = bundle "const $" name "=(()=>{" own "\nreturn{" substr(gives, 2) "}})();\n"
    if (!is_entry) given = given ",$" name
    delete under_way[name]
    added[name] = 1
}

function lean_css(s, name,    out, i, n, c, end, last) {
    n = length(s)
    for (i = 1; i <= n; i = end + 1) {
        end = i
        c = substr(s, i, 1)
        last = substr(out, length(out))
        if (c == "/" && substr(s, i + 1, 1) == "*") {
            end = index(substr(s, i + 2), "*/")
            if (!end) fail(name ": a comment does not end")
            end += i + 2
            continue
        }
        if (c == "\n" || c == " ") {
            while (substr(s, end + 1, 1) ~ /[ \n]/) end++
            # A space after a colon stands in a declaration alone, one before it joins selectors.
            if (last !~ /^[{};,:>]?$/ && substr(s, end + 1, 1) !~ /^[{};,>]?$/) out = out " "
            continue
        }
        if (c == "'" || c == "\"") end = literal_end(s, i, c)
        if (!end) fail(name ": a string does not end")
        if (c == "}" && last == ";") out = substr(out, 1, length(out) - 1)
        out = out substr(s, i, end - i + 1)
    }
    return out
}

BEGIN {
    if (css != "") {
        printf "%s", lean_css(read(css), css)
        exit
    }
    folder = entry
    sub(/[^\/]*$/, "", folder)
    sub(/^.*\//, "", entry)
    sub(/\.js$/, "", entry)
    sub(/\.js$/, "", within)
    if (within != "") walk(within)
    add(entry, 1)
    head = ""
    for (name in needed) list[++count] = name
    for (i = 2; i <= count; i++) # in an order of their own: a build gives the same bytes each time
        for (j = i; j > 1 && list[j - 1] > list[j]; j--) {
            swap = list[j]
            list[j] = list[j - 1]
            list[j - 1] = swap
        }
    for (i = 1; i <= count; i++) head = head (i > 1 ? "," : "") "$" list[i]
    if (head != "") printf "import{%s}from'./%s.js';", head, within
    printf "%s", bundle
    if (given != "" && within == "") printf "export{%s};\n", substr(given, 2)
}

END { if (failed) exit 1 }
