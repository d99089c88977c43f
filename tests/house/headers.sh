#!/usr/bin/env bash
# Each header compiles alone.
. tests/tap.sh
. tests/house/files.sh

# Included twice, which also tries its guard; headers of tests are data and may do without. -Wno-psabi: vector types of
# kernels never cross a border between two compilations.
alone() {
    local flags again=$1
    [[ $1 != tests/* ]] || again=base/err.h
    read -ra flags <<<"${ENGRAM_HEADER_FLAGS:-}"
    printf '#include "%s"\n#include "%s"\n' "$1" "$again" |
        ${CC:-gcc} -std=c11 -D_GNU_SOURCE -I. "${flags[@]}" -Wall -Wextra -Werror -Wno-unused -Wno-psabi -fsyntax-only -x c - 2>&1
}

while IFS= read -r header; do
    case $header in
    pipeline/tensor/cuda/*) continue ;; # compiled by nvcc or not at all
    workers/comm_mpi.h) [[ ${ENGRAM_HEADER_FLAGS:-} == *mpi* ]] || continue ;;
    esac
    is "$(alone "$header")" "" "$header compiles alone"
done < <(tracked '*.h')
done_testing
