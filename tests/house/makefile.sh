#!/usr/bin/env bash
# The Makefile's goals exist and its probes probe.
. tests/tap.sh
unset MAKEFLAGS MFLAGS MAKELEVEL SAN CUDA # of the make that runs this test

value() { DEPS=0 make -s --no-print-directory "print-$1" BUILD="$TMPDIR/build" "${@:2}" | sed 's/^[^=]*= *//'; }

goals=$(make -s help | awk '$1 == "make" { print $2 }')
for goal in all test test-all fuzz cluster-test demo bench lint fmt info help install deps; do
    ok "make help lists $goal" grep -qx "$goal" <<<"$goals"
done
like "$(value LIBS_base)" "*-lcrypto*" "pkg-config was asked"
if grep -qm1 '^flags.* avx2 ' /proc/cpuinfo && grep -qm1 '^flags.* fma ' /proc/cpuinfo; then
    is "$(value CPU_ARCH)" x86-64-v3 "a processor with AVX2 and FMA is seen"
else
    skip "no AVX2 here" "a processor with AVX2 and FMA is seen"
fi
if command -v mpicc >/dev/null; then
    is "$(value MPI)" "$(command -v mpicc)" "mpicc is seen"
fi
is "$(value MPI MPICC=no-such-program BUILD="$TMPDIR/no-mpi")" "" "a machine without MPI is seen"
is "$(value PROGRAMS MPICC=no-such-program BUILD="$TMPDIR/no-mpi" | grep -c worker)" 0 "and builds no worker"
is "$(value FLAVOUR) $(value FLAVOUR SAN=1) $(value FLAVOUR SAN=thread) $(value FLAVOUR CUDA=0)" \
    "plain san tsan plain-nocuda" "flavours have folders of their own"
is "$(value USE_CUDA CUDA=0)" "" "CUDA=0 is off"
done_testing
