#!/bin/sh
# unit.sh [VERSION]: prints qcc.service for that version of systemd; without one, for what the machine
# that builds has. From 253 on systemd sends SIGHUP and waits for the end of the reload by itself
# (Type=notify-reload); what it cannot hear is that the new configuration was refused, so the check of
# it is run beside, and fails `systemctl reload`.
set -eu
unit=$(dirname "$0")/qcc.service
version=${1:-$(pkg-config --modversion systemd 2>/dev/null || systemctl --version 2>/dev/null | sed -n 's/^systemd \([0-9]*\).*/\1/p')}
version=${version%%[!0-9]*}
if [ "${version:-0}" -ge 253 ]; then
    sed -e 's|^Type=notify$|Type=notify-reload|' \
        -e 's|^ExecReload=.*|ExecReload=/usr/bin/qcc-supervisor -t -c /etc/qcc/qcc.yaml|' \
        -e '/^# This form serves every systemd/,/^# new configuration is refused/d' "$unit"
else
    cat "$unit"
fi
