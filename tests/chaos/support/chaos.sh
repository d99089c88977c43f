# shellcheck shell=bash disable=SC2034,SC2154
# chaos.sh - everything is killed, stopped, cut off and filled up while people learn, draw, look and cancel. Source it after
# tests/cluster/support/engram.sh.
#
#     quiet_run                          what is learned when nothing happens: $truth
#     chaos_begin SEED                   coordinator, groups, users at work
#     chaos kill_coordinator=20 kill_rank=10 ...    so many misfortunes of each kind, at times and places that the seed chose
#     chaos_end                          the faults stop; all ends; points for the harness
#
# A concept is learned in one lineage after the other, each of which must have the commits of the quiet run.

groups=2 ranks=2 term_ms=3000
chaos_settings=(--config "$quick" --no-evaluate --set train.steps=20)
concepts=(rex mug)
declare -A happened=()

user_program=$ENGRAM_BIN/tests/chaos/user
[[ -x $user_program ]] || user_program=$ENGRAM_BIN/plain/tests/chaos/user
[[ -x $user_program ]] || skip_all "tests/chaos/user is not built"
python=$(command -v python3) || skip_all "no python3 to check histories with"

coordinator_up() {
    "$ENGRAM_BIN/engram-coordinator" --home "$home" --groups "$groups" --ranks "$ranks" --term-ms "$term_ms" \
        "${coordinator_options[@]}" 2>>"$TMPDIR/coordinator.err" >/dev/null
}

# learn_all LINEAGE: its concepts in order; said again until it is accepted.
learn_all() {
    local concept
    until engram lineage create "$1" >/dev/null 2>&1 || engram log "$1" >/dev/null 2>&1; do sleep 0.2; done
    for concept in "${concepts[@]}"; do
        until engram learn --lineage "$1" "$photos/$concept" "${chaos_settings[@]}" >/dev/null 2>"$TMPDIR/learn.err" ||
            grep -q "is taken in" "$TMPDIR/learn.err"; do
            sleep 0.2
        done
    done
}

hashes() { engram log "$1" --json | jq -r '.commits[] | [.number, .commit, .parent, .token] | @tsv'; }

quiet_run() {
    new_home
    coordinator_up
    learn_all quiet
    until_true 300 all_ended
    truth=$(hashes quiet)
    engram down >/dev/null
    [[ $(wc -l <<<"$truth") == "${#concepts[@]}" ]] || { echo "# the quiet run learned: $truth"; return 1; }
}

# ---- people ----

# How each ended is written down: by the time somebody waits, another child may have had its number, and the shell has forgotten.
people_begin() {
    local i
    mkdir -p "$TMPDIR/history"
    rm -f "$TMPDIR/stop" "$TMPDIR"/user-*.status
    for ((i = 1; i <= $1; i++)); do
        {
            "$user_program" "$home" "user-$i" $((seed * 100 + i)) "$pattern" "$TMPDIR/history/user-$i.jsonl" "$TMPDIR/stop" \
                >"$TMPDIR/user-$i.out" 2>&1
            echo $? >"$TMPDIR/user-$i.status"
        } &
    done
    n_people=$1
}
people_have_left() { (($(cat "$TMPDIR"/user-*.status 2>/dev/null | wc -l) == n_people)); }

lineages=0
# One more lineage is begun whenever the last one has its commits; its name counts up.
learner() {
    local n=1
    while [[ ! -e $TMPDIR/stop ]]; do
        learn_all "l$n"
        echo "$n" >"$TMPDIR/lineages"
        while [[ ! -e $TMPDIR/stop ]] && (($(hashes "l$n" 2>/dev/null | wc -l) < ${#concepts[@]})); do sleep 0.3; done
        n=$((n + 1))
    done
}

chaos_begin() {
    seed=$1
    RANDOM=$seed
    new_home
    [[ $(type -t own_disk) != function ]] || own_disk
    coordinator_options=(--log json)
    [[ -z ${with_far:-} ]] || far_begin || echo "# no network namespaces here: nothing is cut off"
    coordinator_up
    if [[ -n $far ]]; then
        far_loop &
        far_pid=$!
    fi
    engram lineage create drawn >/dev/null
    pattern=$(engram sample --lineage drawn --config "$quick" --set sample.steps=2 -n 1 --json "a dog" --no-wait 2>/dev/null | jq -r .job)
    people_begin "${people:-3}"
    learner &
    learner_pid=$!
}

# ---- a worker group behind a network of its own: namespaces and a pair of virtual devices, where we may make them ----

far=''
far_begin() {
    local ns=engram-chaos-$$ near=ec$$ net=10.$((RANDOM % 100 + 100)).$((RANDOM % 250))
    ((EUID == 0)) && ip netns add "$ns" 2>/dev/null || return 1
    ip link add "$near" type veth peer name far0 netns "$ns" && ip addr add "$net.1/24" dev "$near" && ip link set "$near" up &&
        ip -n "$ns" addr add "$net.2/24" dev far0 && ip -n "$ns" link set far0 up && ip -n "$ns" link set lo up || return 1
    far=$ns far_device=$near far_at=tcp://$net.1:7701
    coordinator_options+=(--listen-workers "$far_at")
}
# Started again whenever it has died; nobody else does that for a group that came by itself.
far_loop() {
    engram admin keygen --out "$TMPDIR/far.key" >/dev/null
    engram admin add far --role worker --key "$TMPDIR/far.key.pub" >/dev/null
    while [[ ! -e $TMPDIR/all-over ]]; do
        ip netns exec "$far" mpirun --oversubscribe --bind-to none --mca pml ob1 --mca btl self,vader -np 1 \
            --mca btl_vader_backing_directory "$TMPDIR" --mca orte_tmpdir_base "$TMPDIR" \
            "$ENGRAM_BIN/engram-worker" --connect "$far_at" --server-key "$home/keys/coordinator.key.pub" --key "$TMPDIR/far.key" \
            --home "$home" --name far --threads 1 </dev/null >>"$TMPDIR/far.log" 2>&1
        sleep 0.5
    done
}
far_end() {
    [[ -n $far ]] || return 0
    touch "$TMPDIR/all-over"
    ip link del "$far_device" 2>/dev/null
    # shellcheck disable=SC2046
    kill_all KILL $(ip netns pids "$far")
    wait "$far_pid"
    ip netns del "$far"
}
trap 'far_end 2>/dev/null; end_homes' EXIT

# ---- misfortunes: each does one thing and counts it ----

count() { happened[$1]=$((${happened[$1]:-0} + 1)); }

# pick PID...: one of them
pick() {
    (($# == 0)) || echo "${@:$((RANDOM % $# + 1)):1}"
}
ranks_now() {
    local pid
    for pid in $(processes "$home"); do
        [[ $(cat "/proc/$pid/comm" 2>/dev/null) != engram-worker ]] || echo "$pid"
    done
}
named() {
    local pid
    for pid in $(processes "$home"); do
        [[ $(cat "/proc/$pid/comm" 2>/dev/null) != "$1" ]] || echo "$pid"
    done
}

kill_coordinator() {
    local pid
    pid=$(coordinator_pid)
    [[ -n $pid ]] && kill -KILL "$pid" 2>/dev/null || return 1
    until ! kill -0 "$pid" 2>/dev/null || grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null; do sleep 0.02; done
    count coordinator
    until coordinator_up; do sleep 0.2; done
}
kill_rank() {
    local pid
    # shellcheck disable=SC2046
    pid=$(pick $(ranks_now))
    [[ -n $pid ]] && kill -KILL "$pid" 2>/dev/null && count rank
}
kill_mpirun() {
    local pid
    # shellcheck disable=SC2046
    pid=$(pick $(named mpirun))
    [[ -n $pid ]] && kill -KILL "$pid" 2>/dev/null && count mpirun
}
# A whole group sleeps past its lease and wakes.
make_zombie() {
    local mpirun pids
    # shellcheck disable=SC2046
    mpirun=$(pick $(named mpirun))
    [[ -n $mpirun ]] || return 1
    pids=$(pgrep -P "$mpirun" 2>/dev/null) || return 1
    # shellcheck disable=SC2086
    kill -STOP $pids "$mpirun" 2>/dev/null
    count zombie
    (
        sleep "$(((term_ms + 1500) / 1000))"
        # shellcheck disable=SC2086
        kill -CONT "$mpirun" $pids 2>/dev/null
    ) &
}
# Only where the home is a file system of its own.
fill_disk() {
    dd if=/dev/zero of="$home/filler" bs=1M status=none 2>/dev/null
    count full
    sleep 2
    rm -f "$home/filler"
}

# The far group is cut off for longer than its lease.
cut_network() {
    [[ -n $far ]] || return 1
    ip link set "$far_device" down
    count cut
    (
        sleep "$(((term_ms + 1500) / 1000))"
        ip link set "$far_device" up
    ) &
}

# chaos MISFORTUNE=TIMES...
chaos() {
    local kinds=() left=() total=0 pair i dice
    for pair in "$@"; do
        kinds+=("${pair%=*}")
        left+=("${pair#*=}")
        total=$((total + ${pair#*=}))
    done
    while ((total > 0)); do
        sleep "0.$((RANDOM % 9 + 1))"
        (((RANDOM % 3) == 0)) && sleep 1
        dice=$((RANDOM % total))
        for i in "${!kinds[@]}"; do
            if ((dice < left[i])); then
                if "${kinds[i]}"; then
                    left[i]=$((left[i] - 1))
                    total=$((total - 1))
                fi
                break
            fi
            dice=$((dice - left[i]))
        done
    done
}

# ---- the end ----

all_have_learned() { (($(hashes "l$lineages" 2>/dev/null | wc -l) == ${#concepts[@]})); }

chaos_end() {
    local n bad=''
    coordinator_up 2>/dev/null
    touch "$TMPDIR/stop"
    wait "$learner_pid" 2>/dev/null
    lineages=$(cat "$TMPDIR/lineages")
    until_true 900 all_have_learned
    until_true 600 people_have_left
    is "$(sort "$TMPDIR"/user-*.status | uniq -c | xargs)" "$n_people 0" "when nothing fails any more every job ends"
    cat "$TMPDIR"/user-*.out | sed 's/^/# /'
    until_true 300 all_ended
    for ((n = 1; n <= lineages; n++)); do
        [[ $(hashes "l$n") == "$truth" ]] || bad+=" l$n"
    done
    is "$bad" "" "$lineages lineages of ${#concepts[@]} concepts have the commits of the quiet run"
    run "$python" tests/history/check.py --strangers --settled "$TMPDIR"/history/*.jsonl
    is "$status" 0 "one order explains what people saw"
    printf '#   %s\n' "${stdout//$'\n'/$'\n'#   }" "$stderr"
    ((status == 0)) || { cp -r "$TMPDIR/history" "$TMPDIR/history.$seed" && echo "# kept: $TMPDIR/history.$seed"; }
    [[ -z $far ]] || echo "# the far group began $(grep -c 'begins' "$TMPDIR/far.log") stages"
    far_end
    is "$(torn_objects)" "" "all objects have the bytes of their names"
    engram down >/dev/null 2>&1
    is_clean "chaos of seed $seed"
    for n in "${!happened[@]}"; do echo "# $n: ${happened[$n]}"; done
}
