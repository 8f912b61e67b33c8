#!/bin/sh
# readme.sh SUPERVISOR [--check]: writes what `SUPERVISOR --print-reference` prints between the
# markers of README.md; with --check only tells whether it stands there already.
set -eu
cd "$(dirname "$0")/.."
supervisor=${1:?readme.sh SUPERVISOR [--check]}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

"$supervisor" --print-reference >"$tmp/reference"
for marker in '<!-- reference -->' '<!-- /reference -->'; do
    [ "$(grep -cxF -e "$marker" README.md)" = 1 ] || {
        echo "readme: README.md must have the line $marker once" >&2
        exit 1
    }
done
awk -v reference="$tmp/reference" '
    $0 == "<!-- reference -->" {
        print
        while ((getline line < reference) > 0) print line
        skip = 1
    }
    $0 == "<!-- /reference -->" { skip = 0 }
    !skip { print }
' README.md >"$tmp/readme"

if cmp -s "$tmp/readme" README.md; then
    exit 0
elif [ "${2:-}" = --check ]; then
    echo 'readme: the configuration reference in README.md is not what the program prints: make readme' >&2
    exit 1
fi
cat "$tmp/readme" >README.md
echo 'readme: README.md has the configuration reference anew'
