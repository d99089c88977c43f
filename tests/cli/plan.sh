#!/usr/bin/env bash
# engram plan says what learning takes, learn refuses what cannot fit, and both are held against what a worker group then takes.
# timeout: 180
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh
. tests/cli/support/expected.sh
needs_workers

new_home
model=$PWD/examples/storybook/model
cp -r "$photos/rex" "$home/rex" && cp -r "$photos/mug" "$home/mug"

# Without a coordinator.
prints plan-base engram plan "$home/rex" --base "$model" --config "$quick"
is_json "plan --base" engram plan "$home/rex" --base "$model" --config "$quick"
run engram plan "$home/rex" --base "$model" --config "$quick" --memory 70M --ranks 4
is "$status" 4 "a plan that does not fit says so by its status"
like "$stderr" "engram: stage * of <rex> needs * MiB of memory (4 ranks of * MiB, and * that they share); 70.0 MiB given by --memory; it would fit with engram up --ranks 1 (* MiB)" "with the figures, and what would fit"
like "$stdout" "*neurons *" "after the whole plan"
run engram plan "$home/rex" --base "$model" --memory 8X
like "$status $stderr" "2 engram: --memory 8X: expected a size like 8G or 512M" "a size that is none is refused"
run engram plan "$home/rex"
is "$status" 2 "a plan needs a lineage or a base"
run engram plan "$home/rex" --base "$home"
is "$status" 3 "and a base that is one"
is "$(ls "$home")" "$(printf 'mug\nrex')" "planning writes nothing"

engram up --ranks 2 >/dev/null
engram lineage create pets --base "$model" >/dev/null
run engram learn --lineage pets "$home/rex" --config "$quick" --memory 40M
is "$status" 4 "learn refuses what cannot fit"
like "$stderr" "engram: stage * of <rex> needs * MiB of memory *; 40.0 MiB given by --memory; nothing smaller that was tried fits either" "with the figures"
is "$(engram queue --all --json | jq .total) $(find "$home/objects" -type f | wc -l)" "0 0" "before anything is sent"

# compare NUMBER DIR RANK HOST: plan, then do; what was said and what came. RANK, HOST: resident bytes of planned stage $s, of one rank and
# of both.
compare() {
    local number=$1 dir=$2 what
    local -A planned=([rank]=$3 [host]=$4) ranks=([rank]=1 [host]=2)
    engram plan "$dir" --lineage pets --config "$quick" --preview "a dog" --json >"$TMPDIR/plan"
    engram learn "$dir" --lineage pets --config "$quick" --preview "a dog" --wait >/dev/null 2>&1
    engram show "$number" --json >"$TMPDIR/did"
    is "$(jq -r .neurons.masks "$TMPDIR/plan")" "$(jq -r '.stages[] | select(.stage == "score").outputs[0]' "$TMPDIR/did")" \
        "concept $number: the planned masks are those of stage score"
    is "$(jq -c '[.stages[] | [.stage, .arena]]' "$TMPDIR/plan")" "$(jq -c '[.stages[] | [.stage, .report.memory.arena]]' "$TMPDIR/did")" \
        "concept $number: every stage's arenas are as planned, to the byte"
    # A sanitizer's shadow is no part of the plan.
    [[ -z ${SAN:-} && $ENGRAM_BIN != *san* ]] || { skip "sanitizers take memory of their own" "resident memory"; return; }
    # 3 %, or 4 MiB a rank: libraries and allocator of another machine, which only matter to a model as small as this.
    for what in rank host; do
        is "$(jq -rn --slurpfile p "$TMPDIR/plan" --slurpfile d "$TMPDIR/did" '
            [range($p[0].stages | length) as $i | $p[0].stages[$i] as $s | ('"${planned[$what]}"') as $want |
             $d[0].stages[$i].report.memory.'"$what"' as $got | ($want - $got | fabs) as $off |
             select($off > 0.03 * $got and $off > 4194304 * '"${ranks[$what]}"') | "\($s.stage): planned \($want), took \($got)"] | join("; ")')" "" \
            "concept $number: the memory of a $what is as planned"
    done
}
# shellcheck disable=SC2016 # $s is jq's
compare 1 "$home/rex" '$s.shared + $s.own' '$s.shared + $s.host - $p[0].stages[-1].shared' # a group that has run nothing yet
# shellcheck disable=SC2016
compare 2 "$home/mug" '$s.rank' '$s.host'
is "$(jq -r '.neurons.shared | keys[0]' "$TMPDIR/plan")" "<rex>" "the second plan names the concept it shares neurons with"
is "$(jq '.neurons.shared_any * 1e4 | round' "$TMPDIR/plan")" \
    "$(jq '.stages[] | select(.stage == "score").report | .reg / .concept * 1e4 | round' "$TMPDIR/did")" "and the share that L_reg then pulls"
run engram plan "$home/mug" --lineage pets
like "$status $stderr" "3 engram: token <mug> is taken in lineage pets*" "a token that is taken is not planned"
prints show-memory engram show 2
engram down >/dev/null
is_clean "planning"
done_testing
