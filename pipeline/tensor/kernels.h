/* kernels.h - what a backend is: one table of functions, one per operator.
 *
 * To add an operator: a line in ops.def, its builder and shape rule in ops.h / shape.c, its gradient in grad.c, a kernel
 * in each backend's table, and a case in tests/parity (an operator without a case fails the suite).
 *
 * A kernel reads run->in[i], writes every byte of run->out[i], may use run->workspace, allocates nothing and keeps
 * nothing. Shapes were checked when the graph was built: kernels assert. An absent optional input or an output nobody
 * wants is a NULL pointer. An empty slot is a fact: exec_make names the op and the backend before the first run.
 * Only reshape is never called.
 */
#ifndef TENSOR_KERNELS_H
#define TENSOR_KERNELS_H

#include "pipeline/tensor/tensor.h"

struct run {
    const struct node *node;
    const void *in[NODE_INPUTS];
    struct shape in_shape[NODE_INPUTS];
    void *out[NODE_OUTPUTS];
    struct shape out_shape[NODE_OUTPUTS];
    void *workspace;                    /* 64-aligned; NULL if kernels->workspace said 0 */
    size_t workspace_bytes;
};

typedef enum code kernel_fn(const struct run *run, struct err *e);

/* Which of n scores |w[i]| v[i % cols] are the k largest, ties to the smaller index (neurons/score.h). Exact: the answer is
 * the same on every machine. No operator of a graph, but a loop that is worth a machine's own instructions.
 *
 * A row (n == cols) is found several times as fast from logarithms of both factors, and where the threshold is about. It is
 * parted first: ones to what is among the k largest for sure, and of a few that are undecided some are, too. Who needs to
 * know which, has them settled; for an AND over prompts that is not often so. */
struct selection_logs {
    const int16_t *log;                 /* [n, to a whole word of 64] */
    int32_t top;                        /* 1024 log2 of the largest, or LOGS_NONE */
};
enum { LOGS_NONE = INT32_MIN, LOGS_LEAST = -16384 };

/* log[i] = 1024 log2 |x[i]| - top, off by less than 1, at least LOGS_LEAST, which also fills the last word behind n. Returns
 * top; LOGS_NONE, and no logs, where the largest is not a number of middling size. O(n). */
typedef int32_t logs_fn(const float *x, size_t n, int16_t *log);

struct selection {
    const float *w, *v;                 /* [n], [cols]; v not negative, nothing NaN */
    size_t n, cols, k;
    float *hint;                        /* 1024 log2 of the threshold is near; afterwards: where it is. Only speed depends on it */
    uint64_t *ones;                     /* bit i of words i / 64; zero behind n */
    int32_t *scratch;                   /* select_scratch(n) bytes, 64-aligned is faster */
    struct selection_logs log_w, log_v; /* part_rows only */
    uint64_t *undecided;                /* like ones; part_rows writes, settle_row reads them */
    size_t k_undecided;                 /* so many of them belong to the k largest, or NOT_PARTED */
};
static inline size_t select_scratch(size_t n) { return (n + 63) / 64 * (64 * sizeof(int32_t) + sizeof(uint64_t)); }
typedef void select_fn(const struct selection *s);

/* n rows, each with a hint of its own; side by side they take less time than one by one. NOT_PARTED: it cannot, ask select.
 * settle_row adds to the ones those of the undecided that belong there, or simply all of the k largest. */
#define NOT_PARTED SIZE_MAX
typedef void part_rows_fn(struct selection *const *s, size_t n);
typedef void settle_row_fn(const struct selection *s);

struct kernels {
    const char *backend;                /* "cpu", "check", "cuda" */
    kernel_fn *fn[OP_COUNT];
    /* Scratch bytes for one node; NULL slot: none anywhere. May depend on parallel_threads() (scratch per thread). */
    size_t (*workspace)(const struct graph *g, const struct node *node);
    select_fn *select;                  /* this and the next three: cpu only */
    logs_fn *logs;
    part_rows_fn *part_rows;
    settle_row_fn *settle_row;
    /* Memory of the kind that this backend reads and writes. NULL: plain host memory. */
    void *(*memory_alloc)(size_t bytes);
    void (*memory_free)(void *p);
    size_t red_zone;                    /* bytes the planner leaves free around every buffer, a multiple of 64;
                                         * not 0 (check only): exec.c poisons and watches the arena */
};

#endif
