#!/bin/sh
# rpm.sh VERSION [OUT]: builds the RPM from this tree into OUT (default build) and looks at it with
# rpmlint where that is to be had. 1.0.0-dev becomes 1.0.0~dev-1.
set -eu
cd "$(dirname "$0")/.."
version=${1:?rpm.sh VERSION [OUT]}
out=${2:-build}
upstream=$(echo "$version" | tr - '~')
work=$PWD/build/rpm
tree=$work/qcc-$upstream

rm -rf "$work"
mkdir -p "$tree" "$work/SOURCES" "$out"
cp -a Makefile LICENSE README.md common supervisor worker conf packaging "$tree/"
tar -C "$work" -czf "$work/SOURCES/qcc-$upstream.tar.gz" "qcc-$upstream"
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || date +%s)}"
export SOURCE_DATE_EPOCH

# The spec's requirements are Fedora's packages, and rpm's database holds what rpm installed: elsewhere
# it is deps.sh that sees to them.
nodeps=
[ -e /etc/fedora-release ] || [ -e /etc/redhat-release ] || nodeps=--nodeps

author='The QCC authors <maintainers@qcc.invalid>'
{
    cat packaging/rpm/qcc.spec
    printf '\n%%changelog\n* %s %s - %s-1\n- Built from the tree of QCC %s.\n' \
        "$(LC_ALL=C date -u '+%a %b %d %Y' -d "@$SOURCE_DATE_EPOCH")" "$author" "$upstream" "$version"
} >"$work/qcc.spec"

unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
echo "rpm: building qcc $upstream-1 (log: build/rpm/build.log)"
if ! rpmbuild -bb $nodeps --define "_topdir $work" --define "qcc_version $version" \
    --define "packager $author" "$work/qcc.spec" >"$work/build.log" 2>&1; then
    tail -n 30 "$work/build.log" >&2
    echo 'rpm: rpmbuild failed' >&2
    exit 1
fi
rm -f "$out"/qcc-*.rpm
find "$work/RPMS" -name '*.rpm' -exec mv {} "$out/" \;

if command -v rpmlint >/dev/null 2>&1; then
    if ! rpmlint -c packaging/rpm/rpmlint.toml "$out"/qcc-[0-9]*.rpm "$work/qcc.spec" >"$work/rpmlint.log" 2>&1; then
        cat "$work/rpmlint.log" >&2
        echo 'rpm: rpmlint finds faults' >&2
        exit 1
    fi
    grep -E ': W: ' "$work/rpmlint.log" || true
else
    echo 'rpm: no rpmlint here, so nobody has looked at the result'
fi
ls -1 "$out"/qcc-*.rpm
