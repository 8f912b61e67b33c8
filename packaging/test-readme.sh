#!/usr/bin/env bash
# test-readme.sh: follows README and manual word for word: README from "Claude Code in two lines" to "Install", and
# all pages of packaging/man, in a Debian without systemd, then in one that systemd has booted, as a user who may use
# sudo, with the package of this tree.
# Each step names the command as it stands there, and looks whether what was promised has come. A command that
# README or manual name and no step follows is a failure, and so is a step that they do not name.
# Prints "N passed, N failed"; says so where it cannot run.
#   --named     prints the commands that README and manual name
#   --unfollowed  prints those that no step here follows, without running any
# shellcheck disable=SC2016 # what is in single quotes is for a shell in there
# shellcheck disable=SC2218 # `inside` is defined anew for each of the two systems
set -u
cd "$(dirname "$0")/.." || exit 1

named() { awk -f packaging/readme-commands.awk README.md packaging/man/*.md; }
case ${1:-} in
    --named)
        named
        exit
        ;;
    --unfollowed)
        named | while IFS= read -r command; do
            cat packaging/test-readme*.sh | grep -qF -e "'$command'" -e "\"$command\"" || echo "$command"
        done
        exit
        ;;
esac
# shellcheck source=packaging/box.sh
. packaging/box.sh
box_enter "$@"

work=$box_top/build/test-readme
dir=$work/root
finish() {
    [ -z "$leader" ] || box_halt
    box_undo "$dir"
}
trap finish EXIT
mkdir -p "$work"
: >"$work/followed"
named >"$work/named"
# shellcheck source=packaging/test-readme-steps.sh
. packaging/test-readme-steps.sh

grep -qx 'ID=debian' /etc/os-release || cannot 'the package is built on Debian'
suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)

# ---- what a step is made of

# follow COMMAND: README or manual must name it.
follow() {
    echo "$1" >>"$work/followed"
    grep -qxF -- "$1" "$work/named" || bad "neither README nor manual name: $1"
}
# types USER COMMAND PROMISE [CHECK...]: the command, typed by that user in his folder qcc; its exit code must be
# $code (0), then the check must be true. What it prints is in $work/out.
#   with=     what sed puts in the place of the words
#   command2= what follows the command, such as an argument or what is piped into it
with='' code=0 input=/dev/null
types() {
    local user=$1 command=$2 promise=$3 line
    shift 3
    follow "$command"
    line=$(sed -e "$with" <<<"$command")
    tell "$user" "$line" "$command: $promise" "$@"
}
# tell USER LINE WHAT [CHECK...]: the same with a line of the test's own.
tell() {
    local user=$1 line=$2 what=$3 got
    shift 3
    as "$user" "$line" <"$input" >"$work/out" 2>&1
    got=$?
    if [ $got != "$code" ]; then
        bad "$what (exit $got, not $code)"
    elif [ $# -gt 0 ] && ! "$@" >"$work/why" 2>&1; then
        bad "$what"
        tail -n 5 "$work/why" | sed 's/^/    /'
    else
        ok "$what"
        return 0
    fi
    tail -n 15 "$work/out" | sed 's/^/    /'
    case $line in *systemctl*) inside journalctl -q -n 10 --no-pager -u qcc 2>/dev/null | sed 's/^/    journal: /' ;; esac
    return 1
}
as() { inside su - "$1" -c "cd ~/qcc && $2"; }
# says PATTERN...: each is in what was printed.
says() {
    local pattern
    for pattern; do
        grep -qE -e "$pattern" "$work/out" || { echo "not said: $pattern"; return 1; }
    done
}
says_not() { ! grep -E -e "$1" "$work/out"; }
# block FILE WORDS: the lines of code that follow these words there.
block() {
    awk -v words="$2" 'index($0, words) { on = 1 } on && /^    / { print substr($0, 5); got = 1; next }
        on && got && /^$/ { held = held "\n"; next } on && got { exit }' "$1"
}
answers() { [ "$(inside curl -s -o /dev/null -w '%{http_code}' --max-time 5 "http://127.0.0.1:7861$1")" = 200 ]; }
silent() { ! inside curl -s --max-time 2 http://127.0.0.1:7861/healthz; }
unit() { inside systemctl show -p "$1" --value qcc.service; }
active() { [ "$(unit ActiveState)" = active ]; }
inactive() { [ "$(unit ActiveState)" = inactive ]; }
other_main() { active && [ "$(unit MainPID)" != "$1" ]; }
has() { inside grep -qE -- "$1" "$2"; }
put() { inside sh -c 'cat >"$1"' sh "$1"; } # PATH <TEXT: mode and owner of what is there are kept

# ---- the two systems

say 'make deb, in this tree'
follow 'make deb'
check 'make deb' make -s deb || { total; exit 1; }
make -s -j"$(nproc)" all build/release/fake_upstream >"$work/build.log" 2>&1 || exit 1
follow 'make rpm'
follow 'sudo dnf install ./build/qcc-*.rpm'
skip 'make rpm and dnf install: they want a Fedora (test-package.sh tries the RPM with rpm)'

container_page

certificate() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=test-readme -keyout "$work/key.pem" -out "$work/cert.pem" \
        -addext 'subjectAltName=DNS:api.anthropic.com,DNS:relay.example.org,DNS:localhost,IP:127.0.0.1' \
        -addext basicConstraints=critical,CA:TRUE 2>&1
}
check 'a certificate for the endpoints of the README' certificate || { total; exit 1; }

users() {
    local name
    for name in alice bob eve; do
        inside useradd -m -s /bin/bash $name
        inside su - $name -c 'mkdir -p qcc/build'
    done
    mkdir "$dir/root/qcc"
    echo 'alice ALL=(ALL) NOPASSWD: ALL' >"$dir/etc/sudoers.d/alice"
    cp build/qcc_*.deb "$dir/home/alice/qcc/build/"
    cp build/release/fake_upstream "$dir/usr/local/bin/"
    cp "$work/cert.pem" "$work/key.pem" "$dir/root/"
    cp "$work/cert.pem" "$dir/usr/local/share/ca-certificates/test-readme.crt"
    printf '127.0.0.1 localhost %s api.anthropic.com relay.example.org\n' "$(hostname)" >>"$dir/etc/hosts"
    install -m 0755 /dev/stdin "$dir/usr/local/bin/claude" <<'END'
#!/bin/sh
# What Claude Code does first: asks whether anyone is there, then sends a message.
curl -sfI "$ANTHROPIC_BASE_URL/" >/dev/null || exit 7
curl -sS --fail-with-body "$ANTHROPIC_BASE_URL/v1/messages" -H "authorization: Bearer ${ANTHROPIC_AUTH_TOKEN:-none}" \
    -H 'content-type: application/json' -H "x-fake: ${FAKE:-echo}" -H "x-claude-code-session-id: ${SESSION:-0b7c}" \
    -D "$HOME/head" -d '{"model":"claude-sonnet-4-5","max_tokens":64,"messages":[{"role":"user","content":"Hello"}]}'
END
}

box_make "$dir" "$suite" || cannot "no base system to be had from $box_mirror"
inside() { box_in "$dir" "$@"; }
prepare() {
    inside apt-get -q update && inside apt-get -q install -y systemd systemd-sysv dbus curl logrotate sudo man-db \
        jq bash-completion zsh ca-certificates procps
}
check 'what the test needs, by apt-get' prepare || { total; exit 1; }
users

say 'without systemd'
input=$work/yes
yes 2>/dev/null | head -n 50 >"$input"
types alice 'sudo apt install ./build/qcc_*.deb' 'installs with all that it needs' inside test -x /usr/bin/qccctl ||
    { total; exit 1; }
input=/dev/null
box_net # from here on: others may use the same ports
inside() { nsenter -t "$holder" -n env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 chroot "$dir" "$@"; }
inside update-ca-certificates >/dev/null 2>&1
without_systemd
kill $holder

inside() { box_in "$dir" "$@"; }
inside sh -c 'apt-get -q purge -y qcc && userdel qcc' >"$work/apt.log" 2>&1
box_undo "$dir"
if box_boot "$dir" "$work/boot.log"; then
    inside() { box_inside "$@"; }
    say 'booted by systemd'
    with_systemd
    comm -23 <(sort -u "$work/named") <(sort -u "$work/followed") >"$work/unfollowed"
    check 'every command that README and manual name was followed' sh -c '! grep . "$1"' sh "$work/unfollowed"
    box_halt
else
    skip "with systemd: it does not boot here ($(tail -n 1 "$work/boot.log"))"
    [ -z "$leader" ] || box_halt
fi
[ -n "${KEEP:-}" ] || box_drop "$dir"
total
