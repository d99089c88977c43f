#!/usr/bin/env bash
# Exports opened by diffusers and transformers: the same weights, the same ids, the same pictures from the same noise.
# timeout: 1200
# README.md says what Python is needed; without it this is skipped.
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh
needs_workers
python=${ENGRAM_PYTHON:-build/parity-venv/bin/python}
"$python" -c 'import diffusers' 2>/dev/null || skip_all "no Python with diffusers: set ENGRAM_PYTHON (tests/exchange/README.md)"
export OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error DIFFUSERS_VERBOSITY=error TQDM_DISABLE=1

# made NAME LEARN-OPTION... -- FOLDER...: a lineage of those concepts on $base, exported in all forms to $home/NAME
# shellcheck disable=SC2317 # called through ok
made() {
    local name=$1 options=() folder
    shift
    while [[ $1 != -- ]]; do options+=("$1") && shift; done
    shift
    engram lineage create "$name" --base "$base" >/dev/null
    for folder; do engram learn --lineage "$name" "${options[@]}" --no-evaluate --wait "$folder" >/dev/null 2>&1 || return 1; done
    engram export --lineage "$name" --out "$home/$name" --to diffusers,single-file,embeddings,delta >/dev/null 2>&1
}

# looked_at SENTENCE ARGUMENT...: check.py's points are this script's
looked_at() {
    local sentence=$1 line bad=0
    shift
    while IFS= read -r line; do
        case $line in
        "ok "*) point 0 "$sentence: ${line#*- }" ;;
        "not ok "*) point 1 "$sentence: ${line#*- }" && bad=1 ;;
        "#"*) echo "$line" ;;
        1..*) bad=$((bad + 2)) ;;
        esac
    done < <("$python" tests/exchange/check.py "$@" 2>"$home/python.log")
    ((bad == 2)) || sed 's/^/#   /' "$home/python.log" | tail -5
    is "$bad" 2 "$sentence: was looked at to the end"
}

new_home
engram up >/dev/null
for case in classic micro storybook ragged; do
    base=$PWD/tests/golden/$case/model
    ok "$case: a concept is learned and exported" made "$case" --config "$quick" -- "$photos/rex"
    looked_at "$case" --base "$base" --export "$home/$case" --strings "tests/golden/$case/tokenize.txt"
done
base=$PWD/examples/storybook/model
set1=examples/storybook/concepts/set1
prompt="a <rex> dog next to a <zig> mug in a meadow"
ok "Storybook: two concepts are half learned and exported" made book --config examples/storybook/engram.yaml \
    --set train.steps=20 --set prior.count=4 -- $set1/rex $set1/zig
ok "Storybook: two pictures are drawn" engram sample --lineage book --out "$home/pictures" --n 2 --seed 5 \
    --set sample.steps=25 --set sample.guidance=4 "$prompt"
looked_at Storybook --base "$base" --export "$home/book" --pictures "$home/pictures" --prompt "$prompt" \
    --seed 5 --steps 25 --guidance 4
engram down >/dev/null
done_testing
