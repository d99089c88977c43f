#!/usr/bin/env bash
# fsck, gc, backup and restore as a user types them, beside a coordinator that works.
# timeout: 120
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh
. tests/cli/support/expected.sh

new_home
backup=$home.backup
homes+=("$backup" "$home.again" "$home.third")
run engram fsck
is "$status" 3 "where no home is, nothing is looked at"
like "$stderr" "*is no home: there is no coordinator.db in it" "and that is said"

engram up --no-workers >/dev/null 2>&1
engram lineage create pets >/dev/null
engram learn --lineage pets "$photos/rex" --config "$quick" >/dev/null 2>&1
prints fsck engram fsck
prints gc engram gc
is_json "fsck" engram fsck
is_json "gc" engram gc
run engram gc --older 5m --remove
is "$status" 3 "beside a coordinator nothing young is removed"
like "$stderr" "*a coordinator*is at work on*" "and why is said"

run engram backup "$backup"
is "$status" 0 "a backup is made"
is "$(jq -r .objects "$backup/backup.json")" "$(find "$backup/objects" -type f | wc -l)" "with as many objects as it says"
run engram backup "$backup"
is "$status" 3 "not over another"
run engram backup
is "$status $stderr" "2 engram: where to? engram backup FOLDER" "a backup needs a place"
find "$home/objects" -type f | head -n 1 | { read -r f && printf x >>"$f"; }
run engram fsck
is "$status" 3 "a damaged object is found"
like "$stdout" "object * is damaged: job 1 (image)*" "and named by its job"
run engram backup "$home.third"
is "$status" 3 "it ends a backup"
is "$(ls -d "$home.third"* 2>/dev/null)" "" "of which nothing is there"
engram learn --lineage pets "$photos/rex" --token '<rex2>' --config "$quick" >/dev/null 2>&1
run engram fsck
is "$status" 0 "sending it again mends it"

# The tool is killed at some moment of a backup: nothing under its name, and the next one works.
for wait in 0.001 0.005 0.01 0.02 0.05; do
    "$ENGRAM_BIN/engram-care" backup --home "$home" --to "$home.third" >/dev/null 2>&1 &
    pid=$!
    sleep "$wait"
    kill -9 "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    [[ ! -d $home.third ]] || rm -r "$home.third"
done
run engram backup "$home.third"
is "$status" 0 "after backups that were killed one is made"
is "$(find "$(dirname "$home")" -maxdepth 1 -name "$(basename "$home").third.tmp*")" "" "what they left is gone"
run engram down

run engram restore --home "$home.again" "$backup"
is "$status" 0 "a home is made of the backup"
run engram restore --home "$home.again" "$backup"
is "$status" 3 "once"
export ENGRAM_HOME=$home.again
engram up --no-workers >/dev/null 2>&1
is "$(engram queue --json | jq -r '[.jobs[] | .job] | @csv')" 1 "its coordinator knows the job of then"
engram down >/dev/null
run engram fsck
is "$status" 0 "and all is well with it"
is_json "backup" engram backup "$home.json-backup"
homes+=("$home.json-backup")
run "$ENGRAM_BIN/engram-care" downgrade --home "$ENGRAM_HOME" --to-schema 1
is "$status $stdout" "0 $ENGRAM_HOME/coordinator.db has schema version 1 now" "an older program can have it"
run engram fsck
is "$status" 4 "then this one says what to do"
like "$stderr" "*has schema version 1, this program reads 2: a coordinator of this version (\`engram up\`) brings it there" "first"
engram up --no-workers >/dev/null 2>&1
is "$(engram queue --json | jq -r '[.jobs[] | .job] | @csv')" 1 "which it does"
engram down >/dev/null
done_testing
