#!/bin/sh
# deb.sh VERSION [OUT [ARCH]]: builds the Debian packages from this tree into OUT (default build) and looks at
# them with lintian. 1.0.0-dev becomes 1.0.0~dev-1. For another ARCH than this machine's they are built by Debian's
# cross compiler with that architecture's libraries, which packaging/deps.sh installs.
set -eu
cd "$(dirname "$0")/.."
version=${1:?deb.sh VERSION [OUT [ARCH]]}
out=${2:-build}
here=$(dpkg --print-architecture)
arch=${3:-$here}
upstream=$(echo "$version" | tr - '~')
work=build/deb
[ "$arch" = "$here" ] || work=build/deb-$arch
tree=$work/qcc-$upstream

# debian/ stands in packaging/: the build has a copy of the tree of its own.
rm -rf "$work"
mkdir -p "$tree" "$out"
cp -a Makefile LICENSE README.md common supervisor worker conf packaging "$tree/"
cp -a packaging/debian "$tree/debian"
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || date +%s)}"
export SOURCE_DATE_EPOCH
cat >"$tree/debian/changelog" <<END
qcc ($upstream-1) unstable; urgency=medium

  * Built from the tree of QCC $version.

 -- $(sed -n 's/^Maintainer: //p' packaging/debian/control)  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
END

# What a make around this one passes on (VERSION=, -j) is not for the build's own.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
export DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS:-parallel=$(nproc)}"
cross=
if [ "$arch" != "$here" ]; then
    # The program prints a part of the manual: one that runs here. Build-Depends would ask for the other
    # architecture's tools, too; the libraries among them are deps.sh's.
    make -s -j"$(nproc)" build/release/qcc-supervisor
    export QCC_MAN_BY="$PWD/build/release/qcc-supervisor"
    cross="-a$arch -d -Pcross,nocheck"
fi
echo "deb: building qcc $upstream-1 for $arch (log: $work/build.log)"
# shellcheck disable=SC2086 # words are meant to split
if ! (cd "$tree" && dpkg-buildpackage -b -us -uc $cross) >$work/build.log 2>&1; then
    tail -n 30 $work/build.log >&2
    echo 'deb: dpkg-buildpackage failed' >&2
    exit 1
fi
rm -f "$out"/qcc_*_"$arch".deb "$out"/qcc-dbgsym_*_"$arch".deb
mv "$work"/*.deb "$out/"

# The one tag speaks of uploads to Debian's archive.
lintian --allow-root --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs "$out"/qcc_*_"$arch".deb
ls -1 "$out"/qcc*_"$arch".deb
