/* kernels.c - which table of CPU kernels this machine runs.
 *
 * cpu/ is compiled for the CPU_ARCH of the Makefile, on x86-64 with AVX2 also for x86-64-v4, whose table is asked for only
 * on a processor (and an operating system that saves its registers) of that level.
 */
#include "pipeline/tensor/kernels.h"

const struct kernels *cpu_table(void);
#ifdef CPU_HAS_V4
const struct kernels *cpu_table_v4(void);

static int runs_v4(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#endif

const struct kernels *kernels_cpu_at(int i)
{
    if (i == 0) return cpu_table();
#ifdef CPU_HAS_V4
    if (i == 1 && runs_v4()) return cpu_table_v4();
#endif
    return NULL;
}

const struct kernels *kernels_cpu(void)
{
    const struct kernels *best = kernels_cpu_at(0), *next;
    for (int i = 1; (next = kernels_cpu_at(i)); i++) best = next;
    return best;
}
