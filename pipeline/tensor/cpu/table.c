/* table.c - the table of the CPU backend, for one instruction set. */
#include "base/parallel.h"
#include "pipeline/tensor/cpu/cpu.h"

#include <assert.h>

static size_t round64(size_t n)
{
    return (n + 63) / 64 * 64;
}

void *cpu_scratch(const struct run *run, size_t shared, size_t bytes)
{
    return (char *)run->workspace + round64(shared) +
           (size_t)parallel_thread_index() * round64(bytes);
}

size_t cpu_scratch_bytes(size_t shared, size_t bytes)
{
    return round64(shared) + (size_t)parallel_threads() * round64(bytes);
}

static size_t workspace(const struct graph *g, const struct node *node)
{
    switch (node->op) {
    case OP_linear:
    case OP_linear_dx:
    case OP_linear_dw:
    case OP_linear_indexed:
    case OP_linear_indexed_dx:
    case OP_linear_indexed_dw: return cpu_matmul_workspace(g, node);
    case OP_conv:
    case OP_conv_dx: return cpu_conv_workspace(g, node);
    case OP_group_norm:
    case OP_group_norm_dx: return cpu_norm_workspace(g, node);
    case OP_attention:
    case OP_attention_dx: return cpu_attention_workspace(g, node);
    default: return 0;
    }
}

const struct kernels *CPU_TABLE(void)
{
    static const struct kernels table = {
        .backend = "cpu",
        .workspace = workspace,
        .select = cpu_select,
        .logs = cpu_logs,
        .part_rows = cpu_part_rows,
        .settle_row = cpu_settle_row,
        .fn =
            {
#define OP(name, inputs, outputs, attr) [OP_##name] = cpu_##name,
#include "pipeline/tensor/ops.def"
#undef OP
            },
    };
    return &table;
}
