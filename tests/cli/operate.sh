#!/usr/bin/env bash
# What an operator types: hold, drain, retry, ask why; a stage that kills its group, with the evidence; a lineage that waits.
# timeout: 180
# shellcheck disable=SC2317
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh
. tests/cluster/support/faults.sh
. tests/cli/support/expected.sh
needs_workers

learn() { engram learn --lineage "$1" "$photos/$2" --config "$quick" --set prior.weight=0 --set train.steps=5 --no-evaluate "${@:3}" --json 2>/dev/null | jq .job; }
why() { engram queue --why "$1"; }

# Nobody works: everything can be looked at, held, given up and taken up.
new_home
engram up --no-workers >/dev/null
prints groups-none engram groups
prints lineage-wait engram lineage create pets --share ann,@vision --on-failure wait
prints lineage-set engram lineage set pets --public --share ""
prints lineage-set-none engram lineage set pets
prints lineage-set-both engram lineage set pets --public --private
prints lineage-on-failure engram lineage set pets --on-failure never
is "$(engram lineage list --json | jq -c '.lineages[0] | [.visibility, .on_failure, .shared_with]')" '["public","wait",[]]' "what was said last holds"
learn pets rex >/dev/null
learn pets mug --priority high >/dev/null
learn pets owl --priority low >/dev/null
prints why-no-group engram queue --why 1
prints why-turn engram queue --why 2
is "$(engram queue --json | jq -c '[.jobs[].priority]')" '["low","high","normal"]' "jobs have priorities"
run engram learn --lineage pets "$photos/rex" --priority urgent
like "$status $stderr" "2 *--priority: *high*" "a priority that does not exist is refused"
prints pause engram pause 1 2
prints pause-json engram pause 1 --json
like "$(why 1)" "job 1 is queued: held: *" "a job that is held says so"
prints resume engram resume 1 2
engram pause --lineage pets >/dev/null
like "$(why 1)" "job 1 is queued: held: *" "so does one whose lineage is"
engram resume --lineage pets >/dev/null
prints cancel-many engram cancel 2 77 3
prints cancel-again engram cancel 2
prints retry-one engram retry 3
prints retry-open engram retry 1
prints retry-failed engram retry --failed
prints retry-nothing engram retry
prints retry-both engram retry 3 --failed
prints forget engram forget 2
is "$(engram queue --all --json | jq -r '.jobs[] | select(.job == 2) | .line')" "forgotten: its photos, pictures and prompts were removed" "its row says so"
prints forget-open engram forget 1
is "$(engram queue --all --limit 2 --json | jq -c '[.jobs[].job]') $(engram queue --all --limit 2 --below 2 --json | jq -c '[.jobs[].job]')" "[3,2] [1]" "the queue has pages"
like "$(engram queue --all --limit 1 2>&1 >/dev/null)" "1 of 3 shown; the next ones: --below 3*" "and says where the next begins"
is "$(engram queue --all-users --all --json | jq .total)" 3 "everybody's jobs are these"
like "$(engram queue --all-users)" "*OWNER*" "with their owners"
run engram queue --owner nobody
is "$status" 4 "jobs of a stranger are nobody's to see"
prints drain-unknown engram drain group-9
prints drain-none engram drain
engram drain group-9 --off >/dev/null
engram cancel 3 >/dev/null
engram down >/dev/null

# A stage that kills its worker group, each time at the same place.
export ENGRAM_FAULT_HIT=$home/hit
LD_PRELOAD=$fault_so ENGRAM_FAULT="engram-worker 0 rename:/objects/ 1 KILL" engram up --ranks 1 >/dev/null
learn pets mug >/dev/null
die_again() { rm -f "$ENGRAM_FAULT_HIT"; job_is 1 failed; }
until_true 100 die_again
is "$(job 1 .state)" failed "a stage that has killed its group three times is given up"
like "$(job 1 .line)" "*: quarantined after 3 losses in a row *engram retry 1*" "with a line that says so, and what to do"
run engram show 1
like "$stdout" "*history*begins*lost: *group group-1 on $(hostname), at step *lost: *group group-1*lost: *group group-1*failed: *" \
    "engram show has the evidence: which group, where, at which step"
is "$(engram show 1 --json | jq '[.history[] | select(.text | contains(" lost: "))] | length')" 3 "as JSON, too"
like "$(why 4)" "job 4 is queued: waits for job 1, which failed: *" "the lineage waits, as it was told to"
engram down --now >/dev/null

# The cause is gone.
engram up --ranks 1 >/dev/null
like "$(engram groups)" "GROUP *HOST *DEVICE *RANKS *STATE *WORK *SEEN?group-1 *$(hostname) *cpu * 1  waits * - * s" "worker groups are listed"
is "$(engram groups --json | jq -c '.groups[] | [.group, .ranks, .state, .draining]')" '["group-1",1,"waits",false]' "as JSON, too"
prints drain engram drain --all
engram retry 1 >/dev/null
like "$(why 1)" "*all worker groups are draining*" "while all are drained nothing begins"
is "$(engram groups --json | jq -r '.groups[].state')" drained "and they are"
prints drain-off engram drain --all --off
until_true 60 all_ended
is "$(engram log pets --json | jq -r '[.commits[].token] | join(" ")')" "<rex> <mug>" "retried, it takes the place that was kept for it"
like "$(why 1)" "job 1 is done" "why of a job that has ended is its end"
run engram queue --why 99
is "$status" 3 "and of one that is not there an error"
engram down >/dev/null
until_true 5 no_processes
is "$(processes "$home")" "" "nothing is left"
done_testing
