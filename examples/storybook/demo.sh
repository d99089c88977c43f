#!/usr/bin/env bash
# demo.sh - the whole of Engram on one machine: three concepts learned one after another on Storybook, pictures with them alone and
# together, what was forgotten, and a report. Called by `make demo`; leaves everything it made in build/demo.
set -euo pipefail
cd "$(dirname "$0")/../.."

bin=${ENGRAM_BIN:-build}
out=${ENGRAM_DEMO:-build/demo}
base=${ENGRAM_BASE:-examples/storybook/model}
set_dir=examples/storybook/concepts/set1
settings=examples/storybook/engram.yaml
lineage=storybook
started=$SECONDS

engram() { "$bin/engram" "$@"; }
step() { printf '\n== %s\n' "$*"; }

rm -rf "$out"
mkdir -p "$out"
# A socket's path may have 107 bytes: a deep checkout needs a home elsewhere.
ENGRAM_HOME=$(cd "$out" && pwd)/home
if [ ${#ENGRAM_HOME} -gt 80 ]; then ENGRAM_HOME=$(mktemp -d "${TMPDIR:-/tmp}/engram-demo.XXXXXX"); fi
export ENGRAM_HOME
stop() { engram down --now >/dev/null 2>&1 || true; }
trap stop EXIT
trap 'exit 130' INT TERM

step "this machine"
engram doctor --base "$base"

step "a coordinator and a worker group of two ranks"
engram up --ranks 2
engram lineage create "$lineage" --base "$base"

concept() { # name: first value of token, class
    local dir=$set_dir/$1
    step "learn $1"
    engram check "$dir"
    engram learn --lineage "$lineage" --config "$settings" --wait "$dir"
}
value() { sed -n "s/^$2: *\"\\{0,1\\}\\([^\"]*\\)\"\\{0,1\\}$/\\1/p" "$set_dir/$1/concept.yaml"; }

first() { # kind: the first concept of the set of this kind
    for d in "$set_dir"/*/; do
        d=$(basename "$d")
        if [ "$(value "$d" kind)" = "$1" ]; then echo "$d"; return; fi
    done
}
animal=${ENGRAM_DEMO_ANIMAL:-$(first animal)}
object=${ENGRAM_DEMO_OBJECT:-$(first object)}
style=${ENGRAM_DEMO_STYLE:-$(first style)}
for c in "$animal" "$object" "$style"; do concept "$c"; done

a="$(value "$animal" token) $(value "$animal" class)"
o="$(value "$object" token) $(value "$object" class)"
s="$(value "$style" token) style"

step "pictures: alone and together"
job() { sed -n 's/^ *"job": \([0-9]*\),*$/\1/p' | head -n 1; }
gallery=$(engram sample --lineage "$lineage" --config "$settings" --n 4 --out "$out/pictures" --json \
    "a $a in a meadow" "a $a on the moon" "a $o on a beach" "a dog in a forest, in $s" \
    "a $a and a $o in a meadow" "a $a in a city, in $s" "a $o on a beach, in $s" "a $a and a $o in a desert, in $s" | job)

step "what it can do, and what it has forgotten"
engram log "$lineage"
engram evaluate --lineage "$lineage" --gallery "$gallery" --title "Three concepts on Storybook" \
    --out "$out/report.html" --summary "$out/summary.json"

step "down"
engram down
trap - EXIT
printf '\ndone in %d s. Look at:\n  %s    the report, opens in any browser\n  %s   the figures\n  %s  pictures\n' \
    $((SECONDS - started)) "$out/report.html" "$out/summary.json" "$out/pictures/sheet.png"
