#!/usr/bin/env bash
# PROTOCOL.md is enough to write a client: one in Python, of the page's tables and of ZMTP by hand, reads and writes what our codec does,
# and is a user and a worker group of a living coordinator. The command line sees the same.
set -u
. tests/tap.sh

python=$(command -v python3) || skip_all "no python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))' || skip_all "a python3 older than 3.8"
export PYTHONDONTWRITEBYTECODE=1
support=tests/proto/support

home=$(mktemp -d /tmp/engram.XXXXXX)
pid=''
# shellcheck disable=SC2317 # the trap calls it
leave() {
    [[ -z $pid ]] || kill -KILL "$pid" 2>/dev/null
    rm -rf "$home"
}
trap leave EXIT

"$python" $support/codec.py proto/PROTOCOL.md tests/proto/version_1.txt tests/fuzz/corpus/message
is $? 0 "the page's codec agrees with ours"

"$ENGRAM_BIN/engram-coordinator" --home "$home" --no-workers --foreground 2>"$home.log" &
pid=$!
for ((i = 0; i < 200; i++)); do
    [[ -S $home/run/worker.sock ]] && break
    sleep 0.05
done
"$python" $support/talk.py proto/PROTOCOL.md "$home" "$(id -un)"
is $? 0 "the page's client came to its end without complaint"

run "$ENGRAM_BIN/engram" queue --home "$home" --all
is "$status" 0 "the command line sees the same coordinator"
is "$(awk '{ print $1, $2, $3, $4 }' <<<"$stdout" | grep '^[12] ')" "2 sample done pets
1 sample queued pets" "and the same jobs"
kill -TERM "$pid"
wait "$pid"
is $? 0 "the coordinator leaves when it is told to"
pid=''
rm -f "$home.log"
done_testing
