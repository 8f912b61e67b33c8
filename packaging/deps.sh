#!/bin/sh
# deps.sh [GROUP...]: installs what QCC needs and this machine lacks, with apt-get or dnf (through
# sudo when not root). Says what it installs; prints nothing when all is there.
# Groups: build (the default), run, cluster, test, promtool, clients, web, lint, format, bench, drill, fuzz, deb, rpm, arm64, chroot;
# each but run, cluster, promtool, clients, web, format, arm64 and chroot stands for build too. arm64: the cross compiler and that
# architecture's libraries, on Debian alone.
set -u

# One row for each need:
#   group  how to see that it is there  Debian packages (the first that exists)  Fedora packages (all that exist)
# cmd:A|B is a program, file:A|B a path (patterns allowed), pc:A|B a pkg-config module. Tools are
# looked for, not packages, so that a compiler or a node from elsewhere is good enough.
needs() {
    cat <<'END'
build   cmd:cc                        gcc                                     gcc
build   file:/usr/include/stdlib.h    libc6-dev                               glibc-devel
build   cmd:make                      make                                    make
build   cmd:awk                       mawk|gawk                               gawk
build   cmd:pkg-config                pkg-config|pkgconf                      pkgconf-pkg-config
build   file:/usr/include/ev.h|/usr/include/libev/ev.h|/usr/local/include/ev.h  libev-dev  libev-devel
build   pc:libcurl                    libcurl4-openssl-dev                    libcurl-devel
build   pc:msgpack-c|msgpack          libmsgpack-c-dev|libmsgpack-dev         msgpack-c-devel|msgpack-devel
build   pc:yaml-0.1                   libyaml-dev                             libyaml-devel
build   pc:openssl                    libssl-dev                              openssl-devel
build   pc:jansson                    libjansson-dev                          jansson-devel
build   pc:sqlite3                    libsqlite3-dev                          sqlite-devel
build   pc:libseccomp                 libseccomp-dev                          libseccomp-devel
build   pc:hiredis                    libhiredis-dev                          hiredis-devel
build   pc:zlib                       zlib1g-dev                              zlib-devel
build   file:/usr/share/llhttp/llhttp.c|/usr/include/llhttp.h|/usr/local/include/llhttp.h  libllhttp-dev|node-llhttp|llhttp-dev  llhttp-devel
run     cmd:curl                      curl                                    curl
run     file:/etc/ssl/certs/ca-certificates.crt|/etc/pki/tls/certs/ca-bundle.crt  ca-certificates  ca-certificates
cluster cmd:redis-server|valkey-server  redis-server|valkey-server            valkey|redis
test    pc:cmocka                     libcmocka-dev                           libcmocka-devel
test    file:/usr/bin/python3         python3                                 python3
test    file:/usr/lib/python3*/*-packages/pytest    python3-pytest            python3-pytest
test    file:/usr/lib/python3*/*-packages/xdist     python3-pytest-xdist      python3-pytest-xdist
test    file:/usr/lib/python3*/*-packages/yaml      python3-yaml              python3-pyyaml
test    cmd:openssl                   openssl                                 openssl
test    file:/usr/lib/gcc/*/*/libasan.so|/usr/lib/gcc/*/*/libasan.a|/usr/lib*/libasan.so.*  gcc  libasan
test    file:/usr/lib/gcc/*/*/libubsan.so|/usr/lib/gcc/*/*/libubsan.a|/usr/lib*/libubsan.so.*  gcc  libubsan
test    cmd:redis-server|valkey-server  redis-server|valkey-server            valkey|redis
test    cmd:systemd-analyze           systemd                                 systemd
test    file:/usr/lib/*/libseccomp.so.2|/usr/lib*/libseccomp.so.2|/lib/*/libseccomp.so.2  libseccomp2  libseccomp
test    cmd:man                       man-db                                  man-db
test    cmd:groff                     groff-base                              groff-base
test    cmd:logrotate                 logrotate                               logrotate
promtool cmd:promtool                 prometheus                              golang-github-prometheus|prometheus
clients cmd:node                      nodejs                                  nodejs
clients cmd:npm                       npm                                     nodejs-npm|npm
web     cmd:chromium-headless-shell|chromium|chromium-browser|google-chrome  chromium-headless-shell|chromium  chromium-headless|chromium
web     file:/usr/share/fonts/truetype/wqy/wqy-microhei.ttc|/usr/share/fonts/wqy-microhei*/wqy-microhei.ttc|/usr/share/fonts/opentype/noto/NotoSansCJK*  fonts-wqy-microhei  wqy-microhei-fonts
lint    cmd:cppcheck                  cppcheck                                cppcheck
lint    cmd:shellcheck                shellcheck                              ShellCheck
lint    file:/usr/bin/python3         python3                                 python3
lint    cmd:nm                        binutils                                binutils
format  cmd:clang-format-14           clang-format-14                         clang-format-14
bench   cmd:nginx                     nginx-light|nginx                       nginx
bench   cmd:haproxy                   haproxy                                 haproxy
bench   cmd:openssl                   openssl                                 openssl
bench   file:/usr/bin/python3         python3                                 python3
drill   file:/usr/bin/python3         python3                                 python3
fuzz    cmd:clang                     clang                                   clang
fuzz    file:/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer*|/usr/lib*/clang/*/lib/*/libclang_rt.fuzzer*  libclang-rt-dev  compiler-rt
deb     file:/usr/share/doc/build-essential    build-essential                   gcc-c++
deb     cmd:dpkg-buildpackage         dpkg-dev                                dpkg-dev
deb     cmd:dh                        debhelper                               debhelper
deb     file:/usr/include/seccomp.h   libseccomp-dev                          libseccomp-devel
deb     pc:systemd                    systemd-dev|systemd                     systemd
deb     cmd:lintian                   lintian                                 lintian
rpm     cmd:rpmbuild                  rpm                                     rpm-build
rpm     pc:systemd                    systemd-dev|systemd                     systemd
rpm     cmd:rpmlint                   rpmlint                                 rpmlint
arm64   cmd:aarch64-linux-gnu-gcc                                    gcc-aarch64-linux-gnu                    none
arm64   file:/usr/lib/aarch64-linux-gnu/libcurl.so                   libcurl4-openssl-dev:arm64               none
arm64   file:/usr/lib/aarch64-linux-gnu/libev.so                     libev-dev:arm64                          none
arm64   file:/usr/lib/aarch64-linux-gnu/libhiredis.so                libhiredis-dev:arm64                     none
arm64   file:/usr/lib/aarch64-linux-gnu/libjansson.so                libjansson-dev:arm64                     none
arm64   file:/usr/lib/aarch64-linux-gnu/libmsgpackc.so|/usr/lib/aarch64-linux-gnu/libmsgpack-c.so libmsgpack-c-dev:arm64|libmsgpack-dev:arm64 none
arm64   file:/usr/lib/aarch64-linux-gnu/libseccomp.so                libseccomp-dev:arm64                     none
arm64   file:/usr/lib/aarch64-linux-gnu/libsqlite3.so                libsqlite3-dev:arm64                     none
arm64   file:/usr/lib/aarch64-linux-gnu/libssl.so                    libssl-dev:arm64                         none
arm64   file:/usr/lib/aarch64-linux-gnu/libyaml.so                   libyaml-dev:arm64                        none
arm64   file:/usr/lib/aarch64-linux-gnu/libz.so                      zlib1g-dev:arm64                         none
chroot  cmd:debootstrap               debootstrap                             debootstrap
chroot  cmd:unshare                   util-linux                              util-linux
chroot  cmd:openssl                   openssl                                 openssl
chroot  cmd:ip                        iproute2                                iproute
chroot  cmd:systemd-nspawn            systemd-container                       systemd-container
END
}

say() { printf 'deps: %s\n' "$*"; }
die() { printf 'deps: %s\n' "$*" >&2; exit 1; }

# present CHECK: whether a need is met.
present() (
    IFS='|'
    for name in ${1#*:}; do # unquoted: cut at '|', patterns expand
        case $1 in
            cmd:*) command -v "$name" >/dev/null 2>&1 || [ -x "/usr/sbin/$name" ] || continue ;;
            file:*) [ -e "$name" ] || continue ;;
            pc:*) pkg-config --exists "$name" 2>/dev/null || continue ;;
        esac
        return 0
    done
    return 1
)

# missing GROUPS: the rows of these groups whose need is not met.
missing() {
    needs | while read -r group check apt dnf; do
        case " $1 " in *" $group "*) ;; *) continue ;; esac
        present "$check" || echo "$group $check $apt $dnf"
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# quietly COMMAND: its output is kept in $log and shown only when it fails for good. A lock held by
# another package manager (unattended upgrades, a second make) is waited for.
quietly() {
    tries=0
    while :; do
        "$@" >"$log" 2>&1 && return 0
        tries=$((tries + 1))
        [ "$tries" -lt 60 ] || return 1
        grep -qiE 'could not get lock|unable to (acquire|lock)|is another process using it' "$log" ||
            return 1
        [ "$tries" -gt 1 ] || say 'another package manager is at work; waiting for it'
        sleep 5
    done
}

aptget() {
    as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}

apt_update() {
    say 'apt-get update'
    quietly aptget update
    # It calls a mirror that cannot be reached a warning.
    grep -m 1 -E '^(E|W): (Failed|Some|Could|The)' "$log" && say 'going on with the lists there are'
}

# first_known A|B: the first package that apt has a version of; else the first.
first_known() {
    for name in $(echo "$1" | tr '|' ' '); do
        if apt-cache show "$name" >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
    echo "${1%%|*}"
}

# Services of what is installed here (nginx, haproxy) are not wanted: Debian asks this program
# before it starts one. Only made, and removed again, where there is none.
hold_services() {
    [ -e /usr/sbin/policy-rc.d ] && return
    printf '#!/bin/sh\nexit 101\n' >"$tmp/policy-rc.d"
    as_root install -m 0755 "$tmp/policy-rc.d" /usr/sbin/policy-rc.d && held=1
}

release_services() {
    [ -z "$held" ] || as_root rm -f /usr/sbin/policy-rc.d
    held=
}

# Units that start at boot.
enabled_units() {
    find /etc/systemd/system -path '*.wants/*' 2>/dev/null | sed 's,.*/,,' | sort -u
}

# keep_off BEFORE: units that the installation has enabled (prometheus, redis-server) are disabled again: only
# their programs are wanted.
keep_off() {
    enabled_units | comm -13 "$1" - | while read -r unit; do
        as_root systemctl -q disable "$unit" >/dev/null 2>&1 && say "$unit stays off: only its program is wanted"
    done
}

# apt_names ROWS: the Debian packages for these rows, on one line.
apt_names() {
    echo "$1" | while read -r _ _ names _; do first_known "$names"; done | sort -u | tr '\n' ' '
}

install_apt() {
    case $1 in
        *:arm64*)
            if ! dpkg --print-foreign-architectures | grep -qx arm64; then
                say 'dpkg --add-architecture arm64'
                as_root dpkg --add-architecture arm64
                apt_update
            fi
            ;;
    esac
    lists=$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mtime -2 2>/dev/null | head -n 1)
    [ -n "$lists" ] || apt_update
    hold_services
    enabled_units >"$tmp/enabled"
    # A second time, when the lists name versions that the mirror no longer has.
    for attempt in first second; do
        packages=$(apt_names "$1")
        say "apt-get install $packages"
        # shellcheck disable=SC2086 # words are meant to split
        quietly aptget install -y --no-install-recommends $packages && break
        if [ "$attempt" = first ] && [ -n "$lists" ]; then apt_update; else break; fi
    done
    release_services
    keep_off "$tmp/enabled"
}

install_dnf() {
    packages=$(echo "$1" | while read -r _ _ _ names; do echo "$names"; done | tr '|' '\n' | sort -u | tr '\n' ' ')
    say "dnf install $packages"
    # Names differ between releases: those that do not exist are skipped, the check after it tells.
    # shellcheck disable=SC2086 # words are meant to split
    quietly as_root env LC_ALL=C dnf -y install --setopt=install_weak_deps=False --setopt=strict=0 $packages
}

groups=
for arg in "${@:-build}"; do
    case $arg in
        build) groups="$groups build" ;;
        run | cluster | promtool | clients | web | format | arm64 | chroot) groups="$groups $arg" ;;
        test | lint | bench | drill | fuzz | deb | rpm) groups="$groups build $arg" ;;
        *) die "no group '$arg': build, run, cluster, test, promtool, clients, web, lint, format, bench, drill, fuzz, deb, rpm, arm64, chroot" ;;
    esac
done

rows=$(missing "$groups")
[ -n "$rows" ] || exit 0
names=$(echo "$rows" | while read -r _ _ apt _; do printf '%s ' "${apt%%|*}"; done)

if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null 2>&1; then
    die "missing: $names- there is no sudo here: run '$0 $*' as root once"
fi

tmp=$(mktemp -d) || die 'no room for a temporary folder'
log=$tmp/log
held=
trap 'release_services; rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM HUP

if command -v apt-get >/dev/null 2>&1; then
    install_apt "$rows"
elif command -v dnf >/dev/null 2>&1; then
    install_dnf "$rows"
else
    die "neither apt-get nor dnf here; install by hand what Debian calls: $names"
fi

left=$(missing "$groups" | while read -r _ _ apt _; do printf '%s ' "${apt%%|*}"; done)
[ -n "$left" ] || exit 0
tail -n 15 "$log" >&2
die "still missing: $left"
