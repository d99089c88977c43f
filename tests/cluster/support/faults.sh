# shellcheck shell=bash disable=SC2034,SC2154
# faults.sh - submissions that are the same each time, and ways to disturb them. Source it after engram.sh.

fault_so=$TMPDIR/fault.so
"${CC:-cc}" -std=c11 -D_GNU_SOURCE -O1 -shared -fPIC tests/cluster/support/fault.c -o "$fault_so" -ldl || exit 1
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0:detect_leaks=0
truth=''
ended_job=$TMPDIR/ended-job.json

# learn_surely FOLDER [OPTION...]: a submission as a patient person makes it. Refused because an attempt that seemed lost was accepted
# after all is as good as accepted.
learn_surely() {
    local try
    for try in 1 2 3; do
        run engram learn --lineage pets "$photos/$1" --config "$quick" "${@:2}"
        if ((status == 0)) || [[ $stderr == *"token <$1>"* ]]; then return 0; fi
        echo "# learn $1, try $try: exit $status, $stderr"
        engram up >/dev/null 2>&1
    done
    return 1
}

submit() {
    local try
    for try in 1 2 3; do
        run engram lineage create pets
        if ((status == 0)) || [[ $stderr == *exists* ]]; then break; fi
        echo "# lineage create, try $try: exit $status, $stderr"
        engram up >/dev/null 2>&1
    done
    learn_surely rex --preview 'a <rex> dog'
    learn_surely mug
}

undisturbed() {
    new_home
    engram up >/dev/null || return 1
    submit
    until_true 60 all_ended
    truth=$(what_is_learned pets)
    echo "# undisturbed: $(cut -f 2 <<<"$truth" | cut -c 1-12 | paste -sd ' ')"
    is "$(wc -l <<<"$truth")" 2 "the undisturbed run has its two commits"
    is "$(torn_objects)" "" "and every object its bytes"
    engram down >/dev/null
    is_clean "undisturbed"
}

# judge SENTENCE: everything ends, and is as if nothing had happened.
judge() {
    if until_true 60 all_ended; then
        is "$(what_is_learned pets)" "$truth" "$1: the same commits, none missing, none double"
    else
        point 1 "$1: it ends"
        engram queue --all 2>&1 | sed 's/^/#   /'
        tail -n 15 "$home/log/coordinator.log" "$home/log/group-1.log" | sed 's/^/#   /'
    fi
    is "$(torn_objects)" "" "$1: no object is torn"
    is "$(find "$home/checkpoints" -type f)" "" "$1: no checkpoint is left"
    engram show 1 --json >"$ended_job"
    engram down >/dev/null
    is_clean "$1"
}

was_hit() { [[ -s $ENGRAM_FAULT_HIT ]]; }
are_dead() { ! kill -0 "$@" 2>/dev/null; }

# victims rank0|rank1|mpirun|coordinator|everything
victims() {
    case $1 in
    rank?) rank_pid "${1#rank}" ;;
    mpirun) cut -d ' ' -f 1 "$home/run/group-1.pid" ;;
    coordinator) coordinator_pid ;;
    everything) processes "$home" ;;
    esac
}

# Runs beside the submission: when it has happened, kills who was to be killed, and starts again what does not start by itself.
watch_fault() {
    local pids hit
    until_true 60 was_hit || return 1
    hit=$(<"$ENGRAM_FAULT_HIT")
    if [[ $1 != self ]]; then
        pids=$(victims "$1")
        # shellcheck disable=SC2086
        kill_all KILL $pids
        kill_all CONT "$hit"
        [[ -n $pids ]] || return 1
        hit=$pids
    fi
    if [[ $2 == engram-coordinator* || $1 == coordinator || $1 == everything ]]; then
        # shellcheck disable=SC2086
        until_true 5 are_dead $hit
        until_true 30 engram up
    fi
}

# faulted SENTENCE "PROGRAM RANK PLACE N" VICTIM: fault.c has the words of the second; self: who comes by is killed there, else it
# stops there and the victim is killed.
faulted() {
    local watcher begin=$EPOCHREALTIME
    new_home
    export ENGRAM_FAULT_HIT=$home/hit ENGRAM_FAULT="$2 KILL"
    [[ $3 == self ]] || ENGRAM_FAULT="$2 STOP"
    LD_PRELOAD=$fault_so engram up >/dev/null
    watch_fault "$3" "$2" &
    watcher=$!
    LD_PRELOAD=$fault_so submit
    wait "$watcher" || point 1 "$1: it happened"
    judge "$1"
    unset ENGRAM_FAULT ENGRAM_FAULT_HIT
    echo "# $(awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }') s"
}
