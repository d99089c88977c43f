#!/usr/bin/env bash
# jobs.sh MODEL OUT: everything that a user does, once, on a checkpoint of full size: check, plan, learn, sample, evaluate, export.
#
#     tests/full_size/support/jobs.sh build/parity/models/sd15 build/parity/jobs [SIDE [RANKS]]
#
# MODEL is a diffusers folder or a single file (random weights do: `make parity` makes them). One training step, two sampling
# steps: what is shown is that it runs, within the planned memory, not what it draws. Writes OUT/jobs.json, one object per stage
# with the planned and the measured memory of all ranks together and the time, and prints a table. Minutes, 5 to 10 GB of memory.
set -euo pipefail
model=$(realpath "$1") out=$2 side=${3:-256} ranks=${4:-1}
root=$(realpath "$(dirname "$0")/../../..")
export PATH=${ENGRAM_BIN:-$root/build}:$PATH
mkdir -p "$out" && out=$(realpath "$out")
home=$(mktemp -d)
export ENGRAM_HOME=$home/home
concept=$root/examples/storybook/concepts/set1/rex
settings=(--set sample.side="$side" --set prior.count=2 --set prior.steps=2 --set train.steps=1 --set sample.steps=2
    --set general.k=4 --set evaluate.per_prompt=1)

leave() {
    engram down --now >/dev/null 2>&1 || true
    rm -rf "$home"
}
trap leave EXIT

engram check --base "$model"
engram up --ranks "$ranks" >/dev/null
engram lineage create full --base "$model"
engram plan "$concept" --lineage full "${settings[@]}" --preview "a dog" --json >"$out/plan.json"
engram learn "$concept" --lineage full "${settings[@]}" --preview "a dog" --wait
engram show 1 --json >"$out/learn.json"
engram sample --lineage full "${settings[@]}" --out "$out/pictures" --n 1 "a <rex> dog in a meadow"
engram export --lineage full --to diffusers,single-file,embeddings,delta --out "$home/export" >/dev/null
engram check "$home/export/full.engram.safetensors" >/dev/null && echo "the delta proves itself"
tokenizer=$model/tokenizer
[[ -d $tokenizer ]] || tokenizer=${model%.safetensors}.tokenizer
ENGRAM_TOKENIZER=$tokenizer engram check --base "$home/export/full.safetensors"

jq -n --slurpfile p "$out/plan.json" --slurpfile d "$out/learn.json" '[range($p[0].stages | length) as $i |
    $p[0].stages[$i] as $s | $d[0].stages[$i] as $t |
    {stage: $s.stage, planned: $s.host, took: $t.report.memory.host,
     arena_planned: $s.arena, arena: $t.report.memory.arena, seconds_low: $s.seconds_low, seconds_high: $s.seconds_high, seconds: $t.seconds}]' >"$out/jobs.json"
jq -r '["stage", "planned MiB", "took MiB", "ratio", "planned s", "took s"], (.[] | [.stage, (.planned / 1048576 | round),
    (.took / 1048576 | round), (.planned / .took * 1000 | round / 1000),
    "\(.seconds_low * 10 | round / 10)-\(.seconds_high * 10 | round / 10)", (.seconds * 10 | round / 10)]) | @tsv' "$out/jobs.json"
