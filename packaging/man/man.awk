# man.awk: Markdown to man(7), as far as the pages of this folder use it:
#
#   # NAME(SECTION)       the title, first line of a page
#   ## HEADING            a chapter;  ### HEADING: a part of one
#   paragraphs            `code` and **bold** become bold, *word* italic; a link to a page, [qcc(7)](qcc.7.md),
#                         becomes a reference to it, of any other link the text stays
#   - item, 1. item       lists, one level; further lines of an item begin with two or three blanks
#   code                  lines that begin with four blanks, after an empty line
#   | tag | text | … |    tables become lists of tags with their text; what a third column and others say stands
#                         under the text, after the column's heading. Tables of keys and of metrics: see row()
#   <!-- … -->            is left out
#
# What is not ASCII and not known to ascii() is an error, as groff would read it in another encoding.

function fault(words) {
    print FILENAME ":" NR ": " words > "/dev/stderr"
    failed = 1
    exit 1
}

function ascii(text) {
    gsub(/…/, "...", text)
    gsub(/–/, "\\(en", text)
    gsub(/×/, "\\(mu", text)
    gsub(/≤/, "\\(<=", text)
    if (text ~ /[^ -~]/)
        fault("not ASCII: " text)
    return text
}

# Text inside `code`: every character is meant as it stands.
function literal(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    gsub(/'/, "\\(aq", text)
    gsub(/~/, "\\(ti", text)
    gsub(/\^/, "\\(ha", text)
    return ascii(text)
}

# **word** and *word*; an asterisk before anything but a letter or a hyphen is one.
function marked(text,    out, n, font, word) {
    while (match(text, /\*\*?[A-Za-z-][^*]*\*/)) {
        n = substr(text, RSTART, 2) == "**" ? 2 : 1
        if (n == 2 && substr(text, RSTART + RLENGTH, 1) != "*")
            fault("no second **: " text)
        font = n == 2 ? "\\fB" : "\\fI"
        word = substr(text, RSTART + n, RLENGTH - n - 1)
        gsub(/-/, "\\-", word)
        out = out substr(text, 1, RSTART - 1) font word "\\fR"
        text = substr(text, RSTART + RLENGTH + n - 1)
    }
    return out text
}

function prose(text,    out, link, name) {
    gsub(/\\/, "\\e", text)
    while (match(text, /\[[^]]+\]\([^ ]+\)/)) {
        link = substr(text, RSTART + 1, RLENGTH - 1)
        out = out substr(text, 1, RSTART - 1)
        text = substr(text, RSTART + RLENGTH)
        name = substr(link, 1, index(link, "](") - 1)
        if (name ~ /^[a-z.-]+\([1-8]\)$/) {
            link = name
            sub(/\(.*/, "", link)
            sub(/.*\(/, "(", name)
            name = "**" link "**" name
        }
        out = out name
    }
    text = out text
    gsub(/~/, "\\(ti", text)
    return marked(ascii(text))
}

# One line of roff.
function roff(text,    n, part, i, out) {
    n = split(text, part, "`")
    if (n % 2 == 0)
        fault("a ` is left over: " text)
    for (i = 1; i <= n; i++)
        out = out (i % 2 == 0 ? "\\fB" literal(part[i]) "\\fR" : prose(part[i]))
    return guarded(out)
}

# A dot or an apostrophe at the beginning of a line would be a request.
function guarded(line) {
    return line ~ /^[.']/ ? "\\&" line : line
}

# Prints text in lines of at most 78 characters.
function fold(text,    n, word, i, line) {
    n = split(roff(text), word, " ")
    for (i = 1; i <= n; i++) {
        if (line != "" && length(line) + 1 + length(word[i]) > 78) {
            print guarded(line)
            line = ""
        }
        line = line (line == "" ? "" : " ") word[i]
    }
    if (line != "")
        print guarded(line)
}

# Ends the paragraph or item that was gathered.
function flush_text() {
    if (text != "")
        fold(text)
    text = ""
}

function end_code() {
    if (code)
        print ".fi\n.RE"
    code = 0
    held = 0
}

# Cells of a table's line, from 1; returns how many. \| is no border.
function cells(line, cell,    n, i) {
    gsub(/\\\|/, "\001", line)
    sub(/^\| */, "", line)
    sub(/ *\|$/, "", line)
    n = split(line, cell, /[ ]*\|[ ]*/)
    for (i = 1; i <= n; i++)
        gsub(/\001/, "|", cell[i])
    return n
}

function row(line,    cell, n, i, more) {
    n = cells(line, cell)
    if (n != columns)
        fault("a line of " n " cells in a table of " columns)
    print ".TP"
    if (kind == "keys") {
        print roff(cell[1] " (" cell[3] (cell[2] != "" ? "; default " cell[2] : "") ")")
        fold(cell[4])
    } else if (kind == "metrics") {
        print roff(cell[1] " (" cell[2] (cell[3] != "" ? "; " cell[3] : "") ")")
        fold(cell[4])
    } else {
        print roff(cell[1])
        for (i = 2; i <= n; i++) {
            if (cell[i] == "")
                continue
            if (more)
                print ".br"
            fold((n > 2 && heading[i] != "" ? heading[i] ": " : "") cell[i])
            more = 1
        }
    }
}

/^<!--.*-->$/ { next }

/^    / && (code || (empty && !item)) {
    flush_text()
    if (!code)
        print (fresh ? "" : ".PP\n") ".RS 4\n.nf"
    for (; held > 0; held--)
        print ""
    code = 1
    fresh = 0
    line = literal(substr($0, 5))
    print guarded(line)
    empty = 0
    next
}
/^$/ {
    if (code) held++
    flush_text()
    empty = 1
    table = 0
    next
}
{ end_code() }

/^# / {
    if (!match($0, /^# [a-z.-]+\([1-8]\)$/))
        fault("not a title: " $0)
    title = substr($0, 3)
    section = substr(title, length(title) - 1, 1)
    sub(/\(.*/, "", title)
    print ".TH " literal(toupper(title)) " " section " \"\" \"QCC " version "\" \"QCC\""
    print ".nh\n.ad l" # names are neither divided nor spread
    titled = 1
    next
}
!titled { fault("a page begins with its title") }

/^##+ / {
    flush_text()
    chapter = /^## /
    sub(/^##+ /, "")
    gsub(/`/, "")
    print (chapter ? ".SH " : ".SS ") "\"" literal($0) "\""
    fresh = 1
    item = empty = 0
    name = ($0 == "NAME")
    next
}

/^\|/ {
    flush_text()
    item = 0
    if (!table) { # the line of headings
        columns = cells($0, heading)
        table = 1
        kind = $0 ~ /^\| key \| default \|/ ? "keys" : $0 ~ /^\| metric \| type \|/ ? "metrics" : ""
        reference = kind == "keys"
        next
    }
    fresh = 0
    if ($0 !~ /^\|[-|]+$/)
        row($0)
    empty = 0
    next
}

/^- / || /^[0-9]+\. / {
    flush_text()
    fresh = 0
    item = 1
    if (/^- /) {
        print ".IP \\(bu 3"
        text = substr($0, 3)
    } else {
        print ".IP " $1 " 4"
        text = substr($0, length($1) + 2)
    }
    empty = 0
    next
}

{
    if (name) { # "qcc - what it is", as whatis(1) reads it
        at = index($0, " - ")
        print literal(substr($0, 1, at - 1)) " \\- " prose(substr($0, at + 3))
        name = 0
        next
    }
    if (empty && item && !/^  /)
        item = 0
    if (text == "") {
        if (reference) { # what follows the table of the last keys speaks of all of them
            print ".SS \"Identity of an endpoint\""
            reference = 0
        } else if (item)
            print ".IP"
        else if (!fresh)
            print ".PP"
    }
    fresh = 0
    sub(/^ +/, "")
    text = text (text == "" ? "" : " ") $0
    empty = 0
}

END {
    if (failed)
        exit 1
    flush_text()
    end_code()
}
