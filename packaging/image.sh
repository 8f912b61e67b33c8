#!/bin/sh
# image.sh VERSION ARCH DEB [OUT]: makes a container image of the package DEB and the libraries it needs, without a
# daemon and without root: OUT/qcc-image-VERSION-ARCH.tar (default build), an OCI image layout that `docker load` and
# `podman load` take, too. ARCH is Debian's name; the libraries are those of this machine, for arm64 the multiarch ones.
# The same package, libraries and SOURCE_DATE_EPOCH give the same bytes. Left behind: build/image/ARCH/root, what is
# in the image.
set -eu
LC_ALL=C
export LC_ALL
cd "$(dirname "$0")/.."
version=${1:?image.sh VERSION ARCH DEB [OUT]}
arch=${2:?image.sh VERSION ARCH DEB [OUT]}
deb=${3:?image.sh VERSION ARCH DEB [OUT]}
out=${4:-build}
work=build/image/$arch
root=$work/root
layout=$work/layout
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || date +%s)}"
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
uid=65532 # who it runs as; a number, since a cluster that forbids root must see that it is not 0

fail() {
    echo "image: $*" >&2
    exit 1
}
case $arch in
    amd64) triplet=x86_64-linux-gnu loader=/lib64/ld-linux-x86-64.so.2 ;;
    arm64) triplet=aarch64-linux-gnu loader=/lib/ld-linux-aarch64.so.1 ;;
    *) fail "no image for $arch: amd64, arm64" ;;
esac
[ -f "$deb" ] || fail "there is no $deb"
[ "$(dpkg-deb -f "$deb" Architecture)" = "$arch" ] || fail "$deb is not for $arch"

# ---- the root: the package, its libraries, what the C library reads

rm -rf "$work"
mkdir -p "$layout/blobs/sha256" "$out"
dpkg-deb -x "$deb" "$root"
# what only a whole system uses
rm -rf "$root/lib/systemd" "$root/usr/lib/systemd" "$root/etc/logrotate.d" "$root/etc/qcc" "$root/usr/libexec/qcc/qcc-service" \
    "$root/usr/share/man" "$root/usr/share/lintian" "$root/usr/share/bash-completion" "$root/usr/share/zsh" \
    "$root/usr/share/doc/qcc/README.md.gz" "$root/usr/share/doc/qcc/examples"
rmdir "$root/lib" 2>/dev/null || :

# As on the Debian it is built on, /lib is below /usr.
mkdir -p "$root/usr/lib/$triplet" "$root/usr/lib64" "$root/usr/share/doc" "$root/etc/ssl/certs" "$root/etc/qcc" "$root/usr/lib/ssl" "$root/tmp" \
    "$root/dev" "$root/proc" "$root/sys" "$root/run/qcc" "$root/var/lib/qcc" "$root/var/log/qcc"
ln -s usr/lib "$root/lib"
ln -s usr/lib64 "$root/lib64"

# needs FILE...: the libraries that they name
needs() { readelf -d "$@" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u; }
place_of() { # NAME: of a library of this architecture
    for dir in "/usr/lib/$triplet" "/lib/$triplet" "/usr/$triplet/lib"; do
        [ ! -e "$dir/$1" ] || { echo "$dir/$1"; return; }
    done
    fail "there is no $1 for $arch here; packaging/deps.sh deb installs it"
}
# Loaded by name: libcurl by a worker, libgcc_s by the C library where a thread is ended.
todo="$(needs "$root"/usr/bin/* "$root"/usr/libexec/qcc/*) libcurl.so.4 libgcc_s.so.1"
found=$work/libraries
: >"$found"
while [ -n "$todo" ]; do
    next=
    for name in $todo; do
        ! grep -qx "$name" "$found" || continue
        echo "$name" >>"$found"
        case $name in ld-linux-*) continue ;; esac
        from=$(place_of "$name")
        cp -L "$from" "$root/usr/lib/$triplet/$name"
        next="$next $(needs "$from")"
    done
    todo=$(echo "$next" | xargs -n 1 2>/dev/null | sort -u)
done
cp -L "$(place_of "${loader##*/}")" "$root$loader"

# Whose libraries these are. dpkg knows a path below /lib or below /usr/lib, as the package has it.
sort "$found" | while read -r name; do
    file=$(readlink -f "$(place_of "$name")")
    echo "$file"
    echo "${file#/usr}"
done | xargs dpkg -S 2>/dev/null | sed 's/[:,].*//' | sort -u | while read -r package; do
    [ ! -e "/usr/share/doc/$package/copyright" ] ||
        install -D -m 0644 "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/copyright"
done

authorities=/etc/ssl/certs/ca-certificates.crt
[ -s $authorities ] || fail "there is no $authorities: install ca-certificates"
cp $authorities "$root$authorities"
ln -s "$authorities" "$root/usr/lib/ssl/cert.pem"
ln -s /etc/ssl/certs "$root/usr/lib/ssl/certs"
# Days of `qccctl usage` are those of a zone.
if [ -d /usr/share/zoneinfo ]; then
    mkdir -p "$root/usr/share/zoneinfo"
    (cd /usr/share/zoneinfo && tar --exclude ./posix --exclude ./right --exclude ./localtime --exclude ./posixrules -cf - .) |
        tar -C "$root/usr/share/zoneinfo" --no-same-owner -xf -
fi
printf 'root:x:0:0:root:/:/sbin/nologin\nqcc:x:%d:%d:QCC:/var/lib/qcc:/sbin/nologin\n' $uid $uid >"$root/etc/passwd"
printf 'root:x:0:\nqcc:x:%d:\n' $uid >"$root/etc/group"
printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
printf 'ID=qcc\nNAME=QCC\nVERSION_ID=%s\nPRETTY_NAME="QCC %s on libraries of %s"\n' "$version" "$version" \
    "$(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release)" >"$root/etc/os-release"
cp packaging/image.yaml "$root/etc/qcc/qcc.yaml"

# ---- one layer, configuration, manifest, index

chmod -R u=rwX,go=rX "$root"
# An engine that mounts a tmpfs over a folder gives it the folder's mode, and root as the owner.
chmod 1777 "$root/tmp" "$root/run/qcc"
chmod 0700 "$root/var/lib/qcc"
pack() { # FLAGS...: into the layer, in an order and with times that are the same each time
    tar --format=pax --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime --sort=name \
        --mtime="@$SOURCE_DATE_EPOCH" --numeric-owner -C "$root" "$@"
}
own='./run/qcc ./var/lib/qcc ./var/log/qcc'
# shellcheck disable=SC2046,SC2086 # words are meant to split
pack --owner=0 --group=0 $(printf -- '--exclude=%s ' $own) -cf "$work/layer.tar" .
# shellcheck disable=SC2086
pack --owner=$uid --group=$uid -rf "$work/layer.tar" $own

# blob FILE: moves it to its place; prints its digest
blob() {
    digest=$(sha256sum "$1" | cut -d' ' -f1)
    mv "$1" "$layout/blobs/sha256/$digest"
    echo "$digest"
}
size_of() { stat -c %s "$layout/blobs/sha256/$1"; }

unpacked=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
gzip -n "$work/layer.tar"
layer=$(blob "$work/layer.tar.gz")

cat >"$work/config.json" <<END
{"created":"$created","architecture":"$arch","os":"linux",
"config":{"User":"$uid:$uid","ExposedPorts":{"7860/tcp":{},"7861/tcp":{}},
"Env":["PATH=/usr/bin","QCC_LOG=json","RUNTIME_DIRECTORY=/run/qcc","LANG=C.UTF-8"],
"Entrypoint":["/usr/bin/qcc-supervisor"],"Cmd":["-c","/etc/qcc/qcc.yaml"],
"WorkingDir":"/var/lib/qcc","Volumes":{"/var/lib/qcc":{}},"StopSignal":"SIGTERM",
"Healthcheck":{"Test":["CMD","/usr/bin/qccctl","--timeout","3","status"],"Interval":10000000000,"Timeout":5000000000,"StartPeriod":10000000000,"Retries":3},
"Labels":{"org.opencontainers.image.title":"qcc","org.opencontainers.image.version":"$version","org.opencontainers.image.licenses":"MIT",
"org.opencontainers.image.description":"Reverse proxy for the Anthropic Messages API, with failover"}},
"rootfs":{"type":"layers","diff_ids":["sha256:$unpacked"]},
"history":[{"created":"$created","created_by":"packaging/image.sh $version $arch"}]}
END
config=$(blob "$work/config.json")

cat >"$work/manifest.json" <<END
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:$config","size":$(size_of "$config")},
"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:$layer","size":$(size_of "$layer")}]}
END
manifest=$(blob "$work/manifest.json")

printf '{"imageLayoutVersion":"1.0.0"}\n' >"$layout/oci-layout"
cat >"$layout/index.json" <<END
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",
"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:$manifest","size":$(size_of "$manifest"),
"platform":{"architecture":"$arch","os":"linux"},
"annotations":{"org.opencontainers.image.ref.name":"qcc:$version","io.containerd.image.name":"docker.io/library/qcc:$version"}}]}
END
# For a `docker load` that does not know the layout.
printf '[{"Config":"blobs/sha256/%s","RepoTags":["qcc:%s"],"Layers":["blobs/sha256/%s"]}]\n' "$config" "$version" "$layer" \
    >"$layout/manifest.json"

image=$out/qcc-image-$version-$arch.tar
chmod -R u=rwX,go=rX "$layout"
tar --format=ustar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -C "$layout" \
    -cf "$image" oci-layout index.json manifest.json blobs
size=$(stat -c %s "$image")
echo "image: $image, $((size / 1000000)) MB, qcc:$version, sha256:$manifest"
[ "$size" -le 40000000 ] || fail "it is larger than 40 MB"
