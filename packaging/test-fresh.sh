#!/usr/bin/env bash
# test-fresh.sh: the README's two commands on a fresh Debian 12 that has git, make and ca-certificates: `make run`
# until it has answered a request, and `make test`, of which T= (default: a small part) or, with FULL=1, all.
# What is committed is cloned, and nothing lies beside the clone. Prints "N passed, N failed"; says so where
# it cannot run.
set -u
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=packaging/box.sh
. packaging/box.sh
box_enter "$@"

suite=${SUITE:-bookworm}
work=$box_top/build/test-fresh
dir=$work/root
part=${T:-reference or (test_lifecycle and reload)}
[ -z "${FULL:-}" ] || part=
trap 'box_undo "$dir"' EXIT

inside() { box_in "$dir" "$@"; }
in_tree() { inside sh -c 'cd /root/qcc && exec "$@"' sh "$@"; }

mkdir -p "$work"
box_make "$dir" "$suite" || cannot "no base system to be had from $box_mirror"
inside apt-get -q update >"$work/apt.log" 2>&1
check 'git, make and ca-certificates' inside apt-get -q install -y git make ca-certificates || { total; exit; }
git clone -q "file://$box_top" "$dir/root/qcc" || exit 1
[ -z "$(git status --porcelain)" ] || say 'note: what is not committed is not tested'

# ---- make run
# Its ports are fixed. Where somebody has them, it gets a network of its own, after what it installs is there.
taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
net=()
if taken 7860 || taken 7861 || taken 7870; then
    say 'note: ports 7860, 7861 or 7870 are in use here: make run gets a network of its own'
    check 'packaging/deps.sh build run' in_tree packaging/deps.sh build run
    box_net
    net=(nsenter -t "$holder" -n)
fi
"${net[@]}" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb \
    chroot "$dir" sh -c 'cd /root/qcc && exec make run' </dev/null >"$work/run.log" 2>&1 &
run=$!
# curl has come with `make run`
ask() {
    kill -0 $run || return 1
    "${net[@]}" chroot "$dir" curl -sf --max-time 5 http://127.0.0.1:7860/v1/messages \
        -H 'authorization: Bearer demo' -H 'content-type: application/json' \
        -d '{"model":"claude-sonnet-4-5","max_tokens":100,"messages":[{"role":"user","content":"Hello"}]}' |
        grep -q '"type": *"message"'
}
ended() { ! kill -0 $run 2>/dev/null; }
answered() { ask || ended; }
until_true 900 answered
check 'make run serves a request' ask || tail -n 20 "$work/run.log"
# What Ctrl-C does at a terminal: to make's whole group.
supervisor=$(pgrep -x qcc-supervisor | head -n 1)
[ -z "$supervisor" ] || kill -TERM "$supervisor"
check 'and ends when it is told to' until_true 30 ended
kill $run 2>/dev/null

# ---- make test
say "make test, ${part:-all of it} (log: build/test-fresh/test.log)"
in_tree make test ${part:+T="$part"} </dev/null >"$work/test.log" 2>&1
result=$?
counts=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$work/test.log" | tail -n 1)
if [ $result = 0 ]; then
    ok "make test: $counts"
else
    bad "make test: ${counts:-no result}"
    tail -n 40 "$work/test.log"
fi
[ -n "${KEEP:-}" ] || box_drop "$dir"
total
