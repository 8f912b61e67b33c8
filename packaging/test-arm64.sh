#!/usr/bin/env bash
# test-arm64.sh: `make deb ARCH=arm64` and `make image ARCH=arm64` as the manual has them, in a Debian of their own, whose
# packages for arm64 so do not meet this machine's; then test-image.sh with that image, whose programs qemu runs: a request, a
# stream, failover, reload, upgrade, state, a clean stop. The kernel is told of qemu in a namespace of users alone (Linux
# 6.7 or later). What is committed is built. What qemu cannot show: the sandbox, as it passes no seccomp and no Landlock on, and
# times. Prints "N passed, N failed"; says so where it cannot run.
#   PARTS=  one of the two: build, run
# shellcheck disable=SC2016 # what is in single quotes is for a shell in there
set -u
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=packaging/box.sh
. packaging/box.sh
box_enter "$@"

suite=${SUITE:-bookworm}
work=$box_top/build/test-arm64
dir=$work/root
version=$(make -s version)
image=$work/qcc-image-$version-arm64.tar
trap 'box_undo "$dir"' EXIT
inside() { box_in "$dir" "$@"; }

build() {
    rm -rf "$work"
    mkdir -p "$work"
    box_make "$dir" "$suite" || cannot "no base system to be had from $box_mirror"
    inside apt-get -q update >"$work/apt.log" 2>&1
    check 'git, make, qemu-user-static' inside apt-get -q install -y git make ca-certificates qemu-user-static || return
    git clone -q "file://$box_top" "$dir/root/qcc" || exit 1
    [ -z "$(git status --porcelain)" ] || say 'note: what is not committed is not tested'
    check 'make deb ARCH=arm64' inside make -s -C /root/qcc deb ARCH=arm64 || return
    check 'make image ARCH=arm64' inside make -s -C /root/qcc image ARCH=arm64 || return
    cp "$dir"/root/qcc/build/qcc_*_arm64.deb "$dir"/root/qcc/build/qcc-image-*-arm64.tar "$dir/usr/bin/qemu-aarch64-static" "$work/"
    check 'the package is for arm64' sh -c '[ "$(dpkg-deb -f "$1" Architecture)" = arm64 ]' sh "$(echo "$work"/qcc_*_arm64.deb)"
    check 'and needs libraries of it' sh -c 'dpkg-deb -f "$1" Depends | grep -q "libc6 (>="' sh "$(echo "$work"/qcc_*_arm64.deb)"
    [ -n "${KEEP:-}" ] || box_drop "$dir"
}

# ELF, 64 bits, little-endian, an executable (also one that is loaded anywhere), machine 183; F: the interpreter is opened now, so
# that it is found in every root.
magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
run() {
    unshare --user --map-root-user --mount sh -c 'mount -t binfmt_misc none /proc/sys/fs/binfmt_misc' 2>/dev/null ||
        { skip 'the programs under qemu: this kernel keeps no binfmt_misc for a namespace of users'; return; }
    unshare --user --map-root-user --mount sh -c '
        mount -t binfmt_misc none /proc/sys/fs/binfmt_misc &&
            printf "%s" ":qcc-arm64:M::$2:$3:$4:F" >/proc/sys/fs/binfmt_misc/register && EMULATED=qemu exec packaging/test-image.sh "$1"' \
        sh "$image" "$magic" "$mask" "$work/qemu-aarch64-static" | tee "$work/run.log"
    last=$(tail -n 1 "$work/run.log")
    passed=$((passed + $(sed -n 's/^\([0-9]*\) passed.*/\1/p' <<<"$last")))
    failed=$((failed + $(sed -n 's/.* \([0-9]*\) failed.*/\1/p' <<<"$last")))
}

for part in ${PARTS:-build run}; do
    $part
done
total
