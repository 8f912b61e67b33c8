#!/bin/sh
# embed.sh OUT FILE...: makes OUT/dashboard.S, which holds the dashboard whose source the FILEs are, plain and gzipped, and
# OUT/dashboard.inc, a line ASSET(number, path, type, bytes, bytes gzipped, tag, tag gzipped) for each file that is served;
# they stand in OUT/dashboard. A script that another imports is bundled with it (bundle.awk). A tag is the first 16 hex
# digits of the SHA-256 of the bytes. Fails over the budgets below: of all, of a language, and of FIRST, what a browser
# loads before it shows the first page.
set -eu
export LC_ALL=C
PLAIN_MAX=$((200 * 1024))
GZIP_MAX=$((70 * 1024))
FIRST_MAX=$((36 * 1024))
ZH_MAX=$((8 * 1024))
FIRST='index.html app.css app.js en.js'

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

bundle() { awk "$@" -f "$(dirname "$0")/bundle.awk"; }

# Whether one of the files imports the script NAME as it is loaded.
imported() { # NAME FILE...
    script=$1
    shift
    grep -q "^import .* from '\./$script';" "$@"
}

# A file as it is served: without comments and what indents it.
lean() {
    case $1 in
        */pages.js) bundle -v entry="$1" -v within=app.js ;;
        *.js) bundle -v entry="$1" ;;
        *.css) bundle -v css="$1" ;;
        *) sed -e 's/^  *//' "$1" ;;
    esac
}

mkdir -p "$out/dashboard"
rm -f "$out/dashboard"/*
number=0 plain=0 gzipped=0 first=0 page=
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
    case $name in
        *.js) ! imported "$name" "$@" || continue ;;
    esac
    lean "$file" >"$copy"
    gzip -9 -n -c "$copy" >"$copy.gz"
    n=$(bytes "$copy")
    z=$(bytes "$copy.gz")
    case $name in
        zh*.js) [ "$z" -le $ZH_MAX ] || fail "$name has $z bytes gzipped, over the budget of $ZH_MAX" ;;
    esac
    plain=$((plain + n))
    gzipped=$((gzipped + z))
    case " $FIRST " in *" $name "*) first=$((first + z)) ;; esac
    symbol dashboard_plain_$number "$copy" >>"$out/dashboard.S"
    symbol dashboard_gzip_$number "$copy.gz" >>"$out/dashboard.S"
    printf 'ASSET(%d, "%s", "%s; charset=utf-8", %d, %d, "%s", "%s")\n' \
        $number "$path" "$type" "$n" "$z" "$(tag "$copy")" "$(tag "$copy.gz")" >>"$out/dashboard.inc"
    number=$((number + 1))
done
[ -n "$page" ] || fail 'there is no index.html'
[ $plain -le $PLAIN_MAX ] || fail "the files have $plain bytes, over the budget of $PLAIN_MAX"
[ $first -le $FIRST_MAX ] || fail "the first page has $first bytes gzipped, over the budget of $FIRST_MAX"
[ $gzipped -le $GZIP_MAX ] || fail "the files have $gzipped bytes gzipped, over the budget of $GZIP_MAX"
