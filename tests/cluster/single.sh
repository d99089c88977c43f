#!/usr/bin/env bash
# A checkpoint as one file works wherever a folder does, and what is learned on one is byte for byte what is learned on the other.
# timeout: 90
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh
needs_workers

work=$(mktemp -d)
folder=$PWD/tests/golden/original/open/model
file=$work/open.safetensors
cp tests/golden/original/open.safetensors "$file"
cp -r "$folder" "$work/open.config"

# refuses EXIT GLOB SENTENCE COMMAND...
refuses() {
    local want=$1 glob=$2 sentence=$3
    shift 3
    run engram "$@"
    is "$status" "$want" "$sentence: exit $want" || echo "#   $stderr"
    like "$stderr" "engram: $glob" "$sentence: says so"
    [[ $stderr != *$'\n'* && -z $stdout ]] || is "$stdout$stderr" "" "$sentence: in one line"
}

refuses 3 "$file: a single file holds no tokenizer; copy the tokenizer/ folder of any*" "a file without a tokenizer" check --base "$file"
mkdir "$work/open.tokenizer"
refuses 3 "*open.tokenizer/merges.txt is missing*" "a tokenizer without merges" check --base "$file"
cp "$folder/tokenizer/merges.txt" "$work/open.tokenizer"
run engram check --base "$file"
is "$status" 0 "merges alone are a tokenizer" || echo "#   $stderr"
like "$stdout" "*single file, Stable Diffusion 2.x; predicts v ($work/open.config/scheduler/scheduler_config.json)*" "the check says what it is"
mv "$work/open.config/scheduler" "$work/elsewhere"
run engram check --base "$file" --json
is "$(jq -r .predicts <<<"$stdout")" v "without a scheduler's file it is judged"
like "$(jq -r .predicts_by <<<"$stdout")" "judged: output_blocks.3.1.transformer_blocks.0.norm1.bias deviates by 0.*" "and told by what"
mv "$work/elsewhere" "$work/open.config/scheduler"

cp "$file" "$work/bad.safetensors" && cp -r "$work/open.config" "$work/bad.config" && cp -r "$work/open.tokenizer" "$work/bad.tokenizer"
# The last value that is read, one F16 of the UNet; ten bytes of EMA follow.
printf '\xff\x7f' | dd of="$work/bad.safetensors" bs=1 seek=$(($(stat -c %s "$file") - 12)) conv=notrunc status=none
refuses 3 "$work/bad.safetensors: unet: * holds a NaN at element*" "a NaN in a weight" check --base "$work/bad.safetensors"
truncate -s -2 "$work/bad.safetensors"
refuses 3 "$work/bad.safetensors*" "a truncated file" check --base "$work/bad.safetensors"

new_home
engram up >/dev/null
engram lineage create one --base "$file" >/dev/null
engram lineage create two --base "$folder" >/dev/null
is "$(engram lineage list --json | jq -r '[.lineages[].base] | unique | length')" 1 "file and folder have one name"
for lineage in one two; do
    engram learn --lineage "$lineage" "$photos/rex" --config "$quick" --wait >/dev/null 2>"$work/said"
    is "$?" 0 "$lineage: a model without a CLIP learns"
    like "$(cat "$work/said")" "*note: not evaluated (*clip*ENGRAM_CLIP*" "$lineage: and says that nothing is evaluated"
done
cp -r tests/golden/classic/model/clip "$work/open.clip"
like "$(engram plan "$photos/rex" --base "$file" --config "$quick" 2>&1)" "*evaluate  * pictures *" "a CLIP beside the file is found by a plan"
rm -r "$work/open.clip"
is "$(engram log one --json | jq -r '.commits[0].commit')" "$(engram log two --json | jq -r '.commits[0].commit')" "one concept, one commit"
engram sample --lineage one --config "$quick" --out "$work/one" "a <rex> dog" >/dev/null 2>&1
engram sample --lineage two --config "$quick" --out "$work/two" "a <rex> dog" >/dev/null 2>&1
# From the pixels on: before them the file says on which lineage it was drawn.
pixels() { tail -c +"$(grep -abo IDAT "$work/$1/001-a-rex-dog.png" | head -n 1 | cut -d : -f 1)" "$work/$1/001-a-rex-dog.png" | sha256sum; }
like "$(grep -abo IDAT "$work/one/001-a-rex-dog.png")" "*IDAT" "a picture is drawn"
is "$(pixels one)" "$(pixels two)" "and the same one"
engram down >/dev/null
is_clean "single"
rm -r "$work"
done_testing
