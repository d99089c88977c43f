#!/usr/bin/env bash
# Slurm's second lie, ENGRAM_ROUNDS times (10): a job is killed and started again under the same number, and nobody is told.
# timeout: 1800
# shellcheck disable=SC2119,SC2317 # until_true calls functions; options are optional
set -u
. tests/tap.sh
. tests/slurm/support/slurm.sh

steps=400
start_slurm 4
truth_of $steps
slowest=0 lies=0
# Two starts in the group's own log.
started_again() { (($(cat "$home"/log/group-*.log | grep -c "starts on") >= 2)); }
# When the last of these processes has gone, into $TMPDIR/died: only then is the group lost.
note_death() {
    local pid
    for pid in "$@"; do
        while [[ $(sed 's/.*) //; s/ .*//' "/proc/$pid/stat" 2>/dev/null) == [RSD] ]]; do sleep 0.05; done
    done
    now_ms >"$TMPDIR/died"
}
again_or_over() { started_again || all_ended; }
works_again() { (($(cat "$home"/log/group-*.log | grep -c "job . [a-z]*: begins") > $1)); }
for ((round = 1; round <= ${ENGRAM_ROUNDS:-10}; round++)); do
    resume_nodes
    sleep 6 # so that what Slurm writes next is some seconds off
    new_slurm_home
    learn_rex $steps
    until one_group; do sleep 0.02; done
    name=$(names)
    until_true 20 is_in_state "$name" RUNNING
    sleep "$((RANDOM % 3)).$((RANDOM % 10))"
    mapfile -t first < <(pids_of_group "$name")
    kill_daemon slurmctld
    note_death "${first[@]}" &
    watcher=$!
    stages=$(cat "$home"/log/group-*.log | grep -c "job . [a-z]*: begins")
    revive
    until_true 60 again_or_over
    if started_again; then
        until_true 30 works_again "$stages"
        took=$(($(now_ms) - $(cat "$TMPDIR/died" 2>/dev/null || now_ms)))
        ((took <= slowest)) || slowest=$took
        lies=$((lies + 1))
        within "$took" 15000 "round $round: after the first start's death somebody works again" ||
            sed 's/^/#   /' "$home/log/coordinator.log"
    else
        echo "# round $round: no second start; Slurm says $(squeue -h -n "$name" -o '%T %r')"
    fi
    grep -h "starts on" "$home"/log/group-*.log | sed 's/^/#   /'
    ends_with_truth "round $round"
    is_all_over "round $round"
    wait "$watcher"
    rm -f "$TMPDIR/died"
done
echo "# $lies silent second starts, the slowest took $slowest ms"
done_testing
