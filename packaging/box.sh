# shellcheck shell=bash
# box.sh: for test-package.sh, test-readme.sh and test-fresh.sh, which source it: a Debian of its own in a folder below
# build/. Everything happens in a mount and process namespace of its own, so whatever the end is,
# nothing stays mounted and no process is left.

box_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
box_mirror=${MIRROR:-http://deb.debian.org/debian}
box_cache=$box_top/build/box

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*"; }

# cannot WHY: the end, with a word and without a failure.
cannot() {
    say "skipped: $*"
    exit 0
}

# box_enter "$@": the script goes on, or starts anew, in namespaces of its own.
box_enter() {
    [ -z "${QCC_BOX:-}" ] || return 0
    [ "$(id -u)" = 0 ] || cannot 'it needs root (chroot, mount)'
    local tool
    for tool in debootstrap unshare ip; do
        command -v $tool >/dev/null || cannot "there is no $tool here"
    done
    unshare --mount --pid --fork --mount-proc true 2>/dev/null || cannot 'no namespaces may be made here'
    QCC_BOX=1 exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc "$0" "$@"
}

# box_base SUITE: the unpacked base system, made once and kept; prints its archive.
box_base() {
    local archive=$box_cache/$1.tar tmp=$box_cache/$1.new
    if [ ! -e "$archive" ]; then
        rm -rf "$tmp"
        mkdir -p "$box_cache"
        say "debootstrap $1 from $box_mirror" >&2
        if ! debootstrap --variant=minbase "$1" "$tmp" "$box_mirror" >"$box_cache/debootstrap.log" 2>&1; then
            tail -n 3 "$box_cache/debootstrap.log" >&2
            rm -rf "$tmp"
            return 1
        fi
        tar -C "$tmp" -cf "$archive.new" .
        rm -rf "$tmp"
        mv "$archive.new" "$archive"
    fi
    echo "$archive"
}

# box_make DIR SUITE: a fresh one, with what a chroot needs mounted in it.
box_make() {
    local dir=$1 archive device
    archive=$(box_base "$2") || return 1
    box_drop "$dir"
    mkdir -p "$dir"
    tar -C "$dir" -xf "$archive"
    mount --bind "$dir" "$dir"
    mount -t proc proc "$dir/proc"
    mount -t tmpfs -o mode=755 dev "$dir/dev"
    for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
        IFS=: read -r name major minor <<<"$device"
        mknod -m 666 "$dir/dev/$name" c "$major" "$minor"
    done
    ln -s /proc/self/fd "$dir/dev/fd"
    ln -s /proc/self/fd/0 "$dir/dev/stdin"
    ln -s /proc/self/fd/1 "$dir/dev/stdout"
    ln -s /proc/self/fd/2 "$dir/dev/stderr"
    mkdir "$dir/dev/shm" "$dir/dev/pts"
    mount -t tmpfs -o mode=1777 shm "$dir/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$dir/dev/pts"
    ln -s pts/ptmx "$dir/dev/ptmx"
    cp /etc/resolv.conf "$dir/etc/resolv.conf"
    apt-config dump Acquire::http::Proxy >"$dir/etc/apt/apt.conf.d/90proxy" 2>/dev/null || true
    printf 'APT::Install-Recommends "false";\nDpkg::Use-Pty "false";\n' >"$dir/etc/apt/apt.conf.d/90qcc"
}

# box_undo DIR: nothing is mounted in it any more.
box_undo() {
    local at
    awk -v d="$1" '$2 == d || index($2, d "/") == 1 { print $2 }' /proc/mounts | sort -r | while read -r at; do
        umount "$at" 2>/dev/null || umount -l "$at"
    done
}

box_drop() {
    box_undo "$1"
    [ ! -d "$1" ] || rm -rf --one-file-system "$1"
}

# box_in DIR COMMAND...: in that system, with an environment of a login of root.
box_in() {
    local dir=$1
    shift
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        chroot "$dir" "$@"
}

# box_net: a network of its own, with nothing but loopback; sets `holder`, the process that keeps it.
box_net() {
    unshare --net sleep infinity &
    holder=$!
    # before it is there, nsenter would find this one
    until_true 5 box_net_apart && nsenter -t "$holder" -n ip link set lo up
}
box_net_apart() { ! [ "/proc/$holder/ns/net" -ef /proc/self/ns/net ]; }

# box_boot DIR LOG: boots it with systemd in a container without a network. Sets `leader`, by which
# box_inside gets in; box_halt is the end.
leader=
nspawn=
box_boot() {
    local group=
    if [ ! -d /run/systemd/system ]; then # else nspawn asks the host's systemd for a scope
        # shellcheck disable=SC2016 # for the shell below
        group='for h in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
            [ ! -e $h/cgroup.procs ] || { mkdir -p $h/qcc-test && echo 0 >$h/qcc-test/cgroup.procs; } || exit
        done; '
    fi
    sh -c "${group}exec systemd-nspawn -q -D '$1' --boot --register=no ${group:+--keep-unit} --private-network --console=pipe" \
        </dev/null >"$2" 2>&1 &
    nspawn=$!
    leader=
    until_true 20 has_leader || return 1
    leader=$(pgrep -P "$nspawn" -x systemd)
    until_true 40 booted
}
has_leader() { pgrep -P "$nspawn" -x systemd; } # not what prepares it
booted() { box_inside systemctl is-system-running | grep -qE 'running|degraded'; }
# box_inside COMMAND...: in the booted container, with an environment of a login of root.
box_inside() {
    nsenter -t "$leader" -a env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive "$@"
}
box_halt() {
    kill -s RTMIN+4 "$leader" 2>/dev/null # systemd: poweroff
    until_true 20 sh -c "! kill -0 $nspawn" || kill -KILL "$nspawn" "$leader" 2>/dev/null
    wait "$nspawn" 2>/dev/null
    leader=
    for h in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
        [ ! -d $h/qcc-test ] || find $h/qcc-test -depth -type d -exec rmdir {} + 2>/dev/null
    done
}

# Results. ok WHAT and bad WHAT count; `check WHAT COMMAND...` runs the command.
passed=0
failed=0
skipped=0
ok() {
    passed=$((passed + 1))
    echo "ok: $*"
}
bad() {
    failed=$((failed + 1))
    echo "FAILED: $*"
}
skip() {
    skipped=$((skipped + 1))
    echo "skipped: $*"
}
check() {
    local what=$1 out
    shift
    if out=$("$@" 2>&1); then
        ok "$what"
    else
        bad "$what"
        [ -z "$out" ] || echo "$out" | tail -n 20 | sed 's/^/    /'
        return 1
    fi
}
# until SECONDS COMMAND...: polls.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}
total() {
    printf '%d passed, %d failed' $passed $failed
    [ $skipped = 0 ] || printf ', %d skipped' $skipped
    echo
    [ $failed = 0 ] && [ $passed -gt 0 ]
}
