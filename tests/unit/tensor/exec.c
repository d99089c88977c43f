/* exec.c - running a graph: what is refused before it starts, and what a run may not do: allocate, touch the other execs
 * of its graph, or die when memory is out. */
#include "base/arena.h"
#include "pipeline/tensor/ops.h"
#include "tests/tap.h"
#include "tests/unit/tensor/toy.h"

/* Every allocation of this program is counted, where the C library lets us stand in between. */
static long allocations;
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTED 1
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

void *malloc(size_t n)
{
    allocations++;
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    allocations++;
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    allocations++;
    return __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    allocations++;
    return __libc_memalign(align, n);
}
#else
#define COUNTED 0
#endif

static const float weight[6] = {1, 2, 3, 4, 5, 6}, pixels[6] = {1, -1, 2, -2, 3, -3},
                   others[6] = {9, 8, 7, 6, 5, 4};

/* x [2,3] -> linear -> silu -> scale -> mse, and the gradient of the weight. */
struct small {
    struct graph *g;
    struct value x, y, dw;
};

static enum code small_make(struct small *s, struct err *e)
{
    static const float ones[2] = {1, 1};
    enum code rc = graph_make(&s->g, e);
    if (rc) return rc;
    s->x = graph_input(s->g, "x", DTYPE_F32, SHAPE(2, 3));
    struct value w = graph_trained(s->g, "w", SHAPE(2, 3), weight);
    struct value h = op_linear(s->g, s->x, w, VALUE_NONE);
    for (int i = 0; i < 70; i++)
        h = op_unary(s->g, h, UNARY_SILU); /* long enough that the lists grow */
    s->y = op_reshape(s->g, op_scale(s->g, h, 2), SHAPE(4));
    graph_keep(s->g, s->y);
    struct value n = graph_param(s->g, "ones", SHAPE(2), ones);
    struct value loss = op_mse(s->g, h, op_scale(s->g, h, 0.5f), n);
    rc = graph_backward(s->g, loss, &w, 1, &s->dw, e);
    return rc ? rc : graph_finish(s->g, e);
}

static void test_refused(void)
{
    struct small s;
    struct exec *x = NULL;
    struct plan *p;
    struct err e = {0};
    small_make(&s, &e);
    struct kernels poor = toy;
    poor.fn[OP_linear_dw] = NULL;
    plan_make(&p, s.g, &poor, &e);
    is_code(exec_make(&x, s.g, p, &e), ERR_INTERNAL, &e,
            "an operator that the backend lacks is refused");
    is_str(e.text, "backend toy has no operator linear_dw", "before the first run, by name");
    plan_free(p);
    plan_make(&p, s.g, &toy, &e);
    exec_make(&x, s.g, p, &e);
    is_code(exec_run(x, &e), ERR_INTERNAL, &e, "an input that was never bound is refused");
    is_str(e.text, "input \"x\" was never bound", "by name");
    exec_free(x);
    graph_keep(s.g, op_scale(s.g, s.y, 3));
    is_code(exec_make(&x, s.g, p, &e), ERR_INTERNAL, &e,
            "a graph that grew after its plan is refused");
    plan_free(p);
    graph_free(s.g);
}

static void test_param_without_data(void)
{
    struct graph *g;
    struct plan *p;
    struct exec *x;
    struct err e = {0};
    graph_make(&g, NULL);
    graph_keep(g, op_scale(g, graph_param(g, "w", SHAPE(1000), NULL), 2));
    is_code(plan_make(&p, g, &toy, &e), OK, &e, "a graph without weights can be planned");
    is_int(plan_peak(p), 4032, "its memory is known");
    is_code(exec_make(&x, g, p, &e), ERR_INTERNAL, &e, "but not run");
    is_str(e.text, "param \"w\" has no data", "and the param is named");
    plan_free(p);
    graph_free(g);
}

static enum code failing_kernel(const struct run *run, struct err *e)
{
    return err_set(e, ERR_CORRUPT, "%s is broken", op_name(run->node->op));
}

static void test_kernel_fails(void)
{
    struct small s;
    struct exec *x;
    struct err e = {0};
    small_make(&s, &e);
    struct kernels broken = toy;
    broken.fn[OP_mse_dp] = failing_kernel;
    exec_open(&x, s.g, &broken, &e);
    exec_bind(x, s.x, pixels);
    is_code(exec_run(x, &e), ERR_CORRUPT, &e, "what a kernel says is what the run says");
    exec_close(x);
    exec_close(NULL);
    exec_free(NULL);
}

static size_t scratch = 64;
static size_t growing_scratch(const struct graph *g, const struct node *n)
{
    (void)g;
    return n->op == OP_mse_dp ? scratch : 0;
}

static void test_scratch_grows(void)
{
    struct small s;
    struct exec *x;
    struct err e = {0};
    small_make(&s, &e);
    struct kernels greedy = toy;
    greedy.workspace = growing_scratch;
    exec_open(&x, s.g, &greedy, &e);
    exec_bind(x, s.x, pixels);
    is_code(exec_run(x, &e), OK, &e, "scratch of the planned size is enough");
    scratch = 65;
    is_code(exec_run(x, &e), ERR_INTERNAL, &e, "more of it than planned is refused");
    is_str(e.text, "mse_dp needs more scratch than planned: threads were added since",
           "with the cause");
    exec_close(x);
}

static void test_two_execs(void)
{
    struct small s;
    struct plan *p;
    struct exec *a, *b;
    struct err e = {0};
    float alone[4];
    small_make(&s, &e);
    plan_make(&p, s.g, &toy, &e);
    exec_make(&a, s.g, p, &e);
    exec_make(&b, s.g, p, &e);
    exec_bind(a, s.x, pixels);
    exec_bind(b, s.x, others);
    is_code(exec_run(a, &e), OK, &e, "one exec of a graph runs");
    memcpy(alone, exec_data(a, s.y), sizeof alone);
    is_code(exec_run(b, &e), OK, &e, "another one, too");
    ok(memcmp(exec_data(b, s.y), alone, sizeof alone), "with other inputs it gives other results");
    ok(!memcmp(exec_data(a, s.y), alone, sizeof alone), "and leaves the first one's results alone");
    exec_bind(b, s.x, pixels);
    exec_run(b, &e);
    ok(!memcmp(exec_data(b, s.y), alone, sizeof alone),
       "with the same inputs it gives the same bytes");
    exec_free(a);
    exec_free(b);
    plan_free(p);
    graph_free(s.g);
}

static void test_leaves_kept(void)
{
    struct graph *g;
    struct exec *x;
    struct err e = {0};
    graph_make(&g, NULL);
    struct value in = graph_input(g, "x", DTYPE_F32, SHAPE(6)),
                 view = op_reshape(g, in, SHAPE(2, 3));
    struct value empty = op_slice(g, in, 0, 2, 0), grad;
    graph_keep(g, view);
    graph_keep(g, empty);
    graph_backward(g, view, &view, 1, &grad, &e);
    exec_open(&x, g, &toy, &e);
    exec_bind(x, in, pixels);
    is_code(exec_run(x, &e), OK, &e, "a graph of views runs");
    ok(exec_data(x, view) == pixels, "a kept view of an input is the input");
    ok(exec_data(x, grad)[5] == 1, "the gradient of a loss by itself is one");
    ok(exec_data(x, empty) != NULL, "an empty result has an address");
    exec_close(x);
}

static void test_no_allocation(void)
{
    struct small s;
    struct exec *x;
    struct err e = {0};
    small_make(&s, &e);
    exec_open(&x, s.g, &toy, &e);
    exec_bind(x, s.x, pixels);
    arena_fail_after(1);
    long before = allocations;
    enum code rc = exec_run(x, &e);
    long during = allocations - before;
    arena_fail_after(0);
    is_code(rc, OK, &e, "a run needs no memory of base");
    if (COUNTED) is_int(during, 0, "nor of the C library");
    else skip("a sanitizer owns the heap", "nor of the C library");
    exec_close(x);
}

/* The n-th allocation fails, for every n there is. */
static void test_out_of_memory(void)
{
    enum code rc = ERR_NOMEM;
    int n = 0, wrong = 0;
    for (; rc && n < 1000; n++) {
        struct small s = {0};
        struct exec *x = NULL;
        struct err e = {0};
        arena_fail_after(n + 1);
        rc = small_make(&s, &e);
        if (!rc) rc = exec_open(&x, s.g, &toy, &e);
        arena_fail_after(0);
        wrong += rc && (rc != ERR_NOMEM || e.code != ERR_NOMEM || !e.text[0]);
        if (x) exec_close(x);
        else graph_free(s.g);
    }
    is_int(wrong, 0, "each of %d allocations may fail: ERR_NOMEM, a line, no leak", n - 1);
    ok(n > 10 && n < 1000, "and without failures all is well");
}

int main(void)
{
    test_refused();
    test_param_without_data();
    test_kernel_fails();
    test_scratch_grows();
    test_two_execs();
    test_leaves_kept();
    test_no_allocation();
    test_out_of_memory();
    return done_testing();
}
