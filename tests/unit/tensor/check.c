/* check.c - the check backend finds the kernel that misbehaves and names it; an innocent one it leaves alone. */
#include "pipeline/tensor/check/guard.h"
#include "pipeline/tensor/ops.h"
#include "tests/tap.h"
#include "tests/unit/tensor/toy.h"

#define N 10

/* One crime at a time, committed by the silu node. */
static enum code good(const struct run *run, struct err *e)
{
    return toy_kernel(run, e);
}

static enum code past_the_end(const struct run *run, struct err *e)
{
    ((float *)run->out[0])[N] = 0;
    return toy_kernel(run, e);
}

static enum code before_the_start(const struct run *run, struct err *e)
{
    ((float *)run->out[0])[-1] = 0;
    return toy_kernel(run, e);
}

static enum code past_its_input(const struct run *run, struct err *e)
{
    toy_kernel(run, e);
    ((float *)run->out[0])[0] = ((const float *)run->in[0])[N];
    return OK;
}

static enum code writes_input(const struct run *run, struct err *e)
{
    ((float *)(uintptr_t)run->in[0])[3] += 1;
    return toy_kernel(run, e);
}

static enum code forgets_one(const struct run *run, struct err *e)
{
    float unwritten = ((float *)run->out[0])[7];
    toy_kernel(run, e);
    ((float *)run->out[0])[7] = unwritten;
    return OK;
}

static enum code adds_to_result(const struct run *run, struct err *e)
{
    (void)e;
    for (int i = 0; i < N; i++) ((float *)run->out[0])[i] += ((const float *)run->in[0])[i];
    return OK;
}

static enum code trusts_workspace(const struct run *run, struct err *e)
{
    float stale = ((float *)run->workspace)[0] * 2;
    toy_kernel(run, e);
    ((float *)run->out[0])[2] = stale;
    return OK;
}

static enum code past_workspace(const struct run *run, struct err *e)
{
    ((unsigned char *)run->workspace)[run->workspace_bytes] = 0;
    return toy_kernel(run, e);
}

static const struct {
    kernel_fn *fn;
    const char *line;
} crimes[] = {
    {past_the_end, "check: unary#1 wrote outside its buffers: after unary#1 [10]"},
    {before_the_start, "check: unary#1 wrote outside its buffers: before unary#1 [10]"},
    {past_its_input, "check: unary left element 0 of result 0 unwritten, or computed it from "
                     "memory that is not its own"},
    {writes_input, "check: unary changed its input 0"},
    {forgets_one, "check: unary left element 7 of result 0 unwritten, or computed it from memory "
                  "that is not its own"},
    {adds_to_result, "check: unary left element 0 of result 0 unwritten, or computed it from "
                     "memory that is not its own"},
    {trusts_workspace, "check: unary left element 2 of result 0 unwritten, or computed it from "
                       "memory that is not its "
                       "own"},
    {past_workspace, "check: unary#1 wrote outside its buffers: after a workspace"},
    {good, ""},
};

static kernel_fn *suspect;
static enum code suspicious(const struct run *run, struct err *e)
{
    return check_call(run->node->op == OP_unary && run->node->attr.unary.kind == UNARY_SILU
                          ? suspect
                          : toy_kernel,
                      run, e);
}

static size_t scratch(const struct graph *g, const struct node *n)
{
    (void)g;
    return n->op == OP_unary ? 40 : 0;
}

static const struct kernels watched = {
    .backend = "watched",
#define OP(name, inputs, outputs, attr) .fn[OP_##name] = suspicious,
#include "pipeline/tensor/ops.def"
#undef OP
    .workspace = scratch,
    .red_zone = CHECK_RED_ZONE,
};

/* x -> scale -> silu (the suspect) -> gelu -> add with the first, kept. */
static enum code run_suspect(kernel_fn *fn, struct err *e)
{
    static const float data[N] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    struct graph *g;
    struct exec *x;
    graph_make(&g, e);
    struct value in = graph_input(g, "x", DTYPE_F32, SHAPE(N)), a = op_scale(g, in, 1);
    struct value b = op_unary(g, op_unary(g, a, UNARY_SILU), UNARY_GELU);
    graph_keep(g, op_add(g, a, b));
    suspect = fn;
    enum code rc = exec_open(&x, g, &watched, e);
    if (rc) return rc;
    exec_bind(x, in, data);
    for (int i = 0; !rc && i < 2; i++) rc = exec_run(x, e);
    exec_close(x);
    return rc;
}

/* A kernel that remembers where its input was and writes there when it is long dead. */
static float *grave;
static enum code digs(const struct run *run, struct err *e)
{
    enum code rc = toy_kernel(run, e);
    grave[1500] = 1; /* beyond what lies there now */
    return rc;
}

static enum code remembers(const struct run *run, struct err *e)
{
    grave = (float *)(uintptr_t)run->in[0];
    return toy_kernel(run, e);
}

static void test_dead(void)
{
    static const float data[1000];
    struct graph *g;
    struct exec *x;
    struct err e = {0};
    struct kernels k = toy;
    k.red_zone = CHECK_RED_ZONE;
    k.fn[OP_unary] = remembers;
    k.fn[OP_slice] = digs;
    graph_make(&g, NULL);
    struct value in = graph_input(g, "x", DTYPE_F32, SHAPE(1000));
    struct value small = op_slice(g, op_unary(g, op_concat(g, in, in, 0), UNARY_SILU), 0, 0, 3);
    graph_keep(g, small);
    exec_open(&x, g, &k, &e);
    exec_bind(x, in, data);
    is_code(exec_run(x, &e), ERR_INTERNAL, &e, "a write into a dead buffer is found");
    ok(strstr(e.text, "after its last reader") != NULL, "and said");
    exec_close(x);
}

static void test_poison(void)
{
    unsigned char odd[16];
    float words[4];
    poison_fill(odd, 15);
    ok(poison_intact(odd, 15), "poison of an odd length is intact");
    odd[14] ^= 1;
    ok(!poison_intact(odd, 15), "until its last byte changes");
    poison_fill(words, sizeof words);
    is_int(poison_find(words, 4), 0, "poison is found");
    for (int i = 0; i < 3; i++) words[i] = NAN;
    words[3] = words[3] * -2 + 1;
    is_int(poison_find(words, 4), 3, "after arithmetic, too, and told from an honest NaN");
}

int main(void)
{
    for (size_t i = 0; i < sizeof crimes / sizeof *crimes; i++) {
        struct err e = {0};
        run_suspect(crimes[i].fn, &e);
        is_str(e.text, crimes[i].line, "found: %s",
               *crimes[i].line ? crimes[i].line : "nothing, in a good kernel");
    }
    test_dead();
    test_poison();
    return done_testing();
}
