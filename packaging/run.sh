#!/usr/bin/env bash
# run.sh BUILD CONF: what `make run` does once all is built. Serves CONF in the foreground; for the
# demonstration a simulated upstream is started before it, and with DEMO_TRAFFIC=1 a trickle of
# requests is sent through it. Ctrl-C stops all.
set -u
# Each child gets a process group of its own, so that Ctrl-C reaches this script alone, which passes
# it on once: the supervisor takes a second SIGINT for "stop at once".
set -m

build=${1:?run.sh BUILD CONF}
conf=${2:?run.sh BUILD CONF}
demo=conf/demo.yaml
supervisor=
fake=
traffic=

alive() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }
fail() {
    printf 'run: %s\n' "$*" >&2
    exit 1
}

# shellcheck disable=SC2317 # called by trap
pass_on() {
    if alive "$supervisor"; then kill -s "$1" "$supervisor"; else exit 1; fi
}

# shellcheck disable=SC2317 # called by trap
end() {
    alive "$traffic" && kill -TERM -- "-$traffic" && wait "$traffic"
    alive "$supervisor" && kill -TERM "$supervisor" && wait "$supervisor"
    alive "$fake" && kill -TERM "$fake" && wait "$fake"
} 2>/dev/null

trap 'pass_on INT' INT
trap 'pass_on TERM' TERM HUP
trap end EXIT

# answers URL PID: waits until URL gives any reply; false when the process ends before, or after 10s.
answers() {
    for _ in {1..100}; do
        alive "$2" || return 1
        curl -s -o /dev/null -I --max-time 1 --noproxy '*' "$1" && return 0
        sleep 0.1
    done
    return 1
}

# taken HOST:PORT: whether somebody serves there already, who would then answer in our place.
taken() { (exec 3<>"/dev/tcp/${1%:*}/${1##*:}") 2>/dev/null; }

# The first address of `listen` as clients on this machine reach it, if it is a plain IPv4 or named one.
address() {
    local a=127.0.0.1:7860
    if grep -q '^listen:' "$1"; then
        a=$(sed -n 's/^listen:[[:space:]]*\[*[[:space:]]*"*\([A-Za-z0-9.*-]*:[0-9][0-9]*\)\("\|,\|[[:space:]]\|$\).*/\1/p' "$1" |
            head -n 1)
    fi
    case $a in
        0.0.0.0:* | '*:'*) a=127.0.0.1:${a##*:} ;;
    esac
    echo "$a"
}

# trickle URL: about two requests a second of a few conversations, until this script has ended.
# Nothing but the demonstration is asked: real endpoints cost money.
trickle() {
    local models=(claude-sonnet-5-5 claude-sonnet-5-5 claude-opus-5-5 claude-haiku-5-5) n=0 body
    while kill -0 $$ 2>/dev/null; do
        n=$((n + 1))
        body='{"model":"'${models[RANDOM % 4]}'","max_tokens":100,"messages":[{"role":"user","content":"Hello"}]'
        [ $((RANDOM % 3)) -eq 0 ] || body+=',"stream":true'
        curl -s -o /dev/null --max-time 30 --noproxy '*' "$1/v1/messages" -H 'authorization: Bearer demo' \
            -H 'content-type: application/json' -H "x-conversation-id: demo-$((RANDOM % 6))-$((n / 200))" -d "$body}" &
        sleep 0.$((RANDOM % 7 + 2))
        [ $((n % 4)) -ne 0 ] || wait # for the slowest, so that no crowd gathers
    done
}

[ -r "$conf" ] || fail "cannot read $conf (CONF=FILE names another)"

if [ "$conf" = $demo ]; then
    fake_listen=$(sed -n 's#.*base_url: http://\([^/]*\)/.*#\1#p' "$demo" | head -n 1)
    chmod o-r "$demo" 2>/dev/null # its keys open nothing, and need no warning
    ! taken "$fake_listen" || fail "$fake_listen, where the simulated upstream is to listen, is in use"
    "$build/fake_upstream" --quiet --listen "$fake_listen" </dev/null >/dev/null &
    fake=$!
    answers "http://$fake_listen/" "$fake" ||
        fail "the simulated upstream does not serve on $fake_listen"
fi

at=$(address "$conf")
if [ -n "$at" ] && taken "$at"; then at=; fi # the supervisor says so itself
"$build/qcc-supervisor" -c "$conf" </dev/null &
supervisor=$!

if [ -n "$at" ] && answers "http://$at/" "$supervisor"; then
    token='YOUR_TOKEN'
    ctl="$build/qccctl -c $conf"
    if [ "$conf" = $demo ]; then
        token=demo
        ctl=$build/qccctl
    fi
    more=
    if [ "$conf" = $demo ] && [ "${DEMO_TRAFFIC:-0}" != 1 ]; then
        more=$'  With DEMO_TRAFFIC=1 before `make run` a trickle of requests makes the dashboard live.\n'
    fi
    model='"model":"claude-sonnet-4-5","max_tokens":100'
    ask='"messages":[{"role":"user","content":"Hello"}]'
    auth="-H 'authorization: Bearer $token' -H 'content-type: application/json'"
    if page=$("$build/qccctl" -c "$conf" dashboard --no-open 2>/dev/null); then
        printf '\nThe dashboard: %s\n' "$page"
    fi
    cat <<END

QCC serves $conf on http://$at

  A message:
    curl -s http://$at/v1/messages $auth -d '{$model,$ask}'
  The same, streamed:
    curl -sN http://$at/v1/messages $auth -d '{$model,"stream":true,$ask}'
  Claude Code, in another terminal:
    export ANTHROPIC_BASE_URL=http://$at
    export ANTHROPIC_AUTH_TOKEN=$token
  How the endpoints are, the last requests, and what was tried for one of them:
    $ctl endpoints
    $ctl requests
    $ctl why REQUEST-ID
$more
The log follows here, a line for each request. Ctrl-C stops.

END
fi

if [ "$conf" = $demo ] && [ "${DEMO_TRAFFIC:-0}" = 1 ] && [ -n "$at" ]; then
    trickle "http://$at" </dev/null >/dev/null 2>&1 &
    traffic=$!
fi

# `wait` returns early each time a signal is passed on: go on until the supervisor has ended.
while :; do
    wait "$supervisor"
    status=$?
    alive "$supervisor" || break
done
if [ "$status" -gt 128 ]; then # the signal's number, unless the shell still knows the real status
    wait "$supervisor" 2>/dev/null
    real=$?
    [ $real -eq 127 ] || status=$real
fi
exit "$status"
