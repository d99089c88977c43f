#!/usr/bin/env bash
# Slurm's third lie, ENGRAM_ROUNDS times (10): a node whose daemon died is given up, the job starts elsewhere, and its first start is
# alive and at work all the time.
# timeout: 2400
# shellcheck disable=SC2119,SC2317 # until_true calls functions; options are optional
set -u
. tests/tap.sh
. tests/slurm/support/slurm.sh

steps=1500
start_slurm 4 SlurmdTimeout=5
# Slurm's nodes are this host under other names, so mpirun would ask Slurm to start its ranks "there", and lose them with the daemon. On a
# real node it starts them itself.
local_ranks='["--mca", "plm", "rsh", "--mca", "ras", "^slurm", "-np", "2", "--oversubscribe"]'
truth_of $steps
twins=0
for ((round = 1; round <= ${ENGRAM_ROUNDS:-10}; round++)); do
    new_slurm_home --max-groups 1
    engram down >/dev/null
    jq ".mpirun = $local_ranks" "$home/site.json" >"$home/site.new" && mv "$home/site.new" "$home/site.json"
    TMPDIR=$home/tmp engram up --slurm -t 60 --max-groups 1 >/dev/null
    learn_rex $steps
    until_true 60 at_step 20
    name=$(names)
    node=$(node_of "$name")
    mapfile -t first < <(pids_of_group "$name")
    kill_daemon "slurmd.$node"
    begin=$(now_ms)
    moved() { [[ $(node_of "$name") != "$node" && $(state_of "$name") == RUNNING ]]; }
    until_true 90 moved
    is "$?" 0 "round $round: the job runs elsewhere, $(($(now_ms) - begin)) ms after its node's daemon died"
    alive=0
    for pid in "${first[@]}"; do [[ $(sed 's/.*) //; s/ .*//' "/proc/$pid/stat" 2>/dev/null) != [RSD] ]] || alive=$((alive + 1)); done
    echo "# round $round: $alive of ${#first[@]} processes of the first start are alive beside it, job is $(job 1 '"\(.state) at \(.stage) \(.step)"')"
    ((alive == 0)) || twins=$((twins + 1))
    ends_with_truth "round $round"
    revive
    is_all_over "round $round"
    scontrol update "NodeName=$node" State=resume 2>/dev/null
done
echo "# $twins of $((round - 1)) rounds had two copies at once"
done_testing
