#!/usr/bin/env bash
# run.sh BUILD CONF: what `make run` does once all is built. Serves CONF in the foreground; for the
# demonstration a simulated upstream is started before it. Ctrl-C stops both.
set -u
# Each child gets a process group of its own, so that Ctrl-C reaches this script alone, which passes
# it on once: the supervisor takes a second SIGINT for "stop at once".
set -m

build=${1:?run.sh BUILD CONF}
conf=${2:?run.sh BUILD CONF}
demo=conf/demo.yaml
fake_listen=127.0.0.1:7870
supervisor=
fake=

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

[ -r "$conf" ] || fail "cannot read $conf (CONF=FILE names another)"

if [ "$conf" = $demo ]; then
    chmod o-r "$demo" 2>/dev/null # its keys open nothing, and need no warning
    ! taken $fake_listen || fail "$fake_listen, where the simulated upstream is to listen, is in use"
    "$build/fake_upstream" --quiet --listen $fake_listen </dev/null >/dev/null &
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
    model='"model":"claude-sonnet-4-5","max_tokens":100'
    ask='"messages":[{"role":"user","content":"Hello"}]'
    auth="-H 'authorization: Bearer $token' -H 'content-type: application/json'"
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

The log follows here, a line for each request. Ctrl-C stops.

END
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
