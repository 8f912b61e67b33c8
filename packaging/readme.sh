#!/bin/sh
# readme.sh SUPERVISOR [--check]: writes what `SUPERVISOR --print-reference` and `--print-metrics`
# print between the markers of README.md; with --check only tells whether it stands there already.
set -eu
cd "$(dirname "$0")/.."
supervisor=${1:?readme.sh SUPERVISOR [--check]}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

cp README.md "$tmp/readme"
for part in reference metrics; do
    "$supervisor" "--print-$part" >"$tmp/printed"
    for marker in "<!-- $part -->" "<!-- /$part -->"; do
        [ "$(grep -cxF -e "$marker" README.md)" = 1 ] || {
            echo "readme: README.md must have the line $marker once" >&2
            exit 1
        }
    done
    awk -v printed="$tmp/printed" -v part="$part" '
        $0 == "<!-- " part " -->" {
            print
            while ((getline line < printed) > 0) print line
            skip = 1
        }
        $0 == "<!-- /" part " -->" { skip = 0 }
        !skip { print }
    ' "$tmp/readme" >"$tmp/next"
    mv "$tmp/next" "$tmp/readme"
done

if cmp -s "$tmp/readme" README.md; then
    exit 0
elif [ "${2:-}" = --check ]; then
    echo 'readme: the configuration reference or the metrics in README.md are not what the program prints: make readme' >&2
    exit 1
fi
cat "$tmp/readme" >README.md
echo 'readme: README.md has the configuration reference and the metrics anew'
