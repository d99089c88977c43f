#!/usr/bin/env bash
# Bad input, each kind: one line that says what and where, the documented exit status, and nothing has changed.
# timeout: 150
set -u
. tests/tap.sh
. tests/cluster/support/engram.sh
needs_workers

work=$(mktemp -d)
new_home
engram up >/dev/null
engram lineage create pets >/dev/null
engram learn --lineage pets "$photos/rex" --config "$quick" --no-evaluate --wait 2>/dev/null >&2
# One that waits for ever: the group is stopped while the token is taken by a job in the queue.
engram learn --lineage pets "$photos/mug" --config "$quick" --set train.steps=100000 >/dev/null
until_true 30 job_is 2 running
mapfile -t ranks < <(processes "$home" | grep -vx "$(coordinator_pid)")
kill_all STOP "${ranks[@]}"
before=$(picture)

# refuses EXIT GLOB SENTENCE COMMAND...
refuses() {
    local want=$1 glob=$2 sentence=$3
    shift 3
    run engram "$@"
    is "$status" "$want" "$sentence: exit $want" || echo "#   $stderr"
    like "$stderr" "engram: $glob" "$sentence: says so"
    [[ $stderr != *$'\n'* ]] || point 1 "$sentence: in one line"
    [[ -z $stdout ]] || is "$stdout" "" "$sentence: nothing on standard output"
}

# folder NAME: a good concept to spoil, in $work/NAME.
folder() {
    cp -r "$photos/rex" "$work/$1"
    sed -i "s/<rex>/<$1>/" "$work/$1/concept.yaml"
}
learn() { refuses "$1" "$2" "$3" learn --lineage pets "$work/${4}" --config "$quick" "${@:5}"; }

folder cut && head -c 100 "$photos/rex/1.png" >"$work/cut/1.png"
learn 3 "*cut/1.png*" "a truncated image" cut
folder empty && : >"$work/empty/2.png"
learn 3 "*empty/2.png*" "an image of no bytes" empty
folder text && echo "I am no picture" >"$work/text/1.png"
learn 3 "*text/1.png*PNG, JPEG or WebP*" "text named .png" text
# IHDR says 60000 x 60000; its checksum is right.
folder huge && printf '\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xea\x60\0\0\xea\x60\x08\x02\0\0\0\x0f\xb0\xe2\x15\0\0\0\x04IDATjunk\0\0\0\0\0\0\0\0IEND\xae\x42\x60\x82' >"$work/huge/1.png"
learn 3 "*huge/1.png*60000*" "an image that claims 60000 pixels a side" huge
mkdir "$work/bare" && printf 'token: "<bare>"\nclass: dog\n' >"$work/bare/concept.yaml"
learn 3 "*bare holds no PNG, JPEG or WebP image*" "a folder without images" bare
learn 3 "*nowhere: No such file or directory" "a folder that is not there" nowhere
folder long && printf 'a dog%.0s on a very long walk' {1..20} >"$work/long/1.txt"
learn 3 "caption of *long/1.png has * tokens*reads 32*" "a caption that the text encoder cannot read whole" long
long=$(printf 'a dog%.0s on a very long walk ' {1..20})
refuses 3 'prompt "a dog on a very long walk*" has * tokens*reads 32*' "a prompt that the text encoder cannot read whole" sample --lineage pets "$long"
refuses 3 'the negative prompt has * tokens*reads 32*' "a negative prompt likewise" sample --lineage pets --negative "$long" "a <rex> dog"
refuses 3 'evaluation prompt "a * dog a dog*" has * tokens*reads 32, so "*walk*" would be lost*' "an evaluation prompt likewise" \
    evaluate --lineage pets --again --prompt "a {concept} $long"
folder peek && learn 3 'preview "a dog on*" has * tokens*reads 32*' "a preview likewise" peek --preview "$long"
folder small && learn 3 'token "REX"*' "a malformed token" small --token REX
learn 3 'token "<>"*' "an empty token" small --token '<>'
learn 3 "token <rex> is taken in lineage pets (commit 1*" "a token that is learned" small --token '<rex>'
learn 3 "token <mug> is taken in lineage pets (job 2*" "a token that is being learned" small --token '<mug>'
learn 3 'kind "beast"*' "a kind that there is not" small --kind beast
learn 2 "--set *unknown setting train.stepz; did you mean train.steps?*" "a setting that there is not" small --set train.stepz=3
learn 2 "--set *train.steps*" "a setting of the wrong type" small --set train.steps=many
learn 2 "--set *train.steps*" "a setting out of range" small --set train.steps=0
printf 'train:\n  steps: 30\n  stepps: 3\n' >"$work/typo.yaml"
refuses 2 "*typo.yaml:3:3: *stepps*did you mean *steps*" "an unknown key in a file: line, column, nearest" \
    learn --lineage pets "$work/small" --config "$work/typo.yaml"
printf 'train:\n  steps: [1, 2]\n' >"$work/list.yaml"
refuses 2 "*list.yaml:2:*" "a list where a number belongs" learn --lineage pets "$work/small" --config "$work/list.yaml"
refuses 3 "*no-such.yaml*" "a settings file that is not there" learn --lineage pets "$work/small" --config "$work/no-such.yaml"
refuses 3 "no lineage pest; did you mean pets?" "a lineage that there is not" learn --lineage pest "$work/small"
refuses 3 "*pest*did you mean *pets*" "a log of a lineage that there is not" log pest
refuses 3 "no commit 9 in pets*" "a commit that there is not" sample --lineage pets --commit 9 "a dog"
refuses 3 "pets has not learned <rexx>; did you mean <rex>?" "a prompt with a token that there is not" sample --lineage pets "a <rexx> dog"
refuses 3 "there is no job 77" "a job that there is not" watch 77
refuses 3 "lineage pets exists already*" "a lineage name that is taken" lineage create pets
refuses 3 "lineage name*" "a malformed lineage name" lineage create 'Pets and more'

# Base models.
spoil() { rm -rf "$work/base" && cp -r "$base" "$work/base"; }
create() { refuses 3 "$1" "$2" lineage create other --base "$work/base"; }
spoil && rm -r "$work/base/unet" && create "*unet*" "a base without unet/"
spoil && truncate -s -1000 "$work/base/unet/diffusion_pytorch_model.safetensors" && create "*unet*" "a base with a truncated file"
spoil && sed -i 's/"UNet2DConditionModel"/"SomethingElse"/; s/"StableDiffusionPipeline"/"StableDiffusionXLPipeline"/' "$work/base/model_index.json" &&
    create "*model_index.json*StableDiffusionXLPipeline*" "a base of another family"
spoil && mv "$work/base/unet/diffusion_pytorch_model.safetensors" "$work/base/unet/diffusion_pytorch_model.bin" &&
    create "*unet*" "a base with pickled weights"
spoil && rm "$work/base/tokenizer/merges.txt" && create "*tokenizer/merges.txt, which is missing" "a base whose tokenizer has no merges"
rm -rf "$work/base" && cp -r tests/golden/ragged/model "$work/base" && rm "$work/base/unet/diffusion_pytorch_model-00002-of-00004.safetensors" &&
    create "*shard diffusion_pytorch_model-00002-of-00004.safetensors is missing*" "a base without one of its shards"
xl='{"conditioner.embedders.1.model.ln_final.bias":{"dtype":"F16","shape":[],"data_offsets":[0,2]}}'
printf "\\x$(printf %x ${#xl})\\0\\0\\0\\0\\0\\0\\0%s\\0\\0" "$xl" >"$work/xl.safetensors"
refuses 3 "*xl.safetensors: a Stable Diffusion XL checkpoint; Engram runs*" "a single file of another family" \
    lineage create other --base "$work/xl.safetensors"
printf 'PK\003\004junk' >"$work/sd.ckpt"
refuses 3 "*sd.ckpt*" "a checkpoint that is one pickled file" lineage create other --base "$work/sd.ckpt"
refuses 3 "base model *nowhere*No such file*" "a base that is not there" lineage create other --base "$work/nowhere"

# Everything that is wrong with one submission is said at once.
folder five && : >"$work/five/1.png" && echo "no picture" >"$work/five/2.png" && echo "whose?" >"$work/five/3.txt"
run engram learn --lineage pest "$work/five" --token BAD --set train.stepz=1
is "$(grep -c '^engram: ' <<<"$stderr")" 7 "six problems are six lines, and how many they were"
like "$stderr" "*train.stepz*BAD*five/1.png*five/2.png*five/3.txt*pest*6 problems; nothing was changed" "each of them named"

is "$(picture)" "$before" "after all of this nothing has changed"
kill_all CONT "${ranks[@]}"
engram cancel 2 >/dev/null
engram down --now >/dev/null
is_clean "refused"

# Without a coordinator.
refuses 4 "no coordinator is running*engram up" "no coordinator" queue
refuses 4 "no coordinator is running*engram up" "no coordinator to learn with" learn --lineage pets "$work/small"
ok "checking needs none" engram check "$work/small"
run engram check "$work/cut" "$work/empty" --json
is "$status" 3 "check refuses what learn refuses"
is "$(jq -r '[.concepts[].problems | length] | join(" ")' <<<"$stdout")" "1 1" "and lists it as JSON"
rm -rf "$work"
done_testing
