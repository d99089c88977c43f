#!/usr/bin/env bash
# A day with Engram, as a newcomer types it: every verb, its words, its JSON, its pictures.
# timeout: 180
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh
. tests/cli/support/expected.sh
needs_workers

new_home
out=$home/out
mkdir "$out"
cp -r "$photos/rex" "$home/rex" && cp -r "$photos/mug" "$home/mug"

prints check engram check "$home/rex" "$photos/odd"
prints check-base engram check --base "$base"
run engram doctor
is "$status" 0 "a machine without a coordinator is no broken machine"
like "$stdout" "*no coordinator is running*engram up*" "and doctor says what to do"
prints up engram up
prints up-again engram up
prints lineage-none engram lineage list
prints lineage-create engram lineage create pets
prints lineage-list engram lineage list
prints log-empty engram log pets
prints queue-empty engram queue

run engram learn --lineage pets "$home/rex" --config "$quick" --preview "a <rex> dog" --wait
is "$status" 0 "a concept is learned"
like "$stdout" "<rex> is learned: commit * of pets, *" "and its commit is named"
# A stage may be over between two looks of the eye, so which lines follow is a matter of speed.
like "$stderr" "job 1: <rex>, 2 images, lineage pets*" "its progress is lines, not a bar that is redrawn"
is "$(grep -c $'\r\|\033\| $' <<<"$stderr")" 0 "without control characters and blanks at their ends"
prints learn engram learn --lineage pets "$home/mug" --config "$quick"
run engram watch 2
like "$status $stdout" "0 job 2 is done after *" "watch follows to the end"
prints queue-all engram queue --all
prints log engram log pets
prints show-job engram show 1
run engram show --lineage pets '<mug>'
like "$stdout" "commit *parent *base *token  <mug>, cup (object)*owns *made *" "a commit is shown with how it was made"

run engram sample --lineage pets --out "$out/now" --set sample.steps=4 --seed 7 "a <rex> dog by a <mug> cup" "a <rex> dog"
is "$status $stdout" "0 2 pictures in $out/now, all together in $out/now/sheet.png" "pictures are drawn"
is "$(cd "$out/now" && echo *)" "001-a-rex-dog-by-a-mug-cup.png 002-a-rex-dog.png sheet.png" "with names that say what they are"
engram sample --lineage pets --commit 1 --out "$out/then" --set sample.steps=4 --seed 7 "a <rex> dog" >/dev/null 2>&1
engram learn --lineage pets "$photos/owl" --config "$quick" --no-evaluate --wait >/dev/null 2>&1
for commit in 1 '<rex>' "$(engram log pets --json | jq -r '.commits[0].commit[:10]')"; do
    engram sample --lineage pets --commit "$commit" --out "$out/later" --set sample.steps=4 --seed 7 "a <rex> dog" >/dev/null 2>&1
    ok "the lineage as it was at $([[ $commit == [1\<]* && ${#commit} -lt 6 ]] && echo "$commit" || echo "its hash") gives the same bytes later" \
        cmp "$out/then/001-a-rex-dog.png" "$out/later/001-a-rex-dog.png"
done
engram sample --lineage pets --commit 0 --out "$out/before" --set sample.steps=4 --seed 7 "a dog" >/dev/null 2>&1
is "$(grep -aoc '"commit":"","version":"[^"]*","tokens":\[\]' "$out"/before/*a-dog*.png)" 1 "--commit 0 draws with the base model alone"
run engram sample --lineage pets --commit 0 --out "$out/x" "a <rex> dog"
is "$status" 3 "which knows none of the words"
run engram evaluate --lineage pets --commit 0 --out "$out/x.html"
like "$status $stderr" "3 engram: no commit 0 in pets*" "and there is nothing in it to measure"
run engram sample --lineage pets --commit 1 --out "$out/x" "a <mug> cup"
like "$status $stderr" "3 engram: pets has not learned <mug>*" "a token that was learned later is not known then"

# Other samplers, prompts from a file with placeholders, and the layout that CustomConcept101's evaluate.py reads.
printf 'photo of a {}.\n\n  {1} beside the {0} \r\n' >"$home/two.txt"
run engram sample --lineage pets --out "$out/cc" --set sample.steps=3 --set sample.sampler=euler-a --prompts "$home/two.txt" \
    --concept '<rex>' --concept '<mug>' --n 2 --layout customconcept101 --negative "caf\u00e9" "a <rex> on <mug> cup"
is "$status $stdout" "0 6 pictures in $out/cc/samples, all together in $out/cc/sheet.png" "an evaluation's pictures are drawn"
is "$(jq -c . "$out/cc/prompts.json")" '{"001-a-rex-on-mug-cup":"a dog on cup","002-a-rex-on-mug-cup":"a dog on cup","003-photo-of-a-rex-dog":"photo of a dog.","004-photo-of-a-rex-dog":"photo of a dog.","005-mug-cup-beside-the-rex-dog":"cup beside the dog","006-mug-cup-beside-the-rex-dog":"cup beside the dog"}' \
    "every picture's name has its prompt, with class words in place of tokens"
is "$(cd "$out/cc/samples" && printf '%s\n' *.png | sed 's/\.png$//')" "$(jq -r 'keys[]' "$out/cc/prompts.json")" "and there are no others"
like "$(tr -d '\0' <"$out/cc/samples/003-photo-of-a-rex-dog.png")" '*tEXtparameters*photo of a <rex> dog.?Negative prompt: *Steps: 3, Sampler: Euler a, CFG scale: 7.5, Seed: 0, Size: *, Model hash: ??????????, Model: *, Version: Engram *' \
    "a picture says how it was drawn"
run engram sample --lineage pets --out "$out/cc" --layout customconcept101 "a dog"
like "$status $stderr" "3 engram: $out/cc/samples has files already*choose another --out*" "its folder must be empty, for its reader counts"
run engram sample --lineage pets --out "$out/x" --concept '<rex>' "a {} on {}"
like "$status $stderr" '3 engram: {} in "a {} on {}" is concept number 2 of 1*' "a placeholder without a concept is refused"
printf ' \n\n' >"$home/none.txt"
run engram sample --lineage pets --out "$out/x" --prompts "$home/none.txt"
like "$status $stderr" "3 engram: $home/none.txt: there is no prompt in it*" "a file without a prompt is refused"
printf 'a dog\na \033[31mdog\n' >"$home/odd.txt"
run engram sample --lineage pets --out "$out/x" --prompts "$home/odd.txt"
like "$status $stderr" "3 engram: $home/odd.txt:2*" "control characters in one are refused, with their line"
run engram sample --lineage pets --out "$out/x" --concept '<cat>' "a {}"
like "$status $stderr" "3 engram: --concept <cat>: the lineage has not learned it; engram log pets lists what it has*" "so is a concept that was not learned"
run engram sample --lineage pets --out "$out/x" --set sample.sampler=euler --set sample.eta=1 "a dog"
like "$status $stderr" "2 engram: sample.eta = 1 with sample.sampler = euler: only ddim has an eta*" "eta where there is none is refused"

run engram evaluate --lineage pets --commit 2 --set evaluate.per_prompt=1 --out "$out/report.html"
is "$status" 0 "a lineage is measured"
like "$stdout" "CONCEPT*CLIP-I*drift*<rex> *<mug> *" "concept by concept"
like "$(head -c 200 "$out/report.html" 2>&1)" "<!doctype html>*" "and its report is a page"

run engram export --lineage pets --commit 2 --out "$out/export" --to diffusers,single-file,embeddings,delta
like "$status $stdout" "0 *diffusers/model_index.json*pets.safetensors*embeddings/comfyui-a1111/rex.safetensors*pets.engram.safetensors*README.md*as of commit 2, <mug>*" \
    "a lineage is exported"
like "$(<"$out/export/README.md")" "---*license: unknown*<rex> dog*0.*<mug> cup*" "with a card that tells what was measured"
run engram check "$out/export/pets.engram.safetensors"
like "$status $stdout" "0 *2 commits of pets*<rex>*<mug>*" "its delta is proved"
engram export --lineage pets --commit 0 --out "$out/base" >/dev/null 2>&1
is "$(engram check --base "$out/base/diffusers" --json | jq -r .base)" "$(engram check --base "$base" --json | jq -r .base)" \
    "without concepts it is the base, by its name"
engram export --lineage pets --commit 2 --out "$out/again" --to diffusers,single-file,embeddings,delta >/dev/null 2>&1
ok "exported again it has the same bytes" diff -r "$out/export" "$out/again"

# Two lineages at once keep to themselves.
engram lineage create house >/dev/null
engram learn --lineage house "$home/mug" --config "$quick" --set seed.value=1 --no-evaluate >/dev/null
engram learn --lineage house "$home/rex" --config "$quick" --set seed.value=1 --no-evaluate >/dev/null
until_true 60 all_ended
is "$(engram log house --json | jq -r '[.commits[].token] | join(" ")')" "<mug> <rex>" "another lineage has its own order"
is "$(engram log pets --json | jq -r '[.commits[].token] | join(" ")')" "<rex> <mug> <owl>" "and the first one is as it was"

# Cancel: one that runs, one that waits.
engram lineage create two >/dev/null
long=$(engram learn --lineage two "$home/rex" --config "$quick" --set train.steps=100000 --json | jq .job)
waits=$(engram learn --lineage two "$home/mug" --config "$quick" --json | jq .job)
until_true 30 job_is "$long" running
like "$(engram queue --lineage two)" "*$waits  learn     queued *waits for job $long, which comes first in its lineage*" "queue says why a job waits"
run engram cancel "$waits"
like "$status $stdout" "0 job $waits: *cancel*" "a job that waits is cancelled"
run engram cancel "$long"
like "$status $stdout" "0 job $long: *cancel*" "a job that runs is cancelled"
until_true 20 all_ended
is "$(job "$long" .state) $(job "$waits" .state)" "cancelled cancelled" "both have ended"
run engram cancel "$long"
is "$status" 0 "cancelling twice is fine"
run engram cancel 1
like "$status $stderr" "3 engram: job 1 has ended already: done" "a job that is done is not cancelled"
run engram watch "$long"
is "$status" 75 "watching a cancelled job says so by its exit status"
engram learn --lineage two "$home/rex" --config "$quick" --no-evaluate --wait >/dev/null 2>&1
is "$(engram log two --json | jq -r '[.commits[].token] | join(" ")')" "<rex>" "its token is free again"

is_json doctor engram doctor
is_json check engram check "$home/rex"
is_json "check --base" engram check --base "$base"
is_json "lineage list" engram lineage list
is_json "lineage create" engram lineage create four
is_json up engram up
is_json queue engram queue --all
is_json watch engram watch 1
is_json log engram log pets
is_json "show job" engram show 1
is_json "show commit" engram show --lineage pets 1
is_json sample engram sample --lineage pets --out "$out/json" --set sample.steps=2 "a dog"
is_json evaluate engram evaluate --lineage pets --commit 2 --set evaluate.per_prompt=1
is_json export engram export --lineage pets --out "$out/json-export" --to embeddings
is_json "check delta" engram check "$out/export/pets.engram.safetensors"
is_json "learn --wait" engram learn --lineage four "$home/rex" --config "$quick" --no-evaluate --wait
prints down engram down
is_json down engram down
is_clean "a day"
done_testing
