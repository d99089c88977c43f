#!/usr/bin/env bash
# What a plan says, and what a worker group then takes: one table. In the repository's root, after make:
#
#     bench/plan/measure.sh MODEL FOLDER [--set key=value ...]          # RANKS=1; a home of its own, removed afterwards
#
# Memory in MiB: of the rank that took most, of all ranks of the host; "planned" is for a group that runs its first job.
set -eu
model=$1 folder=$2
shift 2
bin=${ENGRAM_BIN:-$PWD/build}
ENGRAM_HOME=$(mktemp -d "${TMPDIR:-/tmp}/engram-plan.XXXXXX")
export ENGRAM_HOME
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
trap '"$bin/engram" down >/dev/null; rm -rf "$ENGRAM_HOME"' EXIT

"$bin/engram" up --ranks "${RANKS:-1}" >/dev/null
"$bin/engram" lineage create plan --base "$model" >/dev/null
"$bin/engram" plan "$folder" --lineage plan --ranks "${RANKS:-1}" --preview "a dog" "$@" --json >"$ENGRAM_HOME/plan"
"$bin/engram" learn "$folder" --lineage plan --preview "a dog" "$@" --wait >&2
"$bin/engram" show 1 --json >"$ENGRAM_HOME/did"
printf '%-9s %7s %8s %9s %9s %7s %9s %9s %7s %20s %9s\n' stage arena planned rank planned off host planned off "seconds planned" seconds
jq -rn --slurpfile p "$ENGRAM_HOME/plan" --slurpfile d "$ENGRAM_HOME/did" '
    range($p[0].stages | length) as $i | $p[0].stages[$i] as $s | $d[0].stages[] | select(.stage == $s.stage) | .report.memory as $m |
    ($s.own + $s.shared) as $rank | ($s.shared + $s.host - $p[0].stages[-1].shared) as $host |
    [.stage, $m.arena / 1048576, $s.arena / 1048576, $m.rank / 1048576, $rank / 1048576, 100 * ($rank / $m.rank - 1),
     $m.host / 1048576, $host / 1048576, 100 * ($host / $m.host - 1), $s.seconds_low, $s.seconds_high, .seconds] | @tsv' |
    while read -r stage a pa m pm off h ph hoff low high s; do
        printf '%-9s %7.1f %8.1f %9.1f %9.1f %6.1f%% %9.1f %9.1f %6.1f%% %9.1f to %7.1f %9.1f\n' \
            "$stage" "$a" "$pa" "$m" "$pm" "$off" "$h" "$ph" "$hoff" "$low" "$high" "$s"
    done
