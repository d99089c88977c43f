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
slowest=0
said_hello() { grep -q "begins" "$home/log/coordinator.log"; }
# Two starts in the group's own log.
started_again() { (($(cat "$home"/log/group-*.log | grep -c "starts on") >= 2)); }
works_again() { (($(cat "$home"/log/group-*.log | grep -c "job . [a-z]*: begins") > $1)); }
for ((round = 1; round <= ${ENGRAM_ROUNDS:-10}; round++)); do
    sleep 6
    new_slurm_home
    learn_rex $steps
    until said_hello; do sleep 0.02; done
    begin=$(now_ms)
    kill_daemon slurmctld
    stages=$(cat "$home"/log/group-*.log | grep -c "job . [a-z]*: begins")
    revive
    until_true 60 started_again
    is "$?" 0 "round $round: there is a second start"
    until_true 30 works_again "$stages"
    took=$(($(now_ms) - begin))
    ((took <= slowest)) || slowest=$took
    within "$took" 15000 "round $round: after the controller died somebody works again"
    grep -h "starts on" "$home"/log/group-*.log | sed 's/^/#   /'
    ends_with_truth "round $round"
    is_all_over "round $round"
done
echo "# the slowest took $slowest ms"
done_testing
