/* tensor.h - the tensor engine: build a static graph, plan its memory, run it.
 *
 *     struct graph *g;  struct plan *p;  struct exec *x;
 *     graph_make(&g, &e);
 *     struct value in  = graph_input(g, "x", DTYPE_F32, SHAPE(1, 8, 8, 16));
 *     struct value w   = graph_param(g, "conv.weight", SHAPE(3, 3, 16, 32), data);      // frozen, borrowed
 *     struct value out = op_conv(g, in, w, VALUE_NONE, (struct conv_attr){.stride = 1, .pad = {1, 1, 1, 1}});
 *     graph_keep(g, out);
 *     if ((rc = graph_finish(g, &e))) ...                 // the first mistake made while building
 *     plan_make(&p, g, kernels_cpu(), &e);                // plan_peak(p) bytes, known before anything runs
 *     exec_make(&x, g, p, &e);                            // the one allocation
 *     exec_bind(x, in, pixels);
 *     exec_run(x, &e);                                    // no allocation, no copy
 *     const float *y = exec_data(x, out);
 *
 * A graph is data: nodes in topological order, each with inferred shapes. Building is sticky: after the first
 * mistake every op returns VALUE_NONE and graph_finish reports it. graph_backward appends gradient nodes, only
 * where a gradient is wanted, so it stops by itself below the first trained weight.
 *
 * Bytes do not depend on the number of threads, nor on the other samples in a batch (kernels cut work by shape,
 * never across samples). Only linear_dw and linear_indexed_dw add over samples, in sample order.
 *
 * Lifetimes: graph > plan > exec. Parameters and inputs are borrowed; results live in the exec's arena until the
 * next run. A graph may be run by several execs. Nothing here is thread-safe; kernels use base/parallel.h inside.
 */
#ifndef TENSOR_TENSOR_H
#define TENSOR_TENSOR_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define SHAPE_RANK 4
#define NODE_INPUTS 4
#define NODE_OUTPUTS 3

enum dtype { DTYPE_F32, DTYPE_I32 };              /* both 4 bytes */

struct shape { int rank; int64_t dim[SHAPE_RANK]; };        /* row-major; a zero dimension is legal: no bytes */
#define SHAPE_COUNT_(...) (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
#define SHAPE(...) ((struct shape){SHAPE_COUNT_(__VA_ARGS__), {__VA_ARGS__}})
int64_t shape_count(struct shape s);                        /* product; rank 0 counts 1 */
int shape_equal(struct shape a, struct shape b);
char *shape_text(struct shape s, char out[80]);             /* "[1, 8, 8, 16]" */

struct value { int32_t v; };                                /* one tensor of a graph; index of struct tensor */
#define VALUE_NONE ((struct value){-1})
static inline int value_is(struct value x) { return x.v >= 0; }

enum op {
#define OP(name, inputs, outputs, attr) OP_##name,
#include "pipeline/tensor/ops.def"
#undef OP
    OP_COUNT
};
const char *op_name(enum op op);
int op_inputs(enum op op);
int op_outputs(enum op op);

/* Attributes, one struct per kind named in ops.def. */
enum unary_kind { UNARY_SILU, UNARY_GELU, UNARY_QUICK_GELU, UNARY_SCALE };
struct conv_attr { int stride; int pad[4]; };               /* pad: top, left, bottom, right */
struct conv_dx_attr { struct conv_attr conv; int64_t h, w; };        /* size of the input */
struct norm_attr { int groups; float eps; int silu; };      /* groups, silu: group_norm only; silu: y = silu(norm) */
struct unary_attr { enum unary_kind kind; float scale; };   /* scale: UNARY_SCALE only */
struct attention_attr { int heads; int causal; float scale; };
struct axis_attr { int axis; };
struct slice_attr { int axis; int64_t begin, size; };       /* size: for place, the full size of the axis */
struct size_attr { int64_t h, w; };                         /* pick_dx: h = T */
struct repeat_attr { int64_t n; };
struct rows_attr { int64_t rows, first; };                  /* embed_dextra: rows = R, first = V */
struct reduce_attr { struct shape shape; };                 /* reshape, too: the new shape */
union attr {
    struct conv_attr conv;
    struct conv_dx_attr conv_dx;
    struct norm_attr norm;
    struct unary_attr unary;
    struct attention_attr attention;
    struct axis_attr axis;
    struct slice_attr slice;
    struct size_attr size;
    struct repeat_attr repeat;
    struct rows_attr rows;
    struct reduce_attr reduce;
};

enum tensor_kind { TENSOR_INPUT, TENSOR_PARAM, TENSOR_TEMP };
struct tensor {
    const char *name;          /* owned by the graph's arena; may be "" for temporaries */
    enum tensor_kind kind;
    enum dtype dtype;
    struct shape shape;
    const void *data;          /* TENSOR_PARAM: borrowed from the caller; else NULL */
    int trained;               /* TENSOR_PARAM: a gradient is wanted */
    int kept;                  /* readable after the run */
    int boundary;              /* graph_boundary */
    int32_t node;              /* TENSOR_TEMP: which node makes it; else -1 */
    int32_t root;              /* the tensor whose memory this shares (reshape); itself otherwise */
};
struct node {
    enum op op;
    struct value in[NODE_INPUTS], out[NODE_OUTPUTS];
    union attr attr;
};

struct graph;
enum code graph_make(struct graph **g, struct err *e);
void graph_free(struct graph *g);

/* Leaves. An input's bytes are bound before each run. A param's bytes are borrowed for the graph's life and must
 * not change shape; `graph_trained` is a param whose gradient may be asked for (its bytes may change between runs). */
struct value graph_input(struct graph *g, const char *name, enum dtype dtype, struct shape shape);
struct value graph_param(struct graph *g, const char *name, struct shape shape, const float *data);
struct value graph_trained(struct graph *g, const char *name, struct shape shape, const float *data);

void graph_keep(struct graph *g, struct value x);           /* x can be read after a run */
/* Reports a mistake of the caller's own through the graph's sticky error (a missing weight, say). */
struct value graph_fail(struct graph *g, enum code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
enum code graph_finish(struct graph *g, struct err *e);     /* OK, or the first mistake */

/* Recomputation: backward reads many values that forward made, and all of them live until then. A model marks the few that
 * are worth keeping (the input of each block; returns x), which cuts the list of nodes into segments. On a graph that was
 * told to recompute, graph_backward makes the other values of a segment again, by copies of their nodes in front of the
 * gradients that read them; the last segment's are still there. The same kernels on the same bytes: every gradient is equal
 * byte for byte, memory is that of the boundaries and of one segment, and time is almost one forward more. */
struct value graph_boundary(struct graph *g, struct value x);
void graph_recompute(struct graph *g);                      /* before graph_backward */

/* Appends nodes that compute d(sum of loss)/d(wrt[i]) into grads[i], which are kept. A wrt that loss does not depend
 * on gets VALUE_NONE. wrt may be inputs (F32), trained params or temporaries. */
enum code graph_backward(struct graph *g, struct value loss, const struct value *wrt, int n,
                         struct value *grads, struct err *e);

int graph_nodes(const struct graph *g);
int graph_tensors(const struct graph *g);
const struct node *graph_node(const struct graph *g, int i);
const struct tensor *graph_tensor(const struct graph *g, struct value x);
struct shape graph_shape(const struct graph *g, struct value x);     /* rank 0, dim 0 for VALUE_NONE */
int64_t graph_dim(const struct graph *g, struct value x, int axis);
double graph_flops(const struct graph *g);                  /* multiply-adds count 2; products and convolutions only */

/* Memory plan: every temporary gets an offset in one arena by liveness, best fit; workspace included. Nodes that lead
 * to no kept value are left out: a model may build more than a stage needs. Plan after the last change of the graph. */
struct kernels;
struct plan;
enum code plan_make(struct plan **p, const struct graph *g, const struct kernels *k, struct err *e);
size_t plan_peak(const struct plan *p);                     /* bytes of the arena */
size_t plan_offset(const struct plan *p, struct value x);   /* SIZE_MAX: not in the arena */
void plan_free(struct plan *p);

struct exec;
/* Allocates the arena (the only allocation). Fails with ERR_NOMEM naming the figure, or ERR_INTERNAL naming the op
 * that the backend lacks. */
enum code exec_make(struct exec **x, const struct graph *g, const struct plan *p, struct err *e);
void exec_bind(struct exec *x, struct value input, const void *data);  /* borrowed until the next bind */
enum code exec_run(struct exec *x, struct err *e);          /* ERR_INTERNAL if an input was never bound */
const float *exec_data(const struct exec *x, struct value kept);
size_t exec_peak(const struct exec *x);                     /* highest byte of the arena really used so far */
void exec_free(struct exec *x);
/* Measured over the process, as its memory is: the most bytes that the arenas of all execs held at once since the last reset,
 * counting of each what plan_peak promised. */
size_t exec_arenas_most(void);
void exec_arenas_reset(void);

/* graph_finish, plan, exec in one call, for the common case. exec_close frees all three (and the graph). On failure
 * nothing was made and the graph stays the caller's. */
enum code exec_open(struct exec **x, struct graph *g, const struct kernels *k, struct err *e);
void exec_close(struct exec *x);

/* Backends. kernels_check wraps the cpu table: outputs filled with NaN before each node, sentinels around every
 * buffer, inputs compared before and after, dead buffers poisoned. A mistake is ERR_INTERNAL naming the node. */
const struct kernels *kernels_cpu(void);
const struct kernels *kernels_cpu_at(int i);                /* those this machine can run, plainest first, NULL behind the
                                                             * last, which is kernels_cpu; all give the same bytes */
const struct kernels *kernels_check(void);
const struct kernels *kernels_cuda(void);                   /* NULL: not in this build, or no device */

#endif
