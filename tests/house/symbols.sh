#!/usr/bin/env bash
# The programs hold what their room may know, and no more.
. tests/tap.sh

# symbols PROGRAM PATTERN: how many of its symbols match
symbols() { nm "$1" | awk '{ print $NF }' | grep -Ec "$2"; }
libraries() { ldd "$1" | awk '{ print $1 }' | grep -Ec "$2"; }

engine='^(graph_make|graph_backward|op_linear|plan_make|exec_run|kernels_cpu|kernels_cuda)$'
for name in engram-coordinator engram-door engram engram-worker; do
    program=$ENGRAM_BIN/$name
    if [[ ! -x $program ]]; then
        skip "$name was not built" "$name holds only what it may know"
        continue
    fi
    case $name in
    engram-coordinator)
        is "$(symbols "$program" "$engine")" 0 "$name holds nothing of the tensor engine"
        is "$(symbols "$program" '^(MPI_|PMPI_|ompi_|cuda|cublas|cudnn|nccl)')" 0 "nothing of MPI or CUDA"
        is "$(libraries "$program" 'libmpi|blas|cuda|libpng')" 0 "and links none of their libraries"
        ;;
    engram-door)
        is "$(symbols "$program" "$engine")" 0 "$name holds nothing of the tensor engine"
        is "$(libraries "$program" 'libmpi|blas|cuda|libpng|sqlite')" 0 "and links no database"
        ;;
    engram)
        ok "$name holds the engine (so the pattern is right)" test "$(symbols "$program" "$engine")" -gt 0
        is "$(symbols "$program" '^MPI_')" 0 "$name holds nothing of MPI"
        is "$(libraries "$program" 'libmpi|sqlite')" 0 "and links neither MPI nor a database"
        ;;
    engram-worker)
        ok "$name speaks MPI" test "$(symbols "$program" '^MPI_')" -gt 0
        is "$(libraries "$program" 'sqlite')" 0 "and links no database"
        ;;
    esac
done
done_testing
