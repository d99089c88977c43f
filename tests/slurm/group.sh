#!/usr/bin/env bash
# A coordinator starts its worker group through a real Slurm, requeues and lost jobs change no byte, and nothing is left.
# timeout: 240
# shellcheck disable=SC2119,SC2317 # until_true calls functions; options are optional
set -u
. tests/tap.sh
. tests/slurm/support/slurm.sh

# So many steps that the job outlasts what is done to it on a machine with other work: a cancelled group that has nothing
# to do is not replaced, and rightly so.
steps=2000
truth_of $steps
start_slurm 2
run engram up --slurm --print-sbatch -p batch --gres=none --home "$TMPDIR/nowhere"
like "$status $stdout" "0 #!/usr/bin/env bash*exec mpirun*# sbatch --parsable --job-name=engram-* --partition=batch --gres=none */groups/worker.sbatch *" \
    "--print-sbatch shows script and command"
is "$(squeue -h)$(ls "$TMPDIR/nowhere" 2>/dev/null)" "" "and starts nothing"

new_slurm_home -p batch --max-groups 2
is "$?" 0 "a coordinator comes up without waiting for Slurm"
is "$(squeue -h)" "" "and submits nothing while there is nothing to do"
learn_rex $steps
until_true 30 one_group
name=$(names)
like "$name" "engram-????????-g1-????????" "with work there is one group, of our name"
until_true 30 at_step 40
scontrol requeue "$(job_of "$name")"
scontrol update "JobId=$(job_of "$name")" StartTime=now 2>/dev/null
until_true 60 grep -q "has started again\|was put back by Slurm" "$home/log/coordinator.log"
is "$?" 0 "a requeued group is seen to be another start"
is "$(names)" "$name" "of the same group"
trains_again() { (($(cat "$home"/log/group-*.log | grep -c "starts on") > 1)) && at_step 80; }
until_true 60 trains_again
is "$?" 0 "and its second start trains on"
scancel "$(job_of "$name")"
is_replaced() { is_taken_beside "$name"; }
until_true 30 is_replaced
is "$?" 0 "a group that somebody else cancels is replaced"
ends_with_truth "requeued, then cancelled"
several_starts() { (($(cat "$home"/log/group-*.log | grep -c "starts on") > 2)); }
ok "by three starts" several_starts
is_all_over "a group through Slurm"
done_testing
