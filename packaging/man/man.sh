#!/bin/sh
# man.sh PAGE.md VERSION SUPERVISOR: prints the manual page as roff. The pages are written in a part of Markdown, so
# that a forge shows them too; man.awk says which. For the lines `<!-- reference -->` and `<!-- metrics -->` comes
# what SUPERVISOR --print-reference and --print-metrics print.
set -eu
page=${1:?man.sh PAGE.md VERSION SUPERVISOR}
version=${2:?man.sh PAGE.md VERSION SUPERVISOR}
supervisor=${3:?man.sh PAGE.md VERSION SUPERVISOR}
tmp=$(mktemp)
trap 'rm -f "$tmp"' EXIT

while IFS= read -r line; do
    case $line in
        '<!-- reference -->') "$supervisor" --print-reference ;;
        '<!-- metrics -->') "$supervisor" --print-metrics ;;
        *) printf '%s\n' "$line" ;;
    esac
done <"$page" >"$tmp"

LC_ALL=C awk -v version="$version" -f "$(dirname "$0")/man.awk" "$tmp"
