#!/usr/bin/env bash
# make chaos: 200 kills of the coordinator, 100 of ranks, rank 0 and mpirun, 20 groups that sleep past their lease and wake, 20
# cuts of the network of a group that came over TCP, a disk that fills up, while users draw, look and cancel and lineages are
# learned one after the other. ENGRAM_SEED=N repeats a run.
# timeout: 7200
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh
needs_workers
. tests/chaos/support/chaos.sh

seed=${ENGRAM_SEED:-$((RANDOM % 1000000))}
echo "# ENGRAM_SEED=$seed"
quiet_run || exit 1
# A disk of its own, where that may be made: it is filled up now and then.
full=0 cuts=0
if ((EUID == 0)); then
    full=5 with_far=1
    own_disk() { mount -t tmpfs -o size=400m,mode=700 engram-chaos "$home"; }
fi
chaos_begin "$seed"
mountpoint -q "$home" || full=0
[[ -z $far ]] || cuts=${ENGRAM_CUTS:-20}
kills=${ENGRAM_RANKS:-100}
chaos kill_coordinator="${ENGRAM_KILLS:-200}" kill_rank=$((kills * 2 / 3)) kill_mpirun=$((kills - kills * 2 / 3)) \
    make_zombie="${ENGRAM_ZOMBIES:-20}" fill_disk="$full" cut_network="$cuts"
chaos_end
done_testing
