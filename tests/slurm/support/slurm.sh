# shellcheck shell=bash disable=SC2034,SC2154
# slurm.sh - a real Slurm of a few nodes on this host, and an Engram that starts its groups through it. Source it after tests/tap.sh.
#
#     start_slurm 4                     $slurm: its folder; sbatch, squeue ... speak to it. Ended with the script
#     start_slurm 2 --gpus 1            each node counts a GPU that nobody has
#     new_slurm_home [OPTION...]        a home of its own, `engram up --slurm OPTION...`
#     truth_of STEPS                    what a quiet run without Slurm learns with so many steps (kept, it is the same each time)
#     learn_rex STEPS                   submits the same to lineage pets
#
# Slurm is started by the scripts of ../shared/slurm-local. Where they or Slurm are missing, or we are not root, all is skipped.

. tests/cluster/support/engram.sh
needs_workers
slurm_local=$PWD/../shared/slurm-local
[[ -x $slurm_local/up ]] || skip_all "no ../shared/slurm-local to start a Slurm with"
((EUID == 0)) || skip_all "only root may start a Slurm"
for program in sbatch slurmctld slurmd munged; do
    command -v "$program" >/dev/null || skip_all "no $program here; .ci/deps --slurm installs Slurm"
done
unset SLURM_CONF

slurm=''
end_slurm() {
    local folder
    [[ -z $slurm ]] || "$slurm_local/down" "$slurm" >/dev/null 2>&1
    end_homes
}
trap end_slurm EXIT

# start_slurm NODES [--gpus N] [KEY=VALUE...]
start_slurm() {
    local nodes=$1 words=() word
    shift
    if [[ ${1:-} == --gpus ]]; then
        words=(-g "$2")
        shift 2
    fi
    for word in "$@"; do words+=(-o "$word"); done
    slurm=$("$slurm_local/up" -n "$nodes" -c 2 "${words[@]}" 2>"$TMPDIR/slurm-up") ||
        { slurm=''; skip_all "Slurm does not start here: $(tail -n 1 "$TMPDIR/slurm-up")"; }
    # shellcheck source=/dev/null
    . "$slurm/env"
}
slurm_pid() { cat "$slurm/$1.pid"; }
# A daemon dies at once, and comes back with what it had on its disk.
kill_daemon() { kill -9 "$(slurm_pid "$1")"; }
revive() { "$slurm_local/up" "$slurm" >/dev/null; }
# Slurm drains a node on which it finds the job that it starts there ("Duplicate jobid"); after some rounds it would have none left.
resume_nodes() { scontrol update 'NodeName=n[1-4]' State=resume 2>/dev/null; }

# Folders of jobs go where the test's are; the site's file says so, which tries it, too.
slurm_site() {
    mkdir "$home/tmp"
    echo '{"export": ["PATH", "TMPDIR", "LD_LIBRARY_PATH", "ENGRAM_LOG"], "idle_minutes": 1}' >"$home/site.json"
}
new_slurm_home() {
    new_home
    slurm_site
    TMPDIR=$home/tmp engram up --slurm -t 60 "$@" >/dev/null
}

# ---- what is learned ----

settings_of() { settings=(--no-evaluate --config "$quick" --set "train.steps=$1" --set "train.checkpoint_every=${2:-20}"); }
learn_rex() {
    settings_of "$@"
    engram lineage create pets >/dev/null
    engram learn --lineage pets "$photos/rex" "${settings[@]}" >/dev/null
}
learned() { engram log pets --json | jq -r '[.commits[].commit] | join(" ")'; }

declare -A truths
# Sets $truth.
truth_of() {
    local was_home=$home
    if [[ -z ${truths[$1]:-} ]]; then
        new_home
        engram up >/dev/null
        learn_rex "$@"
        until_true 200 all_ended
        truths[$1]=$(learned)
        engram down >/dev/null
        home=$was_home
        export ENGRAM_HOME=$home
    fi
    truth=${truths[$1]}
}

# ---- groups, as the coordinator and as Slurm see them ----

names() { find "$home/groups" -name '*.group' -printf '%f\n' 2>/dev/null | sed 's/\.group$//' | sort; }
taken() { grep -l '^state submitted' "$home"/groups/*.group 2>/dev/null | sed 's|.*/||; s/\.group$//'; }
# A group that is not among those of $1 has been taken by Slurm.
is_taken_beside() { [[ -n $(comm -13 <(sort <<<"$1") <(taken | sort)) ]]; }
job_of() { squeue -h -o %i -n "$1" | head -n 1; }
state_of() { squeue -h -o %T -n "$1" | head -n 1; }
node_of() { squeue -h -o %N -n "$1" | head -n 1; }
is_in_state() { [[ $(state_of "$1") == "$2" ]]; }
one_group() { [[ $(taken | wc -l) == 1 ]]; }
# at_step N: training has come so far.
at_step() { [[ $(job 1 '"\(.stage) \(.step)"') == train\ * && $(job 1 .step) -ge $1 ]]; }
# Processes of the job of group $1: mpirun and its ranks.
pids_of_group() {
    local pid
    for pid in $(processes "$home"); do
        if tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -q -- "--name $1 "; then echo "$pid"; fi
    done
}
no_groups() { [[ -z $(names) ]]; }

# within GOT_MS MOST_MS SENTENCE
within() { point $(($1 > $2)) "$3, $1 ms"; }

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

# After `engram down`: no process, no job of ours, no promise. (Groups of Slurm have no folder in /dev/shm.)
is_ended() {
    is "$(squeue -h -o '%j %T' | grep '^engram-' | grep -v COMPLETING)" "" "$1: Slurm has no job of ours any more"
    until_true 10 no_processes
    is "$(processes "$home")" "" "$1: no process is left"
    is "$(names)$(find "$home/run" -mindepth 1 ! -name coordinator.lock)" "" "$1: groups/ and run/ are empty"
}
is_all_over() {
    engram down --now >/dev/null
    is "$?" 0 "$1: engram down ends the groups"
    is_ended "$1"
}

# kill_group SIGNAL NAME: to all its processes, slurmstepd left alone.
kill_group() {
    # shellcheck disable=SC2046
    kill_all "$1" $(pids_of_group "$2")
}

# ends_with_truth SENTENCE: whatever happened, one commit, the right one.
ends_with_truth() {
    if ! until_true 240 all_ended; then
        point 1 "$1: it ends"
        engram queue --all 2>&1 | sed 's/^/#   /'
        squeue 2>&1 | sed 's/^/#   /'
        tail -n 30 "$home/log/coordinator.log" | sed 's/^/#   /'
    fi
    is "$(learned)" "$truth" "$1: one commit, and the bytes of an undisturbed run"
}
