#!/bin/sh
# run.sh SECONDS [TARGET…]: each fuzz target for so long, over a copy of its corpus: what it finds does
# not land in the tree. Fails if one crashed; the input that did it is then kept in build/fuzz/.
cd "$(dirname "$0")/../.." || exit 1
seconds=${1:?seconds}
shift
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
bad=0
for program in build/fuzz/fuzz_*; do
    [ -x "$program" ] && [ -f "$program" ] || continue
    name=${program##*/fuzz_}
    case " ${*:-$name} " in *" $name "*) ;; *) continue ;; esac
    mkdir -p "$work/$name"
    cp -R "tests/fuzz/corpus/$name/." "$work/$name/" 2>/dev/null
    if "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/crash-$name-" "$work/$name" >"$work/$name.log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$name.log")
        echo "fuzz_$name: ok, ${runs:-?} runs in ${seconds}s"
    else
        bad=1
        echo "fuzz_$name: FAILED"
        tail -n 40 "$work/$name.log"
    fi
done
exit $bad
