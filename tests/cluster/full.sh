#!/usr/bin/env bash
# The disk fills up while a concept is learned: the job pauses with a line that names the disk, nothing is torn, and when there is
# room again it goes on by itself to the same bytes.
# timeout: 150
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh
needs_workers
((EUID == 0)) || skip_all "only root may mount a small file system"
settings=(--set prior.count=64 --set prior.steps=1)
new_home
engram up >/dev/null
engram lineage create pets >/dev/null
engram learn --lineage pets "$photos/rex" --config "$quick" "${settings[@]}" >/dev/null
until_true 60 all_ended
truth=$(what_is_learned pets)
engram down >/dev/null

new_home
mount -t tmpfs -o size=40m,mode=0700 engram-test "$home" 2>/dev/null || skip_all "this container may not mount a tmpfs"
engram up >/dev/null
is "$?" 0 "it starts on a small disk"
# All room but one block is taken, then the submission needs more.
run engram lineage create pets
is "$status" 0 "a lineage is made while there is room"
dd if=/dev/zero of="$home/ballast" bs=4096 2>/dev/null
before=$(engram queue --all --json)
run engram learn --lineage pets "$photos/rex" --config "$quick"
is "$status" 4 "a submission to a full disk is refused as a matter of the environment"
like "$stderr" "engram: learning <rex> needs up to * of disk, * is free in $home*" "and says why"
is "$(wc -l <<<"$stderr")" 1 "in one line"
is "$(engram queue --all --json)" "$before" "and no job was made"
is "$(torn_objects)" "" "and no object is torn"

# Accepted while there is room, which is gone when the group begins: enough is left for what the coordinator writes, not for the
# class images, 64 x 64 x 64 x 3 bytes.
rm "$home/ballast"
workers=$(pgrep -f "engram-worker --connect .*--home $home ")
# shellcheck disable=SC2086
kill -STOP $workers
run engram learn --lineage pets "$photos/rex" --config "$quick" "${settings[@]}"
is "$status" 0 "with room it is accepted"
dd if=/dev/zero of="$home/ballast" bs=4096 2>/dev/null
truncate -s -"$((400 * 1024))" "$home/ballast"
# shellcheck disable=SC2086
kill -CONT $workers
until_true 60 job_is 1 paused
is "$(job 1 .state)" "paused" "the job is paused"
like "$(job 1 .line)" "*No space left on device*" "and its line names the disk"
is "$(torn_objects)" "" "no object is torn"
is "$(job 1 .commit)" "null" "nothing was committed"

# Not a byte for anybody, while the group tries again and again to say so.
dd if=/dev/zero of="$home/ballast2" bs=4096 2>/dev/null
until_true 30 grep -q "No space\|full" "$home/log/coordinator.log"
run engram queue --all --json
is "$status" 0 "a coordinator that cannot write still answers"
is "$(torn_objects)" "" "no object is torn"
rm "$home/ballast" "$home/ballast2"
until_true 90 all_ended
is "$(job 1 .state)" "done" "with room again it goes on by itself"
is "$(what_is_learned pets)" "$truth" "to the same bytes"
is "$(torn_objects)" "" "and every object is whole"
engram down >/dev/null
is_clean "after a full disk"
done_testing
