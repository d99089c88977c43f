/* attention.c - softmax(scale q k^T) v per head, and its gradients; no [T, S] matrix ever exists.
 *
 * Forward: a task is one sample, one head, up to 768 queries. It walks the keys in blocks of 256, packs a block of K and V
 * once, and takes the queries past it in strips of 24, whose scores (24 KB) stay in L1 from one product to the other. Per
 * query it keeps the largest score m and the sum l of 2^(score - m); what was summed under an older m is scaled down
 * (Milakov and Gimelshein's running softmax). A query meets the same blocks whatever task or strip it is in, so its bytes
 * depend on nothing else. Queries are multiplied by scale log2(e) before they meet a key: then exp is a power of two, and
 * nothing is left to do to a score.
 *
 * Backward: a task is one sample and head, because dk and dv gather from all queries: blocks of 48 queries in order.
 * Whole rows of P fit (48 x S), so scores are computed once:
 *     P = softmax,  dP = dy v^T,  dS = scale P (dP - sum_s P dP)
 *     dv += P^T dy,  dk += dS^T q,  dq = dS k
 */
#include "base/parallel.h"
#include "pipeline/tensor/cpu/cpu.h"
#include "pipeline/tensor/cpu/simd.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum {
    QUERIES_MOST = 768,
    QUERIES_LEAST = 192,
    STRIP = 24,
    KEYS = 256,
    TASKS = 8,
    QUERIES_BACK = 48
};

struct attention {
    const struct run *run;
    const float *dy, *q, *k, *v;
    float *y, *dq, *dk, *dv;
    int64_t samples, tokens, keys, channels, heads, width, queries, query_tasks;
    float scale;
    int causal;
    size_t scratch;
};

/* row[0..width) of scores becomes 2^(score - m), zero from `end` on; width is a multiple of 16. Returns the sum;
 * *m goes from the largest seen before to the largest seen now. */
static float softmax_row(float *row, int64_t width, int64_t end, float *m)
{
    vec most = vec_set(*m);
    struct lanes sum = {0};
    veci lane;
    for (int i = 0; i < VECTOR; i++) lane[i] = i;
    for (int64_t s = 0; s < end; s += VECTOR) {
        vec x = vec_load(row + s);
        if (end - s < VECTOR) x = vec_select(lane < (int32_t)(end - s), x, most);
        most = vec_at_least(x, most);
    }
    *m = vec_max(most);
    vec top = vec_set(*m);
    for (int64_t s = 0; s < width; s += LANES)
        for (int i = 0; i < LANE_PARTS; i++) {
            int64_t at = s + i * VECTOR;
            vec p = vec_set(0.0f);
            if (at < end) p = vec_exp2_negative(vec_load(row + at) - top);
            if (at < end && end - at < VECTOR)
                p = vec_select(lane < (int32_t)(end - at), p, vec_set(0.0f));
            vec_store(row + at, p);
            sum.part[i] += p;
        }
    return lanes_sum(sum);
}

static void scale_row(float *row, int64_t n, float by)
{
    for (int64_t i = 0; i < n; i += VECTOR)
        vec_store_n(row + i, vec_load_n(row + i, n - i) * vec_set(by), n - i);
}

static int64_t round16(int64_t n)
{
    return (n + 15) / 16 * 16;
}

/* How many of the keys first.. a query may see, of `keys` at most. */
static int64_t visible(const struct attention *x, int64_t query, int64_t first, int64_t keys)
{
    if (!x->causal || query + 1 >= first + keys) return keys;
    return query + 1 > first ? query + 1 - first : 0;
}

/* n rows of q, scaled, one after another. */
static void scale_queries(const struct attention *x, float *to, const float *q, int64_t n)
{
    const vec by = vec_set(x->scale * 1.44269504f);
    int64_t d = x->width;
    for (int64_t i = 0; i < n; i++, to += d, q += x->channels)
        for (int64_t j = 0; j < d; j += VECTOR)
            vec_store_n(to + j, vec_load_n(q + j, d - j) * by, d - j);
}

/* A thread's scratch: packed keys and values of a block, scores and scaled queries of a strip, m and l of all queries. */
struct block {
    float *k, *v, *p, *q, *m, *l;
    int64_t at, keys; /* which keys */
};

static int64_t block_floats(const struct attention *x)
{
    return cpu_product_packed(x->width, KEYS) + cpu_product_packed(KEYS, x->width) + STRIP * KEYS +
           STRIP * x->width + 2 * x->queries;
}

static struct block block_layout(const struct attention *x, float *at)
{
    struct block b = {.k = at};
    b.v = b.k + cpu_product_packed(x->width, KEYS);
    b.p = b.v + cpu_product_packed(KEYS, x->width);
    b.q = b.p + STRIP * KEYS;
    b.m = b.q + STRIP * x->width;
    b.l = b.m + x->queries;
    return b;
}

/* The queries first .. first + n of a task against the keys of a block; i is the place of the first in m and l. */
static void attention_strip(const struct attention *x, const struct block *b, const float *q,
                            float *y, int64_t first, int64_t i, int64_t n)
{
    scale_queries(x, b->q, q, n);
    cpu_product(&(struct product){.m = n,
                                  .n = b->keys,
                                  .k = x->width,
                                  .a = b->q,
                                  .a_row = x->width,
                                  .a_step = 1,
                                  .b = b->k,
                                  .c = b->p,
                                  .c_row = KEYS});
    for (int64_t j = 0; j < n; j++) {
        float *m = b->m + i + j, *l = b->l + i + j, before = *m;
        float sum = softmax_row(b->p + j * KEYS, round16(b->keys),
                                visible(x, first + j, b->at, b->keys), m);
        if (b->at == 0) {
            *l = sum;
            continue;
        }
        float shrink = vec_exp2_negative(vec_set(before - *m))[0];
        *l = *l * shrink + sum;
        if (before != *m) scale_row(y + j * x->channels, x->width, shrink);
    }
    cpu_product(&(struct product){.m = n,
                                  .n = x->width,
                                  .k = b->keys,
                                  .a = b->p,
                                  .a_row = KEYS,
                                  .a_step = 1,
                                  .b = b->v,
                                  .c = y,
                                  .c_row = x->channels,
                                  .start = b->at ? PRODUCT_ADD : PRODUCT_SET});
}

static void attention_task(void *args, long t)
{
    const struct attention *x = args;
    int64_t task = t % x->query_tasks, head = t / x->query_tasks % x->heads,
            s = t / x->query_tasks / x->heads;
    int64_t first = task * x->queries, n = cpu_min(x->queries, x->tokens - first), d = x->width,
            C = x->channels;
    const float *q = x->q + (s * x->tokens + first) * C + head * d;
    float *y = x->y + (s * x->tokens + first) * C + head * d;
    struct block b = block_layout(x, cpu_scratch(x->run, 0, x->scratch));

    for (int64_t i = 0; i < n; i++) b.m[i] = -INFINITY, b.l[i] = 0;
    if (x->keys == 0)
        for (int64_t i = 0; i < n; i++) memset(y + i * C, 0, (size_t)d * sizeof *y);
    for (b.at = 0; b.at < x->keys; b.at += KEYS) {
        if (x->causal && b.at >= first + n) break;
        b.keys = cpu_min(KEYS, x->keys - b.at);
        int64_t from = (s * x->keys + b.at) * C + head * d;
        cpu_product_pack_transposed(b.k, x->k + from, C, d, b.keys);
        cpu_product_pack(b.v, x->v + from, C, b.keys, d);
        for (int64_t i = 0; i < n; i += STRIP)
            attention_strip(x, &b, q + i * C, y + i * C, first + i, i, cpu_min(STRIP, n - i));
    }
    if (x->keys > 0)
        for (int64_t i = 0; i < n; i++) scale_row(y + i * C, d, 1.0f / b.l[i]);
}

/* Queries of a task: as many as pay for packing, fewer while there is not work for eight threads; all tasks alike. */
static void cut_queries(struct attention *x)
{
    int64_t most = QUERIES_MOST;
    while (most > QUERIES_LEAST && x->samples * x->heads * cpu_ceil(x->tokens, most) < TASKS)
        most /= 2;
    x->query_tasks = cpu_ceil(x->tokens, most);
    if (x->query_tasks) x->queries = cpu_ceil(cpu_ceil(x->tokens, x->query_tasks), STRIP) * STRIP;
}

static struct attention attention_layout(struct shape q, struct shape k, struct attention_attr a)
{
    struct attention x = {.samples = q.dim[0],
                          .tokens = q.dim[1],
                          .channels = q.dim[2],
                          .keys = k.dim[1],
                          .heads = a.heads,
                          .width = q.dim[2] / a.heads,
                          .scale = a.scale,
                          .causal = a.causal};
    cut_queries(&x);
    return x;
}

/* Reads k and v once per task, q and y once per 256 keys. */
CPU_KERNEL(attention)
{
    (void)e;
    struct attention x =
        attention_layout(run->in_shape[0], run->in_shape[1], run->node->attr.attention);
    assert(x.width * x.heads == x.channels);
    x.run = run;
    x.q = run->in[0], x.k = run->in[1], x.v = run->in[2], x.y = run->out[0];
    x.scratch = (size_t)block_floats(&x) * sizeof(float);
    if (x.width) parallel_for((long)(x.samples * x.heads * x.query_tasks), attention_task, &x);
    return OK;
}

/* Per-thread buffers of the backward pass. Rows of P are 16 floats longer than they need: rows 4096 bytes apart would
 * share one set of L1, and dk walks down a column. */
struct back {
    float *p, *dp, *k_turned, *v_turned, *k, *q, *dy, *scaled;
    int64_t row;
};

static int64_t back_floats(const struct attention *x)
{
    return 2 * QUERIES_BACK * (round16(x->keys) + 16) + 2 * cpu_product_packed(x->width, x->keys) +
           cpu_product_packed(x->keys, x->width) + 2 * cpu_product_packed(QUERIES_BACK, x->width) +
           QUERIES_BACK * x->width;
}

static struct back back_layout(const struct attention *x, float *at)
{
    struct back b = {.row = round16(x->keys) + 16};
    const float *end = at + back_floats(x);
    b.p = at, at += QUERIES_BACK * b.row;
    b.dp = at, at += QUERIES_BACK * b.row;
    b.k_turned = at, at += cpu_product_packed(x->width, x->keys);
    b.v_turned = at, at += cpu_product_packed(x->width, x->keys);
    b.k = at, at += cpu_product_packed(x->keys, x->width);
    b.q = at, at += cpu_product_packed(QUERIES_BACK, x->width);
    b.dy = at, at += cpu_product_packed(QUERIES_BACK, x->width);
    b.scaled = at, at += QUERIES_BACK * x->width;
    assert(at == end);
    (void)end;
    return b;
}

/* P, and in dp dS, of n queries. */
static void back_rows(const struct attention *x, const struct back *b, int64_t first, int64_t n,
                      int need_ds)
{
    for (int64_t i = 0; i < n; i++) {
        float *p = b->p + i * b->row, *dp = b->dp + i * b->row, m = -INFINITY;
        int64_t width = round16(x->keys);
        float sum = softmax_row(p, width, visible(x, first + i, 0, x->keys), &m);
        scale_row(p, width, 1.0f / sum);
        if (!need_ds) continue;
        struct lanesd total = {0};
        for (int64_t s = 0; s < x->keys; s += LANES)
            total = lanes_dot(total, lanes_load_n(p + s, x->keys - s),
                              lanes_load_n(dp + s, x->keys - s));
        vec mean = vec_set((float)lanesd_sum(total)), by = vec_set(x->scale);
        for (int64_t s = 0; s < x->keys; s += VECTOR)
            vec_store_n(dp + s, vec_load(p + s) * (vec_load_n(dp + s, x->keys - s) - mean) * by,
                        x->keys - s);
    }
}

static void clear_head(float *to, int64_t rows, int64_t ld, int64_t width)
{
    for (int64_t i = 0; to && i < rows; i++) memset(to + i * ld, 0, (size_t)width * sizeof *to);
}

static void attention_dx_task(void *args, long t)
{
    const struct attention *x = args;
    int64_t head = t % x->heads, s = t / x->heads, d = x->width, C = x->channels, S = x->keys;
    int64_t queries = s * x->tokens * C + head * d, keyed = s * S * C + head * d;
    struct back b = back_layout(x, cpu_scratch(x->run, 0, x->scratch));
    const float *q = x->q + queries, *dy = x->dy + queries, *k = x->k + keyed, *v = x->v + keyed;
    float *dq = x->dq ? x->dq + queries : NULL, *dk = x->dk ? x->dk + keyed : NULL,
          *dv = x->dv ? x->dv + keyed : NULL;
    if (x->tokens == 0 || S == 0) {
        clear_head(dq, x->tokens, C, d);
        clear_head(dk, S, C, d);
        clear_head(dv, S, C, d);
        return;
    }
    cpu_product_pack_transposed(b.k_turned, k, C, d, S);
    cpu_product_pack_transposed(b.v_turned, v, C, d, S);
    int64_t d16 = round16(d);
    for (int64_t at = 0; at < S; at += KEYS)
        cpu_product_pack(b.k + at * d16, k + at * C, C, cpu_min(KEYS, S - at), d);
    for (int64_t first = 0; first < x->tokens; first += QUERIES_BACK) {
        int64_t n = cpu_min(QUERIES_BACK, x->tokens - first);
        enum product_start start = first ? PRODUCT_ADD : PRODUCT_SET;
        int need_ds = dq || dk;
        scale_queries(x, b.scaled, q + first * C, n);
        cpu_product(&(struct product){.m = n,
                                      .n = S,
                                      .k = d,
                                      .a = b.scaled,
                                      .a_row = d,
                                      .a_step = 1,
                                      .b = b.k_turned,
                                      .c = b.p,
                                      .c_row = b.row});
        if (need_ds)
            cpu_product(&(struct product){.m = n,
                                          .n = S,
                                          .k = d,
                                          .a = dy + first * C,
                                          .a_row = C,
                                          .a_step = 1,
                                          .b = b.v_turned,
                                          .c = b.dp,
                                          .c_row = b.row});
        back_rows(x, &b, first, n, need_ds);
        if (dv) {
            cpu_product_pack(b.dy, dy + first * C, C, n, d);
            cpu_product(&(struct product){.m = S,
                                          .n = d,
                                          .k = n,
                                          .a = b.p,
                                          .a_row = 1,
                                          .a_step = b.row,
                                          .b = b.dy,
                                          .c = dv,
                                          .c_row = C,
                                          .start = start});
        }
        if (dk) {
            cpu_product_pack(b.q, q + first * C, C, n, d);
            cpu_product(&(struct product){.m = S,
                                          .n = d,
                                          .k = n,
                                          .a = b.dp,
                                          .a_row = 1,
                                          .a_step = b.row,
                                          .b = b.q,
                                          .c = dk,
                                          .c_row = C,
                                          .start = start});
        }
        for (int64_t at = 0; dq && at < S; at += KEYS)
            cpu_product(&(struct product){.m = n,
                                          .n = d,
                                          .k = cpu_min(KEYS, S - at),
                                          .a = b.dp + at,
                                          .a_row = b.row,
                                          .a_step = 1,
                                          .b = b.k + at * d16,
                                          .c = dq + first * C,
                                          .c_row = C,
                                          .start = at ? PRODUCT_ADD : PRODUCT_SET});
    }
}

CPU_KERNEL(attention_dx)
{
    (void)e;
    struct attention x =
        attention_layout(run->in_shape[1], run->in_shape[2], run->node->attr.attention);
    assert(x.width * x.heads == x.channels);
    x.run = run;
    x.dy = run->in[0], x.q = run->in[1], x.k = run->in[2], x.v = run->in[3];
    x.dq = run->out[0], x.dk = run->out[1], x.dv = run->out[2];
    x.scratch = (size_t)back_floats(&x) * sizeof(float);
    if (x.width) parallel_for((long)(x.samples * x.heads), attention_dx_task, &x);
    return OK;
}

size_t cpu_attention_workspace(const struct graph *g, const struct node *node)
{
    int back = node->op == OP_attention_dx;
    struct attention x = attention_layout(graph_shape(g, node->in[back]),
                                          graph_shape(g, node->in[back + 1]), node->attr.attention);
    return cpu_scratch_bytes(0,
                             sizeof(float) * (size_t)(back ? back_floats(&x) : block_floats(&x)));
}
