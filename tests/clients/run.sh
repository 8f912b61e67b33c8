#!/bin/sh
# run.sh: what `make test-clients` does: puts the real clients from npm into build/clients and runs
# them against a QCC (ASan and UBSan) in front of the simulated upstream. Where node, npm or its
# registry are not to be had it says so and counts as skipped.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=build/san
clients=build/clients

skip() {
    echo "clients skipped: $*"
    echo '0 passed, 0 failed, 1 skipped'
    exit 0
}

packaging/deps.sh build clients || skip 'node and npm are not to be had'
"${MAKE:-make}" --no-print-directory -s -j"$(nproc)" SAN=1 all $build/fake_upstream || exit 1

# Again only when the list of clients has changed since.
mkdir -p $clients
if ! cmp -s tests/clients/package.json $clients/installed.json; then
    cp tests/clients/package.json $clients/
    timeout 300 npm install --prefix $clients --no-audit --no-fund --no-package-lock --loglevel=error \
        --fetch-retries=1 --fetch-timeout=60000 >$clients/npm.log 2>&1 ||
        skip "npm install failed: $(grep -v '^$' $clients/npm.log | head -n 3 | tr '\n' ' ')"
    cp tests/clients/package.json $clients/installed.json
fi
exec node tests/clients/run.mjs $build $clients
