#!/usr/bin/env bash
# Slurm's warning (by hand, before a pre-emption, before a time limit) becomes a durable checkpoint at once; requeue and resume give the
# bytes of a quiet run, also when no warning comes. ENGRAM_ROUNDS=N warnings by hand are timed (20).
# timeout: 1800
# shellcheck disable=SC2119,SC2317 # until_true calls functions; options are optional
set -u
. tests/tap.sh
. tests/slurm/support/slurm.sh

rounds=${ENGRAM_ROUNDS:-20}
start_slurm 4

# Only the warning makes a checkpoint: the regular ones are further apart than training is long.
steps=400
truth_of $steps 100000
checkpoint_is_there() { [[ -s $home/checkpoints/job-1-train ]]; }
slowest=0
warned_round() {
    local name begin took
    new_slurm_home
    learn_rex $steps 100000
    until_true 60 at_step $((20 + RANDOM % 200)) || echo "# training did not come so far"
    name=$(names)
    begin=$(now_ms)
    scancel -b -s USR1 "$(job_of "$name")"
    until checkpoint_is_there || (($(now_ms) - begin > 20000)); do sleep 0.01; done
    took=$(($(now_ms) - begin))
    ((took <= slowest)) || slowest=$took
    within "$took" 2000 "round $1: from the warning to a durable checkpoint"
    ends_with_truth "round $1"
    is "$(job 1 '[.stages[] | select(.stage == "train") | .attempts] | join(" ")')" 2 "round $1: in two attempts"
    is_all_over "round $1"
}
for ((round = 1; round <= rounds; round++)); do warned_round $round; done
echo "# the slowest of $rounds took $slowest ms"

truth_of 1200 100000
new_slurm_home
learn_rex 1200 100000
until_true 60 at_step 30
name=$(names)
begin=$(now_ms)
urgent=$(sbatch --parsable -p urgent -N 4 -n 8 --exclusive -o /dev/null --wrap 'sleep 5')
until checkpoint_is_there || (($(now_ms) - begin > 60000)); do sleep 0.01; done
echo "# pre-emption: a checkpoint $(($(now_ms) - begin)) ms after the urgent job was submitted"
ok "a pre-empted group has saved" checkpoint_is_there
until_true 60 eval "[[ -z \$(squeue -h -j $urgent -o %T 2>/dev/null) ]]"
ends_with_truth "pre-empted"
is_all_over "pre-empted"

# Slurm looks at limits every 30 s, so the warning may come up to a minute early.
# Training must outlast the limit, and how long a step takes is the machine's.
begin=$(now_ms)
truth_of 3000 100000
long=$((3000 * 100000 / ($(now_ms) - begin)))
((long > 3000)) || long=3000
truth_of $long 100000
new_slurm_home
engram down >/dev/null
jq '.warn_seconds = 30' "$home/site.json" >"$home/site.new" && mv "$home/site.new" "$home/site.json"
TMPDIR=$home/tmp engram up --slurm -t 1 >/dev/null
learn_rex $long 100000
until_true 60 at_step 10
begin=$(now_ms)
until_true 120 checkpoint_is_there
is "$?" 0 "a group near its time limit has saved"
echo "# time limit of 60 s, warning 30 s before: a checkpoint $(($(now_ms) - begin)) ms after step 10"
ends_with_truth "over a time limit"
is_all_over "over a time limit"

# The warning never comes: killed as a whole, and requeued without a word.
new_slurm_home
truth_of 300
learn_rex 300
until_true 60 at_step 60
name=$(names)
kill_group KILL "$name"
ends_with_truth "killed without a warning"
is_all_over "killed without a warning"
done_testing
