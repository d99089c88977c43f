#!/usr/bin/env bash
# Slurm's first lie, ENGRAM_ROUNDS times (10): a job that was acknowledged is forgotten, and its number is given to somebody else.
# timeout: 1800
# shellcheck disable=SC2119,SC2317 # until_true calls functions; options are optional
set -u
. tests/tap.sh
. tests/slurm/support/slurm.sh

steps=100
start_slurm 4
truth_of $steps
slowest=0
for ((round = 1; round <= ${ENGRAM_ROUNDS:-10}; round++)); do
    resume_nodes
    new_slurm_home
    # What Slurm has on its disk now is what it will have after its death: it writes every five seconds, and how many of them are
    # over when the job comes is chance. So chance is helped. The job of the round before must be over on that disk.
    sleep 6
    rm -rf "$slurm/state.before" && cp -a "$slurm/state" "$slurm/state.before"
    learn_rex $steps
    until one_group; do sleep 0.02; done
    begin=$(now_ms)
    kill_daemon slurmctld
    name=$(names)
    id=$(sed -n 's/^job //p' "$home/groups/$name.group")
    # What the job may have begun is not the lie: it is never heard of again.
    kill_group KILL "$name"
    rm -rf "$slurm/state" && mv "$slurm/state.before" "$slurm/state"
    # Else the replacement would have the number before anybody could come.
    kill -STOP "$(coordinator_pid)"
    revive
    is "$(squeue -h -n "$name")" "" "round $round: Slurm has forgotten job $id"
    stranger=$(sbatch --parsable -o /dev/null --wrap 'sleep 3')
    is "$stranger" "$id" "round $round: and given its number to somebody else"
    kill -CONT "$(coordinator_pid)"
    is_replaced() { is_taken_beside "$name"; }
    until_true 40 is_replaced
    took=$(($(now_ms) - begin))
    ((took <= slowest)) || slowest=$took
    within "$took" 15000 "round $round: it is replaced"
    ends_with_truth "round $round"
    # Where the node still knows the lost job, Slurm may hold the stranger back; what counts is that we left it alone.
    is "$(grep "^JobId=$stranger .*Name=wrap .*JobState=CANCELLED" "$slurm/log/jobcomp.txt")" "" "round $round: nobody cancelled the stranger"
    scancel "$stranger" 2>/dev/null
    is_all_over "round $round"
done
echo "# the slowest replacement took $slowest ms"
done_testing
