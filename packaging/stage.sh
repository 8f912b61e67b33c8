#!/bin/sh
# stage.sh ROOT: puts below ROOT what packages have beyond `make install`: configuration, units, logrotate,
# qcc-service. Owners are the package's matter.
set -eu
cd "$(dirname "$0")/.."
root=${1:?stage.sh ROOT}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

packaging/sample.sh >"$tmp/qcc.yaml"
packaging/systemd/unit.sh >"$tmp/qcc.service"
install -d -m 0750 "$root/etc/qcc"
install -m 0640 "$tmp/qcc.yaml" packaging/qcc.env "$root/etc/qcc/"
install -D -m 0644 packaging/qcc.logrotate "$root/etc/logrotate.d/qcc"
install -D -m 0644 "$tmp/qcc.service" "$root${UNITDIR:-/lib/systemd/system}/qcc.service"
install -D -m 0644 packaging/systemd/qcc.socket "$root${UNITDIR:-/lib/systemd/system}/qcc.socket"
install -D -m 0755 packaging/qcc-service "$root/usr/libexec/qcc/qcc-service"
# The sample of `make install` is /etc/qcc/qcc.yaml here.
rm -f "$root/usr/share/qcc/qcc.yaml"
