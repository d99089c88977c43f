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
again_or_over() { started_again || all_ended; }
works_again() { (($(cat "$home"/log/group-*.log | grep -c "job . [a-z]*: begins") > $1)); }
for ((round = 1; round <= ${ENGRAM_ROUNDS:-10}; round++)); do
    # Slurm drains a node on which it finds the job that it starts there ("Duplicate jobid").
    scontrol update 'NodeName=n[1-4]' State=resume 2>/dev/null
    sleep 6 # so that what Slurm writes next is some seconds off
    new_slurm_home
    learn_rex $steps
    until one_group; do sleep 0.02; done
    name=$(names)
    until_true 20 is_in_state "$name" RUNNING
    sleep "$((RANDOM % 3)).$((RANDOM % 10))"
    begin=$(now_ms)
    kill_daemon slurmctld
    stages=$(cat "$home"/log/group-*.log | grep -c "job . [a-z]*: begins")
    revive
    until_true 60 again_or_over
    if started_again; then
        until_true 30 works_again "$stages"
        took=$(($(now_ms) - begin))
        ((took <= slowest)) || slowest=$took
        lies=$((lies + 1))
        within "$took" 15000 "round $round: after the controller died somebody works again"
    else
        echo "# round $round: no second start; Slurm says $(squeue -h -n "$name" -o '%T %r')"
    fi
    grep -h "starts on" "$home"/log/group-*.log | sed 's/^/#   /'
    ends_with_truth "round $round"
    is_all_over "round $round"
done
echo "# $lies silent second starts, the slowest took $slowest ms"
done_testing
