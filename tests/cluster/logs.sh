#!/usr/bin/env bash
# A day's logs as JSON: every line of every program is an object with known fields, and nothing of what people wrote is in them.
# timeout: 180
# shellcheck disable=SC2317
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh
needs_workers

new_home
cp -r "$photos/rex" "$home/rex"
mv "$home/rex/1.png" "$home/rex/secretname.png"
rm "$home/rex/1.txt"
echo "a secretcaption of a dog" >"$home/rex/secretname.txt"

engram up --log json >/dev/null
engram lineage create pets >/dev/null
engram learn --lineage pets "$home/rex" --config "$quick" --preview "a <rex> dog in secretpreview" --no-evaluate >/dev/null 2>&1
until_true 60 job_is 1 "done"
is "$(job 1 .state)" "done" "a concept is learned"
engram sample --lineage pets --out "$home/out" --set sample.steps=3 "a <rex> dog with a secretprompt" >/dev/null 2>&1
long=$(engram learn --lineage pets "$photos/mug" --config "$quick" --set train.steps=100000 --no-evaluate --json 2>/dev/null | jq .job)
until_true 30 job_is "$long" running
kill_all KILL "$(rank_pid 1)"
lost() { grep -q '"event":"stage_lost"' "$home/log/coordinator.log"; }
until_true 30 lost
engram cancel "$long" >/dev/null
engram down --now >/dev/null

lines() { jq -cR 'fromjson? // error("no JSON: " + .)' "$1"; }
for log in coordinator group-1; do
    # mpirun says in its own words that a rank was killed.
    [[ $log == coordinator ]] || sed -i '/^{/!d' "$home/log/$log.log"
    lines "$home/log/$log.log" >"$home/$log.json" 2>"$home/wrong"
    is "$(<"$home/wrong")" "" "every line of $log.log is one JSON object"
    ok "and there are some" test -s "$home/$log.json"
    is "$(jq -c 'select((.time | test("^[0-9-]{10}T[0-9:]{8}\\.[0-9]{3}Z$") | not)
        or (.level | IN("debug", "info", "warn", "error") | not) or (.program | IN("coordinator", "worker", "door") | not)
        or (.text | length) == 0)' "$home/$log.json")" "" "each has time, level, program and text"
done

# shellcheck disable=SC2016 # the backticks are Markdown's
documented() { sed -n "/^$1/,/^\$/p" docs/operations.md | grep -o '^| `[a-z_]*`' | tr -d '|` ' | sort; }
used() { jq -r "$1" "$home/coordinator.json" "$home/group-1.json" | sort -u; }
is "$(comm -13 <(documented '| field') <(used 'keys[]'))" "" "docs/operations.md lists every field"
is "$(comm -13 <(documented '| event') <(used '.event // empty'))" "" "and every event"

events() { jq -r "select(.job == $1) | .event" "$home/coordinator.json" | paste -sd ' '; }
like "$(events 1)" "job_submitted *stage_begins *stage_done *job_done" "the life of a job can be read"
like "$(events "$long")" "job_submitted *stage_begins *stage_lost *job_cancelled" "and of one that lost a group"
like "$(jq -r 'select(.event == "stage_lost") | [.stage, .lineage, .group] | join(" ")' "$home/coordinator.json" | head -n 1)" \
    "@(prior|score|train) pets group-1" "a loss says of what, and by whom"
is "$(grep -l 'secret\|<rex>\|<mug>' "$home"/log/*)" "" "no caption, prompt, token or name of an image is in any log"

# Plain lines are as they were.
engram up --no-workers >/dev/null
engram down >/dev/null
like "$(tail -n 1 "$home/log/coordinator.log")" "20*Z info  coordinator: stopped" "without --log lines are plain"
run engram up --log xml
like "$status $stderr" "4 *--log xml: expected plain or json*" "other formats are refused"
done_testing
