#!/bin/sh
# embed.sh OUT FILE...: makes OUT/dashboard.S, which holds each FILE of the dashboard, plain and gzipped, and
# OUT/dashboard.inc, a line ASSET(number, path, type, bytes, bytes gzipped, tag, tag gzipped) for each. A tag is the
# first 16 hex digits of the SHA-256 of the bytes. Fails over the budgets below.
set -eu
export LC_ALL=C
PLAIN_MAX=$((220 * 1024))
GZIP_MAX=$((80 * 1024))
ZH_MAX=$((8 * 1024))

out=${1:?embed.sh OUT FILE...}
shift
fail() {
    echo "dashboard: $*" >&2
    exit 1
}
bytes() { wc -c <"$1" | tr -d ' '; }
tag() { sha256sum "$1" | cut -c 1-16; }
symbol() { # NAME FILE
    printf '\n    .globl %s\n    .hidden %s\n    .balign 16\n%s:\n    .incbin "%s"\n' "$1" "$1" "$1" "$2"
}

# A script without its comments' lines and what stands before a line's first word; the lines keep their numbers.
lean() {
    case $1 in
        *.js) sed -e 's/^  *//' -e 's|^//.*||' "$1" ;;
        *) sed -e 's/^  *//' "$1" ;;
    esac
}

mkdir -p "$out/dashboard"
rm -f "$out/dashboard"/*
number=0 plain=0 gzipped=0 page=
{
    echo '    .section .note.GNU-stack,"",%progbits'
    echo '    .section .rodata,"a",%progbits'
} >"$out/dashboard.S"
: >"$out/dashboard.inc"
for file in "$@"; do
    name=${file##*/}
    copy=$out/dashboard/$name
    path=/ui/$name
    case $name in
        *[!a-z0-9_.-]*) fail "$file: a name has a-z 0-9 _ . - only" ;;
        index.html) path=/ page=1 type='text/html' ;;
        *.css) type='text/css' ;;
        *.js) type='text/javascript' ;;
        *.svg) type='image/svg+xml' ;;
        *) fail "$file: no content type is known for this name" ;;
    esac
    lean "$file" >"$copy"
    gzip -9 -n -c "$copy" >"$copy.gz"
    n=$(bytes "$copy")
    z=$(bytes "$copy.gz")
    [ "$name" != zh.js ] || [ "$z" -le $ZH_MAX ] || fail "zh.js has $z bytes gzipped, over the budget of $ZH_MAX"
    plain=$((plain + n))
    gzipped=$((gzipped + z))
    symbol dashboard_plain_$number "$copy" >>"$out/dashboard.S"
    symbol dashboard_gzip_$number "$copy.gz" >>"$out/dashboard.S"
    printf 'ASSET(%d, "%s", "%s; charset=utf-8", %d, %d, "%s", "%s")\n' \
        $number "$path" "$type" "$n" "$z" "$(tag "$copy")" "$(tag "$copy.gz")" >>"$out/dashboard.inc"
    number=$((number + 1))
done
[ -n "$page" ] || fail 'there is no index.html'
[ $plain -le $PLAIN_MAX ] || fail "the files have $plain bytes, over the budget of $PLAIN_MAX"
[ $gzipped -le $GZIP_MAX ] || fail "the files have $gzipped bytes gzipped, over the budget of $GZIP_MAX"
