#!/usr/bin/env bash
# test-rpm.sh: the RPM of this tree, read by rpm and rpmlint, on any system that has them: its form, files with owners and
# modes, scripts, requirements, and that it has what the Debian package has, where one has been built. test-package.sh installs,
# upgrades and removes it with rpm in a Debian that systemd has booted. What nobody has tried yet: a Fedora or a CentOS with its
# own dependencies and SELinux' policy.
# Prints "N passed, N failed"; says so where it cannot run.
# shellcheck disable=SC2016 # what is in single quotes is for a shell in there
set -u
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=packaging/box.sh
. packaging/box.sh

for tool in rpmbuild rpm; do
    command -v $tool >/dev/null || cannot "there is no $tool here"
done
work=$box_top/build/test-rpm
version=$(make -s version)
rm -rf "$work"
mkdir -p "$work"
check 'packaging/rpm.sh, and what rpmlint says' packaging/rpm.sh "$version" "$work" || { total; exit 1; }
command -v rpmlint >/dev/null || skip 'rpmlint is not here'
rpm=$(echo "$work"/qcc-[0-9]*.rpm)
ask() { rpm -qp --nosignature --dbpath "$work/db" "$@" "$rpm" 2>/dev/null; }

check 'it is of the version' sh -c 'test "$1" = "$2"' sh "$(ask --qf '%{NAME}-%{VERSION}')" "qcc-$(tr - '~' <<<"$version")"
ask --qf '[%{FILEMODES:perms} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILENAMES}\n]' >"$work/files"
has() { # mode owner group path, for each
    local line missing=
    while read -r line; do
        grep -qxF -- "$line" "$work/files" || missing="$missing; not $line"
    done
    [ -z "$missing" ] || { echo "${missing#; }"; false; }
}
check 'files, modes, owners' has <<'END'
-rwxr-xr-x root root /usr/bin/qcc-supervisor
-rwxr-xr-x root root /usr/bin/qccctl
-rwxr-xr-x root root /usr/libexec/qcc/qcc-worker
-rwxr-xr-x root root /usr/libexec/qcc/qcc-recorder
-rwxr-xr-x root root /usr/libexec/qcc/qcc-link
-rwxr-xr-x root root /usr/libexec/qcc/qcc-service
drwxr-x--- root qcc /etc/qcc
-rw-r----- root qcc /etc/qcc/qcc.yaml
-rw-r----- root qcc /etc/qcc/qcc.env
-rw-r--r-- root root /etc/logrotate.d/qcc
drwx------ qcc qcc /var/lib/qcc
drwxr-x--- qcc qcc /var/log/qcc
END
config() { [ "$(ask --configfiles | sort | xargs)" = '/etc/logrotate.d/qcc /etc/qcc/qcc.env /etc/qcc/qcc.yaml' ]; }
check 'configuration files are known as such' config
scripts() { # each is one that sh takes, and none fails where systemd does not run
    local kind text n=0
    for kind in PREIN POSTIN PREUN POSTUN POSTTRANS; do
        text=$(ask --qf "%{$kind}")
        [ "$text" != '(none)' ] || { echo "no $kind"; return 1; }
        if ! sh -n <<<"$text" || ! tail -n 1 <<<"$text" | grep -qE '^exit 0$|\|\| :$'; then
            echo "$kind: $text"
            return 1
        fi
        n=$((n + 1))
    done
    [ $n = 5 ]
}
check 'scripts' scripts
required() {
    local what
    for what in ca-certificates libcurl 'libev.so' 'libcrypto.so' 'libsqlite3.so' 'libseccomp.so' shadow-utils systemd; do
        ask --requires | grep -q "^$what" || { echo "$what is not required"; return 1; }
    done
}
check 'requirements' required
unit=$(sed -n 's/.* //; /qcc\.service$/p' "$work/files")
(cd "$work" && rpm2cpio "$rpm" | cpio -idm --quiet 2>/dev/null)
the_unit() { cmp "$work$unit" <(packaging/systemd/unit.sh); }
check 'the unit is that of the tree' the_unit
deb=$(ls build/qcc_*_"$(dpkg --print-architecture 2>/dev/null)".deb 2>/dev/null)
# Paths that the two systems have elsewhere: documentation, the unit, users, zsh's completion.
plain() { sed -E -e '\,/usr/share/(doc|licenses|lintian|zsh)(/|$),d; \,/usr/lib/(\.build-id|sysusers\.d|debug),d; s,^/usr/lib/systemd,/lib/systemd,' -e '\,/$,d' | sort -u; }
same() {
    diff <(dpkg-deb -c "$deb" | sed 's/.* \.//; s/ ->.*//' | plain) \
        <(awk '!/^d/ { print $NF }' "$work/files" | plain)
}
if [ -n "$deb" ]; then
    check "it has the files of $(basename "$deb")" same
else
    skip 'its files against those of the Debian package: none has been built'
fi

skip "installation in a Fedora or CentOS root, and SELinux' labels: Debian's packages do not bring one"
total
