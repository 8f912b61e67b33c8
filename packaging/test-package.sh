#!/usr/bin/env bash
# test-package.sh: the life of the Debian package, in two systems of its own: in a chroot without systemd,
# where the supervisor is started the way the unit says, and booted by systemd in a container.
# Installation, files, start, a request, an upgrade under a running stream, removal, purge.
# The RPM's scripts are tried in the second, too. Prints "N passed, N failed"; says so where it cannot run.
#   PARTS=  one of the two: in_chroot, with_systemd
#   SUITE=  Debian's release (default: this machine's, else bookworm); for another than this machine's the
#           package is built in a chroot of its own
# shellcheck disable=SC2016 # what is in single quotes is for a shell in there
set -u
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=packaging/box.sh
. packaging/box.sh
box_enter "$@"

work=$box_top/build/test-package
upstream_at=127.0.0.1:7870
message='{"model":"claude-sonnet-4-5","max_tokens":64,"messages":[{"role":"user","content":"Hello"}]}'

finish() {
    [ -z "${leader:-}" ] || box_halt
    box_undo "$work/chroot"
    box_undo "$work/boot"
    box_undo "$work/builder"
}
trap finish EXIT

# ---- what is tested: this tree's package, and one of a higher version

here=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
grep -qx 'ID=debian' /etc/os-release || here=
suite=${SUITE:-${here:-bookworm}}
version=$(make -s version)
higher=${version%%-*}.1
mkdir -p "$work"
rpms=

build_here() {
    local v
    for v in "$version" "$higher"; do
        packaging/deb.sh "$v" "$work/$v" >"$work/build.log" 2>&1 || return
        ! command -v rpmbuild >/dev/null || packaging/rpm.sh "$v" "$work/$v" >>"$work/build.log" 2>&1 || return
    done
    ! command -v rpmbuild >/dev/null || rpms=yes
    make -s -j"$(nproc)" build/release/fake_upstream && cp build/release/fake_upstream "$work/"
}

build_there() {
    local dir=$work/builder v
    box_make "$dir" "$suite" || cannot "no base system to be had from $box_mirror"
    mkdir "$dir/root/qcc"
    git ls-files -z | tar -cf - --null -T - | tar -C "$dir/root/qcc" -xf -
    box_in "$dir" sh -exc 'apt-get -q update; apt-get -q install -y make git; cd /root/qcc; packaging/deps.sh deb
        for v; do packaging/deb.sh "$v" "/root/$v"; done
        make -s -j"$(nproc)" build/release/fake_upstream' sh "$version" "$higher" >"$work/build.log" 2>&1 || return
    rm -rf "${work:?}/$version" "${work:?}/$higher"
    cp -r "$dir/root/$version" "$dir/root/$higher" "$dir/root/qcc/build/release/fake_upstream" "$work/"
    box_drop "$dir"
}

if [ "$suite" = "$here" ]; then build_here; else build_there; fi || {
    tail -n 40 "$work/build.log"
    echo 'FAILED: the package is built'
    exit 1
}
first=$(echo "$work/$version"/qcc_*.deb)
second=$(echo "$work/$higher"/qcc_*.deb)
say "packages $(basename "$first") and $(basename "$second"), Debian $suite"

# ---- the same in both: run by `inside COMMAND...`, which each part defines

# A configuration that uses the simulated upstream; the stream takes about 20 s.
write_conf() { # DIR
    cat >"$1/etc/qcc/qcc.yaml" <<END
endpoints:
  - name: quick
    base_url: http://$upstream_at/s/name=quick
    api_key: sk-test-0123456789
    models: {allow: [claude-sonnet-4-5]}
  - name: long
    base_url: http://$upstream_at/s/events=100,gap_ms=200
    api_key: sk-test-9876543210
    models: {allow: [claude-opus-4-1]}
state_dir: /var/lib/qcc
END
}

answers() { [ "$(inside curl -s -o /dev/null -w '%{http_code}' --max-time 5 "http://127.0.0.1:7861$1")" = 200 ]; }
request() {
    inside curl -sS --fail-with-body --max-time 20 http://127.0.0.1:7860/v1/messages -H 'content-type: application/json' -d "$message"
}
status() { inside curl -sS --max-time 5 http://127.0.0.1:7861/api/v1/status; }
stream() { # FILE
    inside curl -sSN --max-time 60 http://127.0.0.1:7860/v1/messages -H 'content-type: application/json' \
        -d "$(echo "$message" | sed 's/sonnet-4-5/opus-4-1/; s/^{/{"stream":true,/')" >"$1" 2>&1
}
running_version() { status | grep -q "\"version\": *\"$1\""; }
package_state() { inside dpkg-query -W -f '${db:Status-Abbrev}' qcc 2>/dev/null; }

# mode owner group path, for each; anything else is said.
files() {
    local mode owner group path has
    while read -r mode owner group path; do
        has=$(inside stat -c '%a %U %G' "$path" 2>&1)
        [ "$has" = "$mode $owner $group" ] || echo "$path: $has, not $mode $owner $group"
    done <<'END'
755 root root /usr/bin/qcc-supervisor
755 root root /usr/bin/qccctl
755 root root /usr/libexec/qcc/qcc-worker
755 root root /usr/libexec/qcc/qcc-recorder
755 root root /usr/libexec/qcc/qcc-link
755 root root /usr/libexec/qcc/qcc-service
750 root qcc /etc/qcc
640 root qcc /etc/qcc/qcc.yaml
640 root qcc /etc/qcc/qcc.env
644 root root /etc/logrotate.d/qcc
644 root root /usr/share/qcc/prices.yaml
644 root root /lib/systemd/system/qcc.service
644 root root /lib/systemd/system/qcc.socket
644 root root /usr/share/man/man8/qcc-supervisor.8.gz
644 root root /usr/share/man/man5/qcc.yaml.5.gz
644 root root /usr/share/man/man1/qccctl.1.gz
644 root root /usr/share/man/man7/qcc.7.gz
644 root root /usr/share/man/man7/qcc-metrics.7.gz
644 root root /usr/share/man/man7/qcc-container.7.gz
700 qcc qcc /var/lib/qcc
750 qcc qcc /var/log/qcc
END
}
no_files_differ() {
    local out
    out=$(files)
    [ -z "$out" ] || { echo "$out"; false; }
}
conffiles() {
    [ "$(inside dpkg-query -W -f '${Conffiles}' qcc | awk '{ print $1 }' | sort | xargs)" = \
        '/etc/logrotate.d/qcc /etc/qcc/qcc.env /etc/qcc/qcc.yaml' ]
}
# A closed account: no password, no shell.
user_closed() { inside getent passwd qcc | grep -q '/usr/sbin/nologin$' && inside getent shadow qcc | grep -q '^qcc:[!*]'; }
no_user() { ! inside getent passwd qcc; }

# How many requests the history has.
stored() { inside qccctl --json history | sed -n 's/.*"requests": *\([0-9]*\).*/\1/p'; }
stored_all() { [ "$(stored)" = "$1" ] && inside qccctl --json history | grep -q '"dropped": *0[,}]'; }

# A stream begins before the upgrade of the package and ends after it.
upgrade_under_stream() { # DIR COMMAND...
    local dir=$1 before
    shift
    sleep 3 # a second for the recorder, and one until it says so
    before=$(stored)
    stream "$work/stream" &
    local client=$!
    until_true 20 grep -q content_block_delta "$work/stream" || { bad 'the stream begins'; return; }
    check "upgrade of the package: $*" inside "$@"
    check 'the new version serves' until_true 30 running_version "$higher"
    check 'a request after the upgrade' request
    if grep -q message_stop "$work/stream"; then
        bad 'the stream was still running at the upgrade'
    fi
    wait $client
    if [ "$(grep -c '^event: content_block_delta' "$work/stream")" = 100 ] && grep -q message_stop "$work/stream"; then
        ok 'the stream was not cut by the upgrade'
    else
        bad "the stream was cut: $(tail -n 3 "$work/stream")"
    fi
    check 'the history has lost no request' until_true 20 stored_all $((${before:-0} + 2))
    check 'the edited configuration is kept' grep -q 'name: long' "$dir/etc/qcc/qcc.yaml"
    check 'modes and owners are kept' no_files_differ
}

after_removal() { # DIR
    check 'nothing answers after the removal' until_true 20 silent
    check 'the removal leaves the configuration' test -e "$1/etc/qcc/qcc.yaml"
    check 'the removal leaves no program' inside sh -c '! test -e /usr/bin/qcc-supervisor && ! test -e /usr/libexec/qcc'
}
silent() { ! inside curl -s --max-time 2 http://127.0.0.1:7861/healthz; }
after_purge() { # DIR
    check 'the purge leaves nothing' inside sh -c '! ls -d /etc/qcc /var/lib/qcc /var/log/qcc /run/qcc.installed /etc/logrotate.d/qcc 2>/dev/null'
    check 'the package is gone' test -z "$(package_state | tr -d 'un ')"
}

put_packages() { # DIR
    cp "$first" "$1/root/first.deb"
    cp "$second" "$1/root/second.deb"
    cp "$work/fake_upstream" "$1/root/"
    [ -z "$rpms" ] || cp "$work/$version"/qcc-*.rpm "$1/root/first.rpm"
    [ -z "$rpms" ] || cp "$work/$higher"/qcc-*.rpm "$1/root/second.rpm"
}

# ---- in a chroot, without systemd

# As qcc.service says, as far as that can be had without systemd: user, no capabilities, no new privileges,
# a system that cannot be written but for the service's folders, of /proc only its own processes.
as_unit() {
    mkdir -p "$work/chroot/run/qcc"
    inside chown qcc:qcc /run/qcc
    inside chmod 0750 /run/qcc
    inside unshare --mount sh -c '
        set -e
        for d in /run/qcc /var/lib/qcc /var/log/qcc; do mount --bind $d $d; done
        mount -t tmpfs -o mode=1777 tmp /tmp
        mount -o remount,bind,ro /
        umount -l /proc && mount -t proc -o hidepid=invisible,subset=pid proc /proc
        ! touch /root/x 2>/dev/null
        umask 0077
        exec setpriv --reuid qcc --regid qcc --init-groups --no-new-privs --bounding-set -all --inh-caps -all \
            env -i PATH=/usr/bin RUNTIME_DIRECTORY=/run/qcc STATE_DIRECTORY=/var/lib/qcc LOGS_DIRECTORY=/var/log/qcc \
            /usr/bin/qcc-supervisor -c /etc/qcc/qcc.yaml' </dev/null >>"$work/chroot.log" 2>&1 &
}

in_chroot() {
    local dir=$work/chroot
    say 'in a chroot, without systemd'
    box_make "$dir" "$suite" || cannot "no base system to be had from $box_mirror"
    inside() { box_in "$dir" "$@"; }
    put_packages "$dir"
    : >"$work/chroot.log"
    inside apt-get -q update >"$work/apt.log" 2>&1
    check 'apt-get install ./qcc.deb' inside apt-get -q install -y /root/first.deb curl || return
    check 'files, modes, owners' no_files_differ
    check 'configuration files are known as such' conffiles
    check 'user qcc, who cannot log in' user_closed
    check 'the installed configuration is good, read by user qcc' \
        inside setpriv --reuid qcc --regid qcc --clear-groups qcc-supervisor -t -c /etc/qcc/qcc.yaml

    # from here on with a network of its own: other tests may be using the same ports
    box_net
    inside() { nsenter -t "$holder" -n env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive chroot "$dir" "$@"; }
    inside /root/fake_upstream --quiet --listen $upstream_at >/dev/null &
    as_unit
    check 'it starts as installed' until_true 20 answers /healthz || { tail "$work/chroot.log"; return; }
    write_conf "$dir"
    inside sh -c 'kill -HUP "$(/usr/libexec/qcc/qcc-service pid)"'
    check 'a request, after a reload' until_true 20 request
    check 'logs are reopened' inside /usr/libexec/qcc/qcc-service reopen
    check 'qccctl finds the service' inside qccctl status
    upgrade_under_stream "$dir" dpkg -i /root/second.deb
    check 'apt-get remove' inside apt-get -q remove -y qcc
    after_removal "$dir"
    check 'apt-get purge' inside apt-get -q purge -y qcc
    after_purge
    kill $holder
    box_drop "$dir"
}

# ---- booted by systemd

unit() { inside systemctl show -p "$1" --value qcc.service; }
active() { [ "$(unit ActiveState)" = active ] && [ "$(unit SubState)" = running ]; }
other_main() { active && [ "$(unit MainPID)" != "$1" ]; }
inactive() { [ "$(unit ActiveState)" = inactive ]; }
# The sandbox is on in the workers too.
sandboxed() {
    local pid
    for pid in $(inside sh -c 'cat /sys/fs/cgroup/systemd/system.slice/qcc.service/cgroup.procs 2>/dev/null ||
        cat /sys/fs/cgroup/system.slice/qcc.service/cgroup.procs'); do
        inside grep -q '^Seccomp:.2' "/proc/$pid/status" && inside grep -q '^NoNewPrivs:.1' "/proc/$pid/status" &&
            inside grep -q '^CapBnd:.0*$' "/proc/$pid/status" || return 1
    done
    [ -n "$pid" ]
}
reload_refused() {
    inside sh -c 'cp -p /etc/qcc/qcc.yaml /root/good; echo "wrokers: 2" >>/etc/qcc/qcc.yaml'
    ! inside systemctl reload qcc.service
    local r=$?
    inside sh -c 'cat /root/good >/etc/qcc/qcc.yaml'
    return $r
}
dropin() { # NAME TEXT
    inside sh -c 'mkdir -p /etc/systemd/system/qcc.service.d && printf "%s\n" "$2" >"/etc/systemd/system/qcc.service.d/$1" &&
        systemctl daemon-reload' sh "$1" "$2"
}
# Beyond loopback only with clients.
listen_on() { # EXTRA ADDRESS
    sed -i '/^listen:/d; /^clients:/d' "$work/boot/etc/qcc/qcc.yaml"
    [ -z "$1" ] || printf 'listen: ["127.0.0.1:7860", "%s"]\nclients: [{name: a, token: secret}]\n' "$1" >>"$work/boot/etc/qcc/qcc.yaml"
}
# The commands that stand under these words in qcc-supervisor(8). root needs no sudo.
page_says() {
    local commands
    commands=$(awk -v words="$1" 'index($0, words) { on = 1 } on && /^    / { print; got = 1 } on && got && /^$/ { exit }' packaging/man/qcc-supervisor.8.md |
        sed 's/^ *//; s/^sudo //')
    [ -n "$commands" ] && inside sh -euxc "$commands"
}
at_443() { inside curl -sS --fail-with-body --max-time 5 -I http://127.0.0.1:443/; }

with_systemd() {
    local dir=$work/boot main
    command -v systemd-nspawn >/dev/null || { skip 'with systemd: no systemd-nspawn here'; return; }
    say 'booted by systemd, in a container'
    box_make "$dir" "$suite" || return
    put_packages "$dir"
    inside() { box_in "$dir" "$@"; }
    inside apt-get -q update >"$work/apt.log" 2>&1
    # all that the package needs but the package: the container has no network
    inside sh -c 'apt-get -q install -y systemd systemd-sysv dbus curl logrotate $1 /root/first.deb &&
        apt-get -q purge -y qcc && userdel qcc' sh "${rpms:+rpm}" >>"$work/apt.log" 2>&1 || { bad 'apt-get install of what is needed'; tail "$work/apt.log"; return; }
    box_undo "$dir"
    inside() { box_inside "$@"; }
    if ! box_boot "$dir" "$work/boot.log"; then
        skip "with systemd: it does not boot here ($(tail -n 1 "$work/boot.log"))"
        [ -z "$leader" ] || box_halt
        return
    fi
    inside /root/fake_upstream --quiet --listen $upstream_at >/dev/null &

    check 'dpkg -i' inside dpkg -i /root/first.deb
    check 'the installation has started the service' until_true 20 active
    check 'and enabled it' inside systemctl -q is-enabled qcc.service
    check 'it serves as installed' until_true 10 answers /healthz
    check 'files, modes, owners' no_files_differ
    check 'systemd-analyze verify' inside sh -c 'test -z "$(systemd-analyze verify --man=no qcc.service qcc.socket 2>&1)"'
    check 'no capability, no new privileges, a filter: in each process' sandboxed
    write_conf "$dir"
    main=$(unit MainPID)
    check "systemctl reload, Type=$(unit Type)" inside systemctl reload qcc.service
    check 'systemctl reload fails with a faulty configuration' reload_refused
    check 'a request' until_true 20 request
    check 'by the same process' test "$main" = "$(unit MainPID)"

    echo 'log: {file: /var/log/qcc/qcc.log}' >>"$dir/etc/qcc/qcc.yaml"
    inside systemctl kill -s HUP --kill-whom=main qcc.service
    check 'the log goes to a file' until_true 20 inside test -s /var/log/qcc/qcc.log
    check 'logrotate' inside logrotate -f /etc/logrotate.d/qcc
    check 'and the file is opened anew' until_true 10 inside grep -q 'reopened' /var/log/qcc/qcc.log
    sed -i '/^log:/d' "$dir/etc/qcc/qcc.yaml"

    dropin watchdog.conf "$(printf '[Service]\nWatchdogSec=3s')"
    inside systemctl kill -s KILL --kill-whom=main qcc.service
    check 'killed, it is started again' until_true 20 other_main "$main"
    until_true 10 answers /healthz

    main=$(unit MainPID)
    upgrade_under_stream "$dir" dpkg -i /root/second.deb
    check 'systemd has the new process for the main one' other_main "$main"
    check 'which was not restarted' test "$(unit NRestarts)" = 1
    main=$(unit MainPID)
    sleep 5 # more than the watchdog's time
    check 'the watchdog is content with the new process' test "$(unit MainPID) $(unit ActiveState)" = "$main active"
    check 'a new program that refuses the configuration leaves the old one serving' refused_upgrade

    # port 443, both ways
    listen_on '*:443'
    check "the manual's words for socket activation" page_says 'By socket activation'
    check 'port 443 through qcc.socket' until_true 20 at_443
    check 'and through its restart' inside systemctl restart qcc.service
    check 'port 443 after it' until_true 20 at_443
    inside systemctl stop qcc.socket qcc.service
    inside systemctl start qcc.socket
    check 'a connection starts the service' until_true 20 at_443
    inside systemctl disable --now qcc.socket 2>/dev/null
    inside systemctl stop qcc.service
    check "the manual's words for the capability" page_says 'By the capability'
    check 'port 443 through the capability' until_true 20 at_443
    inside sh -c 'rm -r /etc/systemd/system/qcc.service.d; systemctl daemon-reload'
    listen_on ''
    inside systemctl restart qcc.service
    until_true 20 answers /healthz

    inside systemctl stop qcc.service
    check 'an upgrade of a stopped service' inside dpkg -i /root/second.deb
    check 'does not start it' inactive
    inside systemctl start qcc.service
    check 'it starts by hand' until_true 20 answers /healthz
    check 'dpkg -r' inside dpkg -r qcc
    after_removal "$dir"
    check 'installed again' inside dpkg -i /root/second.deb
    check 'it starts again' until_true 20 answers /healthz
    check 'a configuration that cannot serve does not fail the installation' broken_install "$dir"
    check 'dpkg -P' inside dpkg -P qcc
    after_purge
    [ -z "$rpms" ] || with_rpm "$dir"
    box_halt
    box_drop "$dir"
}
# The scripts of the RPM do the same; its dependencies are another system's.
with_rpm() { # DIR
    local main
    inside userdel qcc
    check 'rpm -i' inside rpm -i --nodeps /root/first.rpm
    check 'the installation has started the service' until_true 20 answers /healthz
    check 'files, modes, owners' no_files_differ
    write_conf "$1"
    inside systemctl reload qcc.service
    main=$(unit MainPID)
    upgrade_under_stream "$1" rpm -U --nodeps /root/second.rpm
    check 'systemd has the new process for the main one' other_main "$main"
    check 'rpm -e' inside rpm -e qcc
    check 'nothing answers after the removal' until_true 20 silent
    check 'the edited configuration is saved' grep -q 'name: long' "$1/etc/qcc/qcc.yaml.rpmsave"
}
broken_install() {
    inside dpkg -r qcc
    echo 'wrokers: 2' >>"$1/etc/qcc/qcc.yaml"
    inside dpkg -i --force-confold /root/second.deb && [ "$(package_state)" = 'ii ' ]
}

# The configuration is broken when the new version comes: what runs must go on.
refused_upgrade() {
    local main
    main=$(unit MainPID)
    inside sh -c 'cp -p /etc/qcc/qcc.yaml /root/good; echo "wrokers: 2" >>/etc/qcc/qcc.yaml'
    inside dpkg -i --force-confold /root/first.deb
    inside dpkg -i --force-confold /root/second.deb
    inside sh -c 'cat /root/good >/etc/qcc/qcc.yaml'
    active && [ "$main" = "$(unit MainPID)" ] && request
}

for part in ${PARTS:-in_chroot with_systemd}; do
    $part
done
total
