#!/usr/bin/env bash
# A few kills of each kind while people work; `make chaos` has hundreds. ENGRAM_SEED=N repeats a run.
# timeout: 300
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh
needs_workers
. tests/chaos/support/chaos.sh

people=2 concepts=(rex)
seed=${ENGRAM_SEED:-$((RANDOM % 1000000))}
echo "# ENGRAM_SEED=$seed"
quiet_run || exit 1
chaos_begin "$seed"
chaos kill_coordinator="${ENGRAM_KILLS:-3}" kill_rank=1 kill_mpirun=1 make_zombie=1
chaos_end
done_testing
