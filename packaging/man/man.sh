#!/bin/sh
# man.sh PAGE.in VERSION: prints the manual page: @VERSION@ is filled in, and for the line @REFERENCE@
# comes the configuration reference of README.md (what `qcc-supervisor --print-reference` prints, held
# by a test) as roff.
set -eu
page=${1:?man.sh PAGE.in VERSION}
version=${2:?man.sh PAGE.in VERSION}
top=$(dirname "$0")/../..

# Markdown of three kinds: headings, tables, paragraphs.
reference() {
    awk '
        # Text of a paragraph: what roff would take for its own is escaped, `code` becomes bold.
        function roff(text,    n, part, i, out) {
            gsub(/\\/, "\\e", text)
            gsub(/-/, "\\-", text)
            gsub(/…/, "...", text)
            n = split(text, part, "`")
            for (i = 1; i <= n; i++)
                out = out (i % 2 == 0 ? "\\fB" part[i] "\\fR" : part[i])
            if (out ~ /^[.\x27]/)
                out = "\\&" out
            return out
        }
        $0 == "<!-- reference -->" { on = 1; gap = 1; next }
        $0 == "<!-- /reference -->" { exit }
        !on { next }
        /^$/ { gap = 1; next }
        /^### / {
            sub(/^### /, "")
            gsub(/`/, "")
            print ".SS " "\"" roff($0) "\""
            table = 0
            next
        }
        /^\|/ {
            if ($0 ~ /^\| key \|/ || $0 ~ /^\|---/) { table = 1; next }
            sub(/^\| /, "")
            sub(/ \|$/, "")
            split($0, cell, / \| /)
            print ".TP"
            print roff(cell[1]) " (" roff(cell[3]) (cell[2] != "" ? "; default " roff(cell[2]) : "") ")"
            print roff(cell[4])
            next
        }
        {
            if (table) { print ".SS \"Identity of an endpoint\""; table = 0 }
            else if (gap) print ".PP"
            gap = 0
            print roff($0)
        }
    ' "$top/README.md"
}

while IFS= read -r line; do
    if [ "$line" = @REFERENCE@ ]; then
        reference
    else
        printf '%s\n' "$line"
    fi
done <"$page" | sed "s|@VERSION@|$version|g"
