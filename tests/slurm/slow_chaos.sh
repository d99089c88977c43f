#!/usr/bin/env bash
# Daemons of Slurm are killed, and the coordinator and its groups with them, while users draw, look and cancel and lineages are learned
# one after the other. ENGRAM_SEED=N repeats a run, ENGRAM_KILLS=N has N of each daemon's.
# timeout: 3600
# shellcheck disable=SC2119,SC2317,SC2034 # functions are called by name; options are optional; chaos.sh reads what is set here
set -u
. tests/tap.sh
. tests/slurm/support/slurm.sh
. tests/chaos/support/chaos.sh
trap end_slurm EXIT

seed=${ENGRAM_SEED:-$((RANDOM % 1000000))}
echo "# ENGRAM_SEED=$seed"
quiet_run || exit 1

# From now on groups come through Slurm.
start_slurm 4
own_disk() { slurm_site; }
coordinator_up() { TMPDIR=$home/tmp engram up --slurm -t 60 --ranks "$ranks" --max-groups 3 >/dev/null 2>>"$TMPDIR/coordinator.err"; }

# fells PID-FILE: a daemon is gone for some seconds. What is asked of it meanwhile is not answered.
fells() {
    kill -KILL "$(cat "$slurm/$1")" 2>/dev/null || return 1
    sleep $((RANDOM % 4))
    revive 2>>"$TMPDIR/revive.err"
    return 0
}
kill_slurmctld() { fells slurmctld.pid && count slurmctld; }
kill_slurmd() { fells "slurmd.n$((RANDOM % 4 + 1)).pid" && count slurmd; }
kill_munged() { fells munge/pid && count munged; }
# The one that watches a job dies; mpirun and its ranks live on, and Slurm says what it likes.
kill_slurmstepd() {
    local pid
    # shellcheck disable=SC2046
    pid=$(pick $(pgrep -f '^slurmstepd: \[[0-9]'))
    [[ -n $pid ]] && kill -KILL "$pid" 2>/dev/null && count slurmstepd
}
requeue_group() {
    local name
    # shellcheck disable=SC2046
    name=$(pick $(taken))
    [[ -n $name ]] && scontrol requeue "$(job_of "$name")" 2>/dev/null && count requeue
}
cancel_group() {
    local name
    # shellcheck disable=SC2046
    name=$(pick $(taken))
    [[ -n $name ]] && scancel "$(job_of "$name")" 2>/dev/null && count scancel
}

chaos_begin "$seed"
kills=${ENGRAM_KILLS:-15}
chaos kill_slurmctld="$kills" kill_slurmd="$kills" kill_slurmstepd="$kills" kill_munged="$kills" kill_coordinator="$kills" \
    kill_rank="$kills" kill_mpirun=5 requeue_group=5 cancel_group=5
revive
chaos_end
is "$(squeue -h -o '%j %T' | grep '^engram-' | grep -v COMPLETING)" "" "Slurm has no job of ours any more"
is "$(names)" "" "and no group is promised"
done_testing
