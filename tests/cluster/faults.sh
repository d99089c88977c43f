#!/usr/bin/env bash
# Kills of ranks, of the coordinator, of all, at chosen places; after each, the lineage is byte for byte that of an undisturbed run.
# timeout: 400
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh
needs_workers
. tests/cluster/support/faults.sh

undisturbed
faulted "rank 0 is killed in score"                    "engram-worker 0 masks 2" self
faulted "rank 1 is killed in score"                    "engram-worker 1 masks 1" self
faulted "rank 0 is killed in train"                    "engram-worker 0 rename:/checkpoints/ 3" self
is "$(jq -r '[.stages[] | select(.stage == "train") | .attempts] | join(" ")' "$ended_job")" 2 "train was leased twice"
faulted "rank 1 is killed in train"                    "engram-worker 0 rename:/checkpoints/ 4" rank1
faulted "rank 1 is killed while it names an object"    "engram-worker 1 rename:/objects/ 3" self
faulted "the coordinator is killed in train"           "engram-worker 0 rename:/checkpoints/ 4" coordinator
faulted "all are killed in train"                      "engram-worker 0 rename:/checkpoints/ 4" everything
faulted "the coordinator is killed in its first sync"    "engram-coordinator - sync 1" self
faulted "the coordinator is killed in its 24th sync"   "engram-coordinator - sync 24" self
faulted "learn is killed while it uploads"             "engram - rename:/objects/ 2" self
done_testing
