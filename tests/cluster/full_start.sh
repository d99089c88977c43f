#!/usr/bin/env bash
# A coordinator that is started where nothing can be written answers what is asked, refuses what would change something, and takes it
# when there is room.
# timeout: 120
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh
((EUID == 0)) || skip_all "only root may mount a small file system"

new_home
mount -t tmpfs -o size=4m,mode=0700 engram-test "$home" 2>/dev/null || skip_all "this container may not mount a tmpfs"
run engram up --no-workers
is "$status" 0 "it starts on a small disk"
engram lineage create pets >/dev/null

# $1: how the one before ended
starts_full() {
    dd if=/dev/zero of="$home/ballast" bs=4096 2>/dev/null
    run engram up --no-workers
    is "$status" 0 "$1, and the disk is full: it starts"
    is "$(engram lineage list --json | jq -r '.lineages[0].lineage')" pets "what was promised is there"
    run engram log pets
    is "$status" 0 "the log is shown"
    run engram queue
    is "$status" 0 "the queue is shown"
    run engram up --json
    like "$(jq -r .line <<<"$stdout")" "*full*" "and that the disk is full"
    run engram lineage create "$2"
    is "$status" 4 "what would be kept is refused"
    like "$stderr" "engram: *full*" "with the reason"
    is "$(wc -l <<<"$stderr")" 1 "in one line"
    rm "$home/ballast"
    until_true 30 engram lineage create "$2"
    is "$(engram lineage list --json | jq -r '.lineages[].lineage' | grep -cx "$2")" 1 "with room it is kept"
}

engram down >/dev/null
starts_full "stopped" cats
# shellcheck disable=SC2046
kill_all KILL $(processes "$home")
# shellcheck disable=SC2317 # until_true calls it
is_gone() { [[ -z $(processes "$home") ]]; }
until_true 10 is_gone
starts_full "killed" dogs
run engram down
is "$status" 0 "it stops"
is_clean "after full disks"
done_testing
