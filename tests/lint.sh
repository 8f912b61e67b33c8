#!/bin/sh
# lint.sh [STEP...]: what `make lint` does: objects rooms deps text page format shell
# python cppcheck, or those named.
# Says one line for each step, with the faults under it; fails when there is any.
set -u
cd "$(dirname "$0")/.." || exit 1
build=build/plain
bad=0

# Without optimization, LTO and hardening, so that the objects name just what the source calls.
objects() {
    "${MAKE:-make}" --no-print-directory -s -k -j"$(nproc)" SAN=0 B="$build" \
        OPT='-O0 -fno-stack-protector -U_FORTIFY_SOURCE' LDOPT= objs
}

deps() { tests/check_deps.sh "$build"; }

rooms() { /usr/bin/python3 tests/lint_rooms.py "$build"; }

# One pinned version: another one formats in another way. Without it, as on a system that has only newer ones, the
# step is passed over and says so.
format() {
    command -v clang-format-14 >/dev/null 2>&1 || {
        echo '  clang-format 14 is not to be had here: the format is not checked'
        return 0
    }
    git ls-files '*.c' '*.h' | xargs clang-format-14 --dry-run -Werror
}

text() { /usr/bin/python3 tests/lint_text.py; }

page() { /usr/bin/python3 tests/lint_page.py; }

scripts() {
    git ls-files -co --exclude-standard -- '*.sh' '*.bash' '.ci/run' packaging/qcc-service 'packaging/debian/qcc.p*' 2>/dev/null ||
        find packaging tests -name '*.sh' -o -name '*.bash'
}

shell() {
    # SC2317: functions called through "$@" look unreachable to it. SC2015: `a && b || c` is meant so.
    scripts | xargs shellcheck -e SC2317,SC2015
}

python() {
    find tests packaging -name '*.py' -print | /usr/bin/python3 -c '
import sys
bad = 0
for path in sys.stdin.read().split():
    try:
        compile(open(path, encoding="utf-8").read(), path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as e:
        print(f"{path}: {e}")
        bad = 1
sys.exit(bad)'
}

# uninitvar: it does not see through `if (f(&x))`; the compiler does, and its warnings are errors.
# internalAstError: it knows no `a ?: b`.
cpp() {
    cppcheck -q -j"$(nproc)" --std=c11 --enable=warning,performance,portability --inline-suppr \
        --error-exitcode=1 --suppress=missingInclude --suppress=uninitvar --suppress=internalAstError \
        --suppress=normalCheckLevelMaxBranches -I. \
        '-DQCC_VERSION="x"' --template='{file}:{line}: {severity}: {message} [{id}]' \
        common supervisor worker
}

step() { # NAME COMMAND
    if out=$("$2" 2>&1); then
        echo "lint: $1: ok"
    else
        echo "lint: $1: FAILED"
        bad=1
    fi
    [ -z "$out" ] || echo "$out"
}

if [ $# -eq 0 ]; then
    packaging/deps.sh lint || exit 1
    packaging/deps.sh format || echo 'lint: clang-format 14 is not to be had here'
    set -- objects rooms deps text page format shell python cppcheck
fi
for name in "$@"; do
    case $name in
        objects) step 'compiles, each part seeing only what it may' objects ;;
        rooms) step 'rooms' rooms ;;
        deps) step 'libraries and system calls' deps ;;
        text) step 'text' text ;;
        page) step 'dashboard' page ;;
        format) step 'format (clang-format 14)' format ;;
        shell) step 'shellcheck' shell ;;
        python) step 'python' python ;;
        cppcheck) step 'cppcheck' cpp ;;
        *)
            echo "lint: no step '$name'" >&2
            bad=1
            ;;
    esac
done
exit $bad
