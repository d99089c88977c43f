# shellcheck shell=bash disable=SC2034,SC2154
# engram.sh - a whole tiny Engram in a home of its own, for the tests of cluster and command line. Source it after tests/tap.sh.
#
#     new_home                      $home, exported as ENGRAM_HOME: empty, short (a socket's path has 107 bytes)
#     engram up; engram learn ...   the programs under test
#     until_true 30 COMMAND...      polls, with a bound in seconds
#     stop_home                     down, and whatever is left is named; the trap at exit kills it by pid
#
# What is compared after faults: what_is_learned, one line per commit with all its hashes.

base=$PWD/tests/golden/storybook/model
photos=$PWD/tests/cluster/photos
quick=$PWD/tests/cluster/quick.yaml
export ENGRAM_BASE=$base
shopt -s extglob
unset ENGRAM_CLIP XDG_STATE_HOME
# Two ranks on two cores that tests share: one thread each.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

[[ -x $ENGRAM_BIN/engram && -x $ENGRAM_BIN/engram-coordinator ]] || skip_all "engram is not built"
needs_workers() { [[ -x $ENGRAM_BIN/engram-worker ]] || skip_all "no MPI in this build: no worker group"; }
: "${TMPDIR:=/tmp}"
command -v jq >/dev/null || skip_all "no jq to read JSON with"

engram() { "$ENGRAM_BIN/engram" "$@"; }

homes=()
home=''
new_home() {
    home=$(mktemp -d /tmp/engram.XXXXXX)
    homes+=("$home")
    export ENGRAM_HOME=$home
}

# Pids of the programs of home $1: coordinator, mpirun, ranks. One grep over all of /proc; its pattern comes from a file, or it would
# find itself.
processes() {
    local file name
    echo "$1" >"$TMPDIR/pattern"
    while IFS= read -r file; do
        read -r name 2>/dev/null <"${file%cmdline}comm" || continue
        [[ $name != @(engram-*|mpirun|orted) ]] || basename "${file%/cmdline}"
    done < <(grep -alFf "$TMPDIR/pattern" /proc/[0-9]*/cmdline 2>/dev/null)
}

# kill_all SIGNAL PID...: those that have gone already are no error.
kill_all() {
    local signal=$1
    shift
    (($# == 0)) || kill -"$signal" "$@" 2>/dev/null
    return 0
}

end_homes() {
    local h
    for h in "${homes[@]}"; do
        # shellcheck disable=SC2046
        kill_all KILL $(processes "$h")
        ! mountpoint -q "$h" || umount "$h"
        if [[ -n ${KEEP:-} ]]; then echo "# kept: $h"; else rm -rf "$h"; fi
    done
}
trap end_homes EXIT

# until_true SECONDS COMMAND...: runs it until it succeeds.
until_true() {
    local until=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < until)) || return 1
        sleep 0.05
    done
}

coordinator_pid() { cat "$home/run/coordinator.pid" 2>/dev/null; }
# rank_pid N
rank_pid() {
    local pid
    for pid in $(processes "$home"); do
        if grep -azq "^OMPI_COMM_WORLD_RANK=$1\$" "/proc/$pid/environ" 2>/dev/null; then echo "$pid"; fi
    done
}

# job NUMBER FILTER: one field of a job, by jq.
job() { engram show "$1" --json | jq -r "$2"; }
# job_is NUMBER STATE...
job_is() {
    local state
    state=$(job "$1" .state) && shift && [[ " $* " == *" $state "* ]]
}
all_ended() { engram queue --json | jq -e '.total == 0'; }

# Every commit with everything that hangs on it, without what a clock says.
what_is_learned() {
    engram log "$1" --json |
        jq -r '.commits[] | [.number, .commit, .parent, .token, .evaluation, (.images | join("+")), (.previews | join("+"))] | @tsv'
}

# All objects have the bytes that their names promise; prints those that do not, and what is no object.
torn_objects() {
    local f sum
    while IFS= read -r f; do
        sum=$(sha256sum <"$f")
        [[ "$(basename "$(dirname "$f")")$(basename "$f")" == "${sum%% *}" ]] || echo "$f"
    done < <(find "$home/objects" -type f)
}

# A picture of everything that a refused command must not change.
picture() {
    engram queue --all --json | jq -c '.jobs[] | [.job, .token, .commit, .results, .submitted_ms, .finished_ms]'
    engram lineage list --json
    local l
    for l in $(engram lineage list --json | jq -r '.lineages[].lineage'); do engram log "$l" --json; done
    find "$home/objects" "$home/checkpoints" -type f | sort
}

# After `engram down`: no process, nothing in run/ but the lock, no shared memory.
is_clean() {
    until_true 5 no_processes
    is "$(processes "$home")" "" "$1: no process is left"
    until_true 5 no_segments
    is "$(segments)" "" "$1: no shared memory is left"
    is "$(find "$home/run" -mindepth 1 ! -name coordinator.lock)" "" "$1: run/ is empty"
}
# Folders of this home's worker groups in memory; their names begin with a hash of its path.
segments() {
    local folder
    for folder in /dev/shm/engram-"$(printf %s "$home" | sha256sum | cut -c1-12)"-*; do
        [[ ! -d $folder ]] || echo "$folder"
    done
}
no_segments() { [[ -z $(segments) ]]; }
no_processes() { [[ -z $(processes "$home") ]]; }
