#!/bin/sh
# run.sh [PATTERN]: what `make test` does. Installs what is missing, builds everything with ASan and
# UBSan, runs the unit tests, the fuzz corpora, the system tests and the real clients, and closes
# with "N passed, N failed". PATTERN (make test T=PATTERN) runs what matches it: a part of a unit
# test's path, of a fuzz target's name, a pytest -k expression, or `clients`.
set -eu
cd "$(dirname "$0")/.."
pattern=${1:-${T:-}}

case $pattern in
    '') echo 'test: builds all with sanitizers, then runs all tests: some 40 minutes on 2 cores (T=PATTERN runs a part)' ;;
esac
packaging/deps.sh test
case $pattern in
    '' | *client*) packaging/deps.sh clients || echo 'test: node and npm are not to be had here' ;;
esac
case $pattern in
    '' | *metrics* | *promtool* | *alerts*) packaging/deps.sh promtool || echo 'test: promtool is not to be had here' ;;
esac
# What cannot be built is a failure, and no reason not to run the rest.
built=built
"${MAKE:-make}" --no-print-directory -s -k -j"$(nproc)" SAN=1 test-bins || built=not-built
# The sanitizers need more of the kernel than the sandbox gives a released worker: that one is tried too.
case $pattern in
    '' | *sandbox*) "${MAKE:-make}" --no-print-directory -s -j"$(nproc)" SAN=0 build/release/qcc-worker || built=not-built ;;
esac
exec /usr/bin/python3 tests/run.py "$pattern" $built
