#!/usr/bin/env bash
# Nodes that are lost, drained nodes, a controller that is away, a coordinator that is killed, jobs of our name that nobody promised.
# timeout: 900
# shellcheck disable=SC2119,SC2317 # until_true calls functions; options are optional
set -u
. tests/tap.sh
. tests/slurm/support/slurm.sh

start_slurm 4
truth_of 400

# A node dies with all that runs on it.
new_slurm_home
learn_rex 400
until_true 60 at_step 40
name=$(names)
node=$(node_of "$name")
id=$(job_of "$name")
kill_daemon "slurmd.$node"
# shellcheck disable=SC2046
kill_all KILL $(pgrep -f "^slurmstepd: \[$id\.") $(pids_of_group "$name")
begin=$(now_ms)
is_replaced() { is_taken_beside "$name"; }
until_true 40 is_replaced
took=$(($(now_ms) - begin))
within "$took" 15000 "a group whose node was lost is replaced"
ends_with_truth "a lost node"
revive
is_all_over "a lost node"

# No node may be used; people are told why nothing happens.
scontrol update 'NodeName=n[1-4]' State=drain Reason=test
new_slurm_home
learn_rex 400
explained() { engram queue 2>&1 | grep -q "waits in Slurm: .*"; }
until_true 30 explained
is "$?" 0 "while nodes are drained, engram queue says what a group waits for"
engram queue 2>&1 | sed 's/^/# /'
is "$(names | wc -l)" 1 "and one group waits"
resume_nodes
ends_with_truth "drained nodes"
name=$(names)

# Leftovers: names of ours without a promise are ended, those of other homes and people are not.
prefix=${name%-g*}
sbatch -Q -J "$prefix-g9-deadbeef" -o /dev/null --wrap 'sleep 300'
sbatch -Q -J "engram-00000000-g9-deadbeef" -o /dev/null --wrap 'sleep 300'
leftover_is_gone() { ! squeue -h -n "$prefix-g9-deadbeef" | grep -vq ' CG '; }
until_true 90 leftover_is_gone
is "$?" 0 "a leftover of our name is found and ended"
is "$(state_of engram-00000000-g9-deadbeef)" RUNNING "another home's job is left alone"
scancel -n engram-00000000-g9-deadbeef
is_all_over "drained nodes and leftovers"

# The coordinator is killed while a group works: the next one knows the group. Then both are away.
new_slurm_home
learn_rex 400
until_true 60 at_step 40
name=$(names)
kill_all KILL "$(coordinator_pid)"
TMPDIR=$home/tmp engram up --slurm -t 60 >/dev/null
ends_with_truth "a killed coordinator"
is "$(names)" "$name" "a killed coordinator: no second group"
kill_all KILL "$(coordinator_pid)"
run engram down
is "$status" 0 "a killed coordinator: engram down ends its group all the same"
is_ended "a killed coordinator"

# The controller is away for long: nothing is lost, nothing is started; then it is back.
new_slurm_home
learn_rex 400
until_true 60 at_step 20
name=$(names)
sleep 6
kill_daemon slurmctld
sleep 25
is "$(names)" "$name" "while the controller is away, nothing is given up"
ends_with_truth "a controller that is away"
says_so() { engram doctor 2>&1 | grep -q "squeue has not answered for"; }
is_silent() { ! says_so; }
until_true 60 says_so
is "$?" 0 "engram doctor says that squeue does not answer"
revive
until_true 40 is_silent
is "$?" 0 "until it does"
is "$(names)" "$name" "and when it is back the group is the same"
is_all_over "a controller that is away"
done_testing
