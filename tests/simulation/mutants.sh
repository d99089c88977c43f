#!/usr/bin/env bash
# The bugs of mutants.def can be planted in the core as it is; with ENGRAM_TEST_ALL each is, and the simulator finds it within a
# minute. timeout: 900
. tests/tap.sh

mapfile -t names < <(sed -n 's/^mutant //p' tests/simulation/mutants.def)
mapfile -t harmless < <(sed -n 's/^harmless //p' tests/simulation/mutants.def)
for name in "${names[@]}" "${harmless[@]}"; do
    ok "mutant $name: its lines stand in the core" tests/simulation/support/mutate.sh "$name" "$TMPDIR/mutant"
done

find_it() { # NAME SECONDS
    # A mutant may leave a parameter unused: the compiler's words matter only where it refuses.
    make -s "build/plain/mutants/$1" >"$TMPDIR/make" 2>&1 || cat "$TMPDIR/make"
    "build/plain/mutants/$1" find "$2" 5000
}

if [[ -z ${ENGRAM_TEST_ALL:-} ]]; then
    skip "in make test-all" "each mutant is found within a minute"
elif [[ $ENGRAM_BIN != */build ]]; then
    skip "only in the plain build" "each mutant is found within a minute"
else
    unset MAKEFLAGS MFLAGS MAKELEVEL
    for name in "${names[@]}"; do
        out=$(find_it "$name" 60 2>&1)
        like "$out" "found in *" "mutant $name is ${out%%:*}"
    done
    for name in "${harmless[@]}"; do
        out=$(find_it "$name" 5 2>&1)
        like "$out" "not found in *" "$name breaks nothing"
    done
fi
done_testing
