#!/usr/bin/env bash
# Slurm's fourth lie, ENGRAM_ROUNDS times (10): a job whose processes are gone is called RUNNING.
# timeout: 1800
# shellcheck disable=SC2119,SC2317 # until_true calls functions; options are optional
set -u
. tests/tap.sh
. tests/slurm/support/slurm.sh

steps=200
start_slurm 4
truth_of $steps
slowest=0
# slurmstepd of a job: its title says which.
stepd_of() { pgrep -f "^slurmstepd: \[$1\." ; }
for ((round = 1; round <= ${ENGRAM_ROUNDS:-10}; round++)); do
    new_slurm_home
    learn_rex $steps
    until_true 60 at_step 40
    name=$(names)
    id=$(job_of "$name")
    # shellcheck disable=SC2046
    kill_all KILL $(stepd_of "$id")
    kill_group KILL "$name"
    begin=$(now_ms)
    is_replaced() { is_taken_beside "$name"; }
    until_true 40 is_replaced
    took=$(($(now_ms) - begin))
    ((took <= slowest)) || slowest=$took
    within "$took" 15000 "round $round: replaced, while Slurm says $(state_of "$name")"
    ends_with_truth "round $round"
    scancel -n "$name" 2>/dev/null
    is_all_over "round $round"
done
echo "# the slowest replacement took $slowest ms"
done_testing
