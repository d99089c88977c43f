/* kernels.c - the check table: the cpu kernels under suspicion.
 *
 * Each slot first fills results and workspace with marked NaN, runs the cpu kernel, and then asks: were the inputs
 * left alone, was every result written, did none come from memory that the kernel does not own? The red zones
 * make exec.c watch the rest of the arena (guard.h). Results are those of the cpu table, bit for bit.
 */
#include "pipeline/tensor/check/guard.h"
#include "pipeline/tensor/graph.h"
#include "pipeline/tensor/kernels.h"

#include <string.h>

/* Not a strong hash: it has to notice a changed byte, not an adversary. */
static uint64_t digest(const void *data, size_t bytes)
{
    const uint8_t *at = data;
    uint64_t h = 0xcbf29ce484222325u;
    for (uint32_t word; bytes >= sizeof word; bytes -= sizeof word, at += sizeof word) {
        memcpy(&word, at, sizeof word);
        h = (h ^ word) * 0x100000001b3u;
        h ^= h >> 29;
    }
    return h;
}

static uint64_t digest_input(const struct run *run, int i)
{
    return run->in[i] ? digest(run->in[i], shape_bytes(run->in_shape[i])) : 0;
}

/* Marked NaN among the inputs would be a dead buffer read by mistake; a leaf's own NaN does not carry the mark. */
static enum code check_results(const struct run *run, struct err *e)
{
    for (int i = 0; i < NODE_OUTPUTS; i++) {
        if (!run->out[i]) continue;
        int64_t at = poison_find(run->out[i], shape_count(run->out_shape[i]));
        if (at >= 0)
            return err_set(e, ERR_INTERNAL,
                           "check: %s left element %lld of result %d unwritten, or computed it "
                           "from memory that is not its own",
                           op_name(run->node->op), (long long)at, i);
    }
    return OK;
}

enum code check_call(kernel_fn *fn, const struct run *run, struct err *e)
{
    uint64_t before[NODE_INPUTS];
    for (int i = 0; i < NODE_INPUTS; i++) before[i] = digest_input(run, i);
    for (int i = 0; i < NODE_OUTPUTS; i++)
        if (run->out[i]) poison_fill(run->out[i], shape_bytes(run->out_shape[i]));
    if (run->workspace) poison_fill(run->workspace, run->workspace_bytes);
    enum code rc = fn(run, e);
    if (rc) return rc;
    for (int i = 0; i < NODE_INPUTS; i++)
        if (before[i] != digest_input(run, i))
            return err_set(e, ERR_INTERNAL, "check: %s changed its input %d",
                           op_name(run->node->op), i);
    return check_results(run, e);
}

static enum code check_kernel(const struct run *run, struct err *e)
{
    const struct kernels *cpu = kernels_cpu();
    if (!cpu->fn[run->node->op])
        return err_set(e, ERR_INTERNAL, "backend cpu has no operator %s", op_name(run->node->op));
    return check_call(cpu->fn[run->node->op], run, e);
}

static size_t check_workspace(const struct graph *g, const struct node *node)
{
    const struct kernels *cpu = kernels_cpu();
    return cpu->workspace ? cpu->workspace(g, node) : 0;
}

static const struct kernels table = {
    .backend = "check",
#define OP(name, inputs, outputs, attr) .fn[OP_##name] = check_kernel,
#include "pipeline/tensor/ops.def"
#undef OP
    .workspace = check_workspace,
    .red_zone = CHECK_RED_ZONE,
};

const struct kernels *kernels_check(void)
{
    return &table;
}
