#!/usr/bin/env bash
# One worker group over two nodes, with a GPU of each as Slurm counts them: it comes over TCP with a key, and learns the bytes of a quiet
# run; with the home's folder of objects, and with none of it.
# timeout: 600
# shellcheck disable=SC2119,SC2317 # until_true calls functions; options are optional
set -u
. tests/tap.sh
. tests/slurm/support/slurm.sh
[[ -x $ENGRAM_BIN/engram-door ]] || skip_all "engram-door is not built"

steps=100
truth_of $steps
start_slurm 2 --gpus 1

# A port that was free a moment ago; another one where it is not.
up_on_a_port() {
    local port i
    for ((i = 0; i < 20; i++)); do
        port=$((20000 + RANDOM % 10000))
        jq -n --arg at "tcp://127.0.0.1:$port" '{nodes: 2, connect: $at, idle_minutes: 1,
            export: ["PATH", "TMPDIR", "LD_LIBRARY_PATH", "ENGRAM_LOG", "ENGRAM_SERVER_KEY", "ENGRAM_KEY", "ENGRAM_CACHE"]}' >"$home/site.json"
        TMPDIR=$home/tmp engram up --slurm -t 60 --ranks 2 --gres=gpu:1 --listen-workers "tcp://127.0.0.1:$port" >/dev/null 2>"$home/up" && return 0
    done
    sed 's/^/#   /' "$home/up"
    return 1
}
wide_home() {
    new_home
    mkdir "$home/tmp"
    engram admin keygen --out "$home/cluster.key" >/dev/null 2>&1
    export ENGRAM_SERVER_KEY=$home/keys/coordinator.key.pub ENGRAM_KEY=$home/cluster.key
    up_on_a_port
    is "$?" 0 "$1: a coordinator that listens for worker groups"
    engram admin add cluster --role worker --key "$home/cluster.key.pub" >/dev/null
    is "$?" 0 "$1: and knows their key"
}
learns() {
    learn_rex $steps
    until_true 60 one_group
    name=$(names)
    until_true 60 is_in_state "$name" RUNNING
    is "$(squeue -h -n "$name" -o '%D %N %b')" "2 n[1-2] gres:gpu:1" "$1: the group has two nodes and a GPU of each"
    ends_with_truth "$1"
    is "$(engram groups --json | jq -c '[.groups[] | [.group, .ranks]]')" "[[\"$name\",2]]" "$1: it is one group of two ranks"
}

wide_home "two nodes"
learns "two nodes"
is_all_over "two nodes"

export ENGRAM_CACHE=$TMPDIR/cache
mkdir "$ENGRAM_CACHE"
wide_home "objects over the link"
learns "objects over the link"
ok "objects over the link: they lie in a folder that the nodes share" test "$(find "$ENGRAM_CACHE/objects" -type f | wc -l)" -gt 3
is_all_over "objects over the link"
unset ENGRAM_CACHE ENGRAM_KEY ENGRAM_SERVER_KEY
done_testing
