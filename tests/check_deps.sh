#!/bin/sh
# check_deps.sh BUILD: holds the directions of the house against what the object files call.
# An include can be evaded by a local prototype; an object file cannot lie. BUILD is a plain build
# (tests/lint.sh makes it): sanitizers, fortified libc calls and LTO add or rename symbols.
set -u
build=${1:?check_deps.sh BUILD}
bad=0
export LC_ALL=C

# objects FIND-ARGUMENTS: object files under $build whose source still exists.
objects() {
    find "$@" -name '*.o' 2>/dev/null | sort | while read -r o; do
        source=${o#"$build"/}
        [ ! -e "${source%.o}.c" ] || echo "$o"
    done
}

# und OBJECTS: lines "object symbol" for each call outward. def OBJECTS: names that others may call.
und() { [ -z "$1" ] || echo "$1" | xargs nm -A -u | sed 's/:[[:space:]]*[UwWvV] / /' | grep -v ' _GLOBAL_OFFSET_TABLE_$'; }
def() { [ -z "$1" ] || echo "$1" | xargs nm --defined-only -g -p | awk 'NF == 3 { print $3 }' | sort -u; }

report() { # HITS RULE
    [ -n "$1" ] || return 0
    echo "$1" | sed "s|^$build/|  |; s|\.o |.c calls |"
    echo "  ^ $2"
    bad=1
}

never() { report "$(und "$1" | grep -E " ($2)\$")" "$3"; }                # OBJECTS PATTERN RULE
only() { report "$(und "$1" | grep -vE " ($2)\$")" "$3"; }                # OBJECTS PATTERN RULE
apart() { # OBJECTS OTHERS RULE: the first call nothing that only the second define
    own=$(def "$1")
    names=$(def "$2" | grep -vxF "${own:-none}" | tr '\n' '|')
    [ -z "$names" ] || never "$1" "${names%|}" "$3"
}

policy=$(objects "$build/common/policy")
common=$(objects "$build/common")
supervisor=$(objects "$build/supervisor" -not -path '*/qccctl/*' -not -path '*/recorder/*' -not -path '*/link/*')
recorder=$(objects "$build/supervisor/recorder")
link=$(objects "$build/supervisor/link")
qccctl=$(objects "$build/supervisor/qccctl")
worker=$(objects "$build/worker")
parsers=$(objects "$build/worker/http" "$build/worker/json")
for part in "$common" "$supervisor" "$recorder" "$link" "$qccctl" "$worker"; do
    [ -n "$part" ] || {
        echo "check_deps: objects of a part are missing under $build"
        exit 1
    }
done

# A policy computes: memory and text of its arguments, arithmetic, other policies. No clock, no
# allocation, no log, no I/O.
pure='mem(cpy|move|set|cmp|chr|mem)|strn?len|strn?cmp|strn?casecmp|str(chr|rchr|str)|__ctype_(b|tolower|toupper)_loc|to(lower|upper)'
pure="$pure|__u?(div|mod)ti3" # 128 bits, of the compiler
pure="$pure|(log2?|log1p|exp2?|expm1|pow|sqrt|floor|ceil|l?l?round|trunc|fmod|fmin|fmax|fabs|ldexp|frexp)f?|str_.*"
only "$policy" "$pure|$(def "$policy" | tr '\n' '|')none" 'common/policy is pure: no clock, no allocation, no log, no I/O'

apart "$common" "$supervisor" 'common does not know the supervisor'
apart "$common" "$worker" 'common does not know the worker'
never "$common" '(supervisor|slot|plan|worker|conn|req|exchange)_.*' 'common knows neither side'
never "$common" 'ev_.*' 'common starts no loop'
never "$common" '(curl|SSL|json|yaml|llhttp)_.*' 'common knows no library of one side'

apart "$supervisor" "$worker" 'the supervisor knows the worker by its messages only'
never "$supervisor" '(curl|json|SSL|BIO|llhttp|http1)_.*' 'the supervisor parses no byte from the network, speaks no TLS'
never "$qccctl" '(curl|SSL|BIO|yaml|llhttp|ev)_.*' 'qccctl speaks to the control socket only'
apart "$qccctl" "$supervisor" 'qccctl knows the supervisor by its control socket only'
apart "$qccctl" "$worker" 'qccctl knows no worker'

never "$common $supervisor $recorder $qccctl $worker" '(redis.*|freeReplyObject)' 'the link alone knows hiredis'
never "$link" 'redis(Async|Connect|Command|Append|GetReply|Buffer|Context|Free$).*' 'of hiredis the link uses the codec alone'
never "$link" '(curl|json|yaml|llhttp|sqlite3)_.*' 'the link has hiredis, OpenSSL and libev, and no other library'
apart "$link" "$supervisor" 'the link knows the supervisor by its messages only'
apart "$link" "$worker" 'the link knows no worker'

never "$common $supervisor $link $qccctl $worker" 'sqlite3_.*' 'the recorder alone knows SQLite'
never "$recorder" '(curl|json|SSL|BIO|yaml|llhttp|ev)_.*' 'the recorder has SQLite, and no other library of one side'
apart "$recorder" "$supervisor" 'the recorder knows the supervisor by its messages only'
apart "$recorder" "$worker" 'the recorder knows no worker'

disk='f?open(64)?|freopen(64)?|open(at|at2|dir)(64)?|creat(64)?|mkstemp.*|SSL_.*_file|SSL_CTX_load_verify_(locations|dir)|BIO_new_file|curl_easy_.*file'
apart "$worker" "$supervisor" 'the worker never calls upward'
never "$worker" '(supervisor|slot|plan)_.*' 'the worker never calls upward'
never "$worker" 'yaml_.*' 'the worker reads no YAML'
never "$worker" "$disk" 'the worker opens no file: keys and certificates come as memory'

never "$(echo "$worker" | grep -v '/dial[^/]*\.o$')" 'curl_(easy|multi|share|slist)_.*' 'worker/net/dial alone knows libcurl'
never "$common $supervisor $recorder $qccctl $(echo "$worker" | grep -v '/http/inflate\.o$')" '(inflate(Init2?_|Reset2?|End)?|deflate.*|gz[a-z]+|z?uncompress.*)' 'worker/http/inflate alone knows zlib'
jansson='json_(object|array|string|integer|real|number|true|false|null|load.?|dump.?|delete|v?pack.*|v?unpack.*)(_.*)?'
never "$parsers" "(ev|curl|SSL|BIO|log|clock)_.*|$jansson" 'worker/http and worker/json are pure over buffers'
apart "$parsers" "$(echo "$worker" | grep -vE '/worker/(http|json)/')" 'worker/http and worker/json know only base'

exit $bad
