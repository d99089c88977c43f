#!/usr/bin/env bash
# Kills at places nobody chose: ENGRAM_SEED=N repeats a run, ENGRAM_ROUNDS=N makes it longer.
# timeout: 200
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh
needs_workers
. tests/cluster/support/faults.sh

seed=${ENGRAM_SEED:-$((SRANDOM % 1000000))}
RANDOM=$seed
echo "# ENGRAM_SEED=$seed"

undisturbed
for ((round = 1; round <= ${ENGRAM_ROUNDS:-3}; round++)); do
    case $((RANDOM % 4)) in
    0) place="engram-coordinator - sync $((12 + RANDOM % 25))" victim=self ;;
    1) place="engram-worker $((RANDOM % 2)) rename:/objects/ $((1 + RANDOM % 4))" victim=self ;;
    2) place="engram-worker 0 rename:/checkpoints/ $((1 + RANDOM % 14))" victim=self ;;
    3)
        who=(rank0 rank1 mpirun coordinator everything)
        place="engram-worker 0 rename:/ $((1 + RANDOM % 20))" victim=${who[RANDOM % 5]}
        ;;
    esac
    faulted "round $round of seed $seed, $victim at $place" "$place" "$victim"
done
done_testing
