#!/usr/bin/env bash
# Many requests at once: from a table, from folders; all or nothing, or what is right; said again, the same jobs.
# timeout: 120
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh
. tests/cli/support/expected.sh

new_home
cd_home() { (cd "$home" && "$@"); }
submit() { cd_home "$ENGRAM_BIN/engram" submit "$@" --config "$quick"; }
queue() { engram queue --json | jq -c "[.jobs[] | $1]"; }
mkdir "$home/set"
cp -r "$photos/rex" "$photos/mug" "$photos/owl" "$home/set"
engram up --no-workers >/dev/null
engram lineage create pets >/dev/null
engram lineage create house >/dev/null

# A table, from where it lies; every column.
cat >"$home/set/jobs.csv" <<'CSV'
kind,lineage,folder,token,class,concept,prompt,negative,commit,n,seed,priority,set:train.steps
learn,pets,rex,<max>,"hound",animal,a <max> hound in the snow,,,,5,high,7
,pets,mug,,,,,,,,,,
sample,house,,,,,"a dog, ""asleep""",blurry,0,2,9,low,
sample,house,,,,,"a dog, ""asleep""",blurry,0,2,9,low,
CSV
prints submit submit set/jobs.csv
is "$(queue .job)" "[4,3,2,1]" "each line is a job, in their order"
is "$(engram queue --json | jq -c '.jobs[3] | [.kind, .token, .class, .priority]')" '["learn","<max>","hound","high"]' "with what its cells say"
is "$(engram queue --json | jq -c '.jobs[1] | [.kind, .lineage, .priority]')" '["sample","house","low"]' "and its kind"
prints submit-again submit set/jobs.csv
is "$(queue .job)" "[4,3,2,1]" "said again, it is the same four jobs: two lines that are alike are two"
engram cancel 1 >/dev/null
submit set/jobs.csv >/dev/null
is "$(queue .job)" "[4,3,2]" "also when one has ended since"
submit set/jobs.csv --run again >/dev/null 2>&1
is "$(queue .job)" "[4,3,2]" "another run is new jobs; their tokens are taken, so none is sent"
printf 'prompt\na dog\n' >"$home/one.csv"
is "$(submit one.csv --lineage house --json 2>&1 | jq -c '[.requests[].job]') $(submit one.csv --lineage house --run 2 --json | jq -c '[.requests[].job]')" "[5] [6]" \
    "a sample in another run is another job"

# What is wrong stands with line and column, and nothing is sent.
before=$(picture)
cat >"$home/wrong.csv" <<'CSV'
kind,lineage,folder,token,prompt,n,priority,set:train.steps
learn,pets,set/owl,,,,,lots
learn,pets,set/nothing,,,,,
learn,pets,set/owl,owl,,,,
lern,pets,set/owl,,,,,
sample,pets,,,a <max> hound,65,,
sample,pets,,,a <rexx> dog,,,
sample,cats,,,a dog,,urgent,
sample,cats,,,a dog,,,
sample,pets,set/owl,,a dog,,,
learn,pets,set/owl,,,,,
learn,house,set/owl,,,,,
learn,house,set/owl,,,,,
,,,,a dog,,,
CSV
prints submit-wrong submit wrong.csv
is "$(picture)" "$before" "where something is wrong nothing is sent or stored"
prints submit-keep-going submit wrong.csv --keep-going
is "$(engram queue --json | jq .total)" 7 "--keep-going sends what is right"
printf 'prompt,colour\n' >"$home/a.csv"
prints submit-column submit a.csv
printf 'prompt,promt\n' >"$home/b.csv"
prints submit-column-near submit b.csv
printf 'prompt,n,prompt\n' >"$home/c.csv"
prints submit-column-twice submit c.csv
printf 'prompt,n\n"a dog",2\n"a cat,3\n' >"$home/d.csv"
prints submit-quote submit d.csv
printf 'prompt\n' >"$home/e.csv"
prints submit-empty submit e.csv
prints submit-none submit none.csv
prints submit-usage engram submit
prints submit-lineage engram submit --recursive "$home/set"

# Folders. concept.yaml, else the folder's name and --class.
mkdir -p "$home/tree/deep/er/Big Cat" "$home/tree/.hidden" "$home/tree/empty"
cp "$photos/owl/"*.png "$home/tree/deep/er/Big Cat"
cp "$photos/owl/"*.png "$home/tree/.hidden"
cp -r "$photos/mug" "$home/tree/deep/mug"
ln -s . "$home/tree/loop"
engram lineage create tree >/dev/null
prints submit-tree submit --recursive tree --lineage tree --class lynx
is "$(engram queue --lineage tree --json | jq -c '[.jobs[] | [.token, .class]]')" '[["<mug>","cup"],["<big-cat>","lynx"]]' "each folder with images is a concept"
# Of two classes the folder's own counts; --class is for those that say none, also beside a token of their own.
mkdir -p "$home/two/half" "$home/two/whole"
cp "$photos/owl/"*.png "$home/two/half"
cp "$photos/owl/"*.png "$home/two/whole"
echo 'token: "<half>"' >"$home/two/half/concept.yaml"
printf 'token: "<whole>"\nclass: owl\n' >"$home/two/whole/concept.yaml"
engram lineage create two >/dev/null
submit --recursive two --lineage two --class lynx >/dev/null 2>&1
is "$(engram queue --lineage two --json | jq -c '[.jobs[] | [.token, .class]] | sort')" '[["<half>","lynx"],["<whole>","owl"]]' "concept.yaml wins over --class, which is for folders that say none"
like "$(submit --recursive tree/empty --lineage tree 2>&1)" "engram: tree/empty: no folder in it holds*" "folders without any are said"

# A thousand and more: batches.
engram lineage create many >/dev/null
{
    echo prompt,seed
    for i in {1..2300}; do echo "a dog,$i"; done
} >"$home/many.csv"
is "$(submit many.csv --lineage many --json 2>&1 | jq -c '[.accepted, .refused, (.requests | length)]')" "[2300,0,2300]" "thousands are sent in batches"
is "$(engram queue --lineage many --limit 5000 --json | jq -c '[(.jobs | length), .total]')" "[2300,2300]" "and listed in pages"
is "$(submit many.csv --lineage many --json 2>&1 | jq .accepted) $(engram queue --lineage many --limit 5000 --json | jq .total)" "2300 2300" "and are the same jobs again"
engram down >/dev/null
done_testing
