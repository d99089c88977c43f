#!/usr/bin/env bash
# Two worker groups on one machine: both work, one that dies comes back, and both are found by a coordinator that did not start them.
# timeout: 300
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh
needs_workers

group_pid() { cut -d ' ' -f 1 "$home/run/group-$1.pid"; }

new_home
run engram up --groups 2 --ranks 1
like "$status $stdout" "0 up: coordinator pid *, 2 worker groups of 2 ranks in all, *" "two groups say hello"
for lineage in pets toys; do
    engram lineage create "$lineage" >/dev/null
    engram learn --lineage "$lineage" "$photos/rex" --config "$quick" --no-evaluate >/dev/null
done
until_true 60 all_ended
is "$(what_is_learned pets | cut -f 2)" "$(what_is_learned toys | cut -f 2)" "one concept in two lineages is one commit"
is "$(grep -l "job . [a-z]*: begins" "$home"/log/group-?.log | wc -l)" 2 "both groups have worked"

second=$(group_pid 2)
kill_all KILL "$second"
# shellcheck disable=SC2317 # until_true calls it
is_back() { [[ $(group_pid 2) != "$second" && $(engram up --json | jq -r .groups) == 2 ]]; }
until_true 30 is_back
is "$?" 0 "a group that was killed is started again, beside the other"

kill_all KILL "$(coordinator_pid)"
run engram down
is "$status" 0 "groups whose coordinator was killed are ended" || echo "#   $stderr"
is "$(grep -c "is there from before" "$home/log/coordinator.log")" 2 "after both were taken over"
is_clean "groups"
done_testing
