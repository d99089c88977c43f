/* reference.c - the definitions. One loop nest per operator, no cleverness; slow is fine, obscure is not. */
#include "tests/parity/support/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int64_t last(struct shape s)
{
    return s.dim[s.rank - 1];
}

static int64_t rows_of(struct shape s)
{
    int64_t n = 1;
    for (int i = 0; i + 1 < s.rank; i++) n *= s.dim[i];
    return n;
}

static void zero(const struct run64 *r, int j)
{
    memset(r->out[j], 0, (size_t)shape_count(r->out_shape[j]) * sizeof(double));
}

/* ---- linear ---- */

static void ref_linear(const struct run64 *r)
{
    int64_t M = rows_of(r->in_shape[0]), I = r->in_shape[1].dim[1], O = r->in_shape[1].dim[0];
    for (int64_t m = 0; m < M; m++)
        for (int64_t o = 0; o < O; o++) {
            double sum = r->in[2] ? r->in[2][o] : 0;
            for (int64_t i = 0; i < I; i++) sum += r->in[0][m * I + i] * r->in[1][o * I + i];
            r->out[0][m * O + o] = sum;
        }
}

static void ref_linear_dx(const struct run64 *r)
{
    int64_t M = rows_of(r->in_shape[0]), I = r->in_shape[1].dim[1], O = r->in_shape[1].dim[0];
    zero(r, 0);
    for (int64_t m = 0; m < M; m++)
        for (int64_t o = 0; o < O; o++)
            for (int64_t i = 0; i < I; i++)
                r->out[0][m * I + i] += r->in[0][m * O + o] * r->in[1][o * I + i];
}

static void ref_linear_dw(const struct run64 *r)
{
    int64_t M = rows_of(r->in_shape[0]), O = last(r->in_shape[0]), I = last(r->in_shape[1]);
    zero(r, 0);
    for (int64_t m = 0; m < M; m++)
        for (int64_t o = 0; o < O; o++)
            for (int64_t i = 0; i < I; i++)
                r->out[0][o * I + i] += r->in[0][m * O + o] * r->in[1][m * I + i];
}

static void ref_linear_indexed(const struct run64 *r)
{
    struct shape x = r->in_shape[0], w = r->in_shape[1];
    int64_t T = x.dim[1], I = x.dim[2], O = w.dim[1];
    for (int64_t n = 0; n < x.dim[0]; n++)
        for (int64_t t = 0; t < T; t++)
            for (int64_t o = 0; o < O; o++) {
                double sum = 0;
                for (int64_t i = 0; i < I; i++)
                    sum +=
                        r->in[0][(n * T + t) * I + i] * r->in[1][(r->index[2][n] * O + o) * I + i];
                r->out[0][(n * T + t) * O + o] = sum;
            }
}

static void ref_linear_indexed_dx(const struct run64 *r)
{
    struct shape dy = r->in_shape[0], w = r->in_shape[1];
    int64_t T = dy.dim[1], O = dy.dim[2], I = w.dim[2];
    zero(r, 0);
    for (int64_t n = 0; n < dy.dim[0]; n++)
        for (int64_t t = 0; t < T; t++)
            for (int64_t o = 0; o < O; o++)
                for (int64_t i = 0; i < I; i++)
                    r->out[0][(n * T + t) * I + i] +=
                        r->in[0][(n * T + t) * O + o] * r->in[1][(r->index[2][n] * O + o) * I + i];
}

static void ref_linear_indexed_dw(const struct run64 *r)
{
    struct shape dy = r->in_shape[0];
    int64_t T = dy.dim[1], O = dy.dim[2], I = last(r->in_shape[1]);
    zero(r, 0);
    for (int64_t n = 0; n < dy.dim[0]; n++)
        for (int64_t t = 0; t < T; t++)
            for (int64_t o = 0; o < O; o++)
                for (int64_t i = 0; i < I; i++)
                    r->out[0][(r->index[2][n] * O + o) * I + i] +=
                        r->in[0][(n * T + t) * O + o] * r->in[1][(n * T + t) * I + i];
}

/* ---- convolution ---- */

/* Calls at(args, pixel of y, pixel of x, tap) for every triple that a convolution multiplies. */
struct conv_walk {
    struct shape x, w, y;
    struct conv_attr attr;
};

static void conv_walk(const struct conv_walk *c, const struct run64 *r,
                      void (*at)(const struct run64 *, int64_t, int64_t, int64_t))
{
    for (int64_t n = 0; n < c->y.dim[0]; n++)
        for (int64_t oy = 0; oy < c->y.dim[1]; oy++)
            for (int64_t ox = 0; ox < c->y.dim[2]; ox++)
                for (int64_t ky = 0; ky < c->w.dim[0]; ky++)
                    for (int64_t kx = 0; kx < c->w.dim[1]; kx++) {
                        int64_t iy = oy * c->attr.stride + ky - c->attr.pad[0];
                        int64_t ix = ox * c->attr.stride + kx - c->attr.pad[1];
                        if (iy < 0 || iy >= c->x.dim[1] || ix < 0 || ix >= c->x.dim[2]) continue;
                        at(r, (n * c->y.dim[1] + oy) * c->y.dim[2] + ox,
                           (n * c->x.dim[1] + iy) * c->x.dim[2] + ix, ky * c->w.dim[1] + kx);
                    }
}

static void conv_at(const struct run64 *r, int64_t y, int64_t x, int64_t tap)
{
    int64_t I = r->in_shape[1].dim[2], O = r->in_shape[1].dim[3];
    for (int64_t i = 0; i < I; i++)
        for (int64_t o = 0; o < O; o++)
            r->out[0][y * O + o] += r->in[0][x * I + i] * r->in[1][(tap * I + i) * O + o];
}

static void ref_conv(const struct run64 *r)
{
    int64_t O = r->in_shape[1].dim[3];
    for (int64_t i = 0; i < shape_count(r->out_shape[0]); i++)
        r->out[0][i] = r->in[2] ? r->in[2][i % O] : 0;
    struct conv_walk c = {r->in_shape[0], r->in_shape[1], r->out_shape[0], r->attr.conv};
    conv_walk(&c, r, conv_at);
}

static void conv_dx_at(const struct run64 *r, int64_t y, int64_t x, int64_t tap)
{
    int64_t I = r->in_shape[1].dim[2], O = r->in_shape[1].dim[3];
    for (int64_t i = 0; i < I; i++)
        for (int64_t o = 0; o < O; o++)
            r->out[0][x * I + i] += r->in[0][y * O + o] * r->in[1][(tap * I + i) * O + o];
}

static void ref_conv_dx(const struct run64 *r)
{
    zero(r, 0);
    struct conv_walk c = {r->out_shape[0], r->in_shape[1], r->in_shape[0], r->attr.conv_dx.conv};
    conv_walk(&c, r, conv_dx_at);
}

/* ---- activations ---- */

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double normal_cdf(double x)
{
    return 0.5 * erfc(-x / sqrt(2));
}

static double gelu(double x)
{
    return x * normal_cdf(x);
}

static double gelu_slope(double x)
{
    return normal_cdf(x) + x * exp(-x * x / 2) / sqrt(2 * acos(-1));
}

static double silu_slope(double x)
{
    return sigmoid(x) * (1 + x * (1 - sigmoid(x)));
}

static double unary(struct unary_attr a, double x)
{
    switch (a.kind) {
    case UNARY_SILU: return x * sigmoid(x);
    case UNARY_GELU: return gelu(x);
    case UNARY_QUICK_GELU: return x * sigmoid(1.702 * x);
    case UNARY_SCALE: return x * (double)a.scale;
    }
    abort();
}

static double unary_slope(struct unary_attr a, double x)
{
    switch (a.kind) {
    case UNARY_SILU: return silu_slope(x);
    case UNARY_GELU: return gelu_slope(x);
    case UNARY_QUICK_GELU: return sigmoid(1.702 * x) * (1 + 1.702 * x * (1 - sigmoid(1.702 * x)));
    case UNARY_SCALE: return (double)a.scale;
    }
    abort();
}

static void ref_unary(const struct run64 *r)
{
    for (int64_t i = 0; i < shape_count(r->out_shape[0]); i++)
        r->out[0][i] = unary(r->attr.unary, r->in[0][i]);
}

static void ref_unary_dx(const struct run64 *r)
{
    for (int64_t i = 0; i < shape_count(r->out_shape[0]); i++)
        r->out[0][i] = r->in[0][i] * unary_slope(r->attr.unary, r->in[1][i]);
}

static void ref_geglu(const struct run64 *r)
{
    int64_t C = last(r->out_shape[0]);
    for (int64_t i = 0; i < shape_count(r->out_shape[0]); i++) {
        const double *u = r->in[0] + i / C * 2 * C + i % C;
        r->out[0][i] = u[0] * gelu(u[C]);
    }
}

static void ref_geglu_dx(const struct run64 *r)
{
    int64_t C = last(r->in_shape[0]);
    for (int64_t i = 0; i < shape_count(r->in_shape[0]); i++) {
        int64_t at = i / C * 2 * C + i % C;
        r->out[0][at] = r->in[0][i] * gelu(r->in[1][at + C]);
        r->out[0][at + C] = r->in[0][i] * r->in[1][at] * gelu_slope(r->in[1][at + C]);
    }
}

/* ---- norms: a set of elements that share mean and variance is (first, count, width, pitch) ---- */

struct group {
    int64_t first, rows, width, pitch; /* element (p, c) is first + p * pitch + c */
    int64_t channel;                   /* of its first column */
};

static void group_moments(const double *x, struct group g, double eps, double *mean, double *rstd)
{
    double n = (double)(g.rows * g.width), variance = 0;
    *mean = 0;
    for (int64_t p = 0; p < g.rows; p++)
        for (int64_t c = 0; c < g.width; c++) *mean += x[g.first + p * g.pitch + c] / n;
    for (int64_t p = 0; p < g.rows; p++)
        for (int64_t c = 0; c < g.width; c++) {
            double d = x[g.first + p * g.pitch + c] - *mean;
            variance += d * d / n;
        }
    *rstd = 1 / sqrt(variance + eps);
}

static void group_forward(const struct run64 *r, struct group g)
{
    double mean, rstd;
    struct unary_attr silu = {.kind = UNARY_SILU};
    group_moments(r->in[0], g, (double)r->attr.norm.eps, &mean, &rstd);
    for (int64_t p = 0; p < g.rows; p++)
        for (int64_t c = 0; c < g.width; c++) {
            int64_t at = g.first + p * g.pitch + c;
            double z =
                (r->in[0][at] - mean) * rstd * r->in[1][g.channel + c] + r->in[2][g.channel + c];
            r->out[0][at] = r->attr.norm.silu ? unary(silu, z) : z;
        }
}

static void group_backward(const struct run64 *r, struct group g)
{
    const double *dy = r->in[0], *x = r->in[1], *gamma = r->in[2], *beta = r->in[3];
    double mean, rstd, m1 = 0, m2 = 0, n = (double)(g.rows * g.width);
    group_moments(x, g, (double)r->attr.norm.eps, &mean, &rstd);
    for (int pass = 0; pass < 2; pass++)
        for (int64_t p = 0; p < g.rows; p++)
            for (int64_t c = 0; c < g.width; c++) {
                int64_t at = g.first + p * g.pitch + c, ch = g.channel + c;
                double xhat = (x[at] - mean) * rstd, z = xhat * gamma[ch] + beta[ch];
                double d = dy[at] * gamma[ch] * (r->attr.norm.silu ? silu_slope(z) : 1);
                if (pass == 0) m1 += d / n, m2 += d * xhat / n;
                else r->out[0][at] = rstd * (d - m1 - xhat * m2);
            }
}

static void each_group(const struct run64 *r, struct shape x, int groups,
                       void (*fn)(const struct run64 *, struct group))
{
    int64_t C = last(x), pixels = x.dim[0] ? rows_of(x) / x.dim[0] : 0, width = C / groups;
    for (int64_t n = 0; n < x.dim[0]; n++)
        for (int64_t g = 0; g < groups; g++)
            fn(r, (struct group){n * pixels * C + g * width, pixels, width, C, g * width});
}

static void each_row(const struct run64 *r, struct shape x,
                     void (*fn)(const struct run64 *, struct group))
{
    for (int64_t m = 0; m < rows_of(x); m++)
        fn(r, (struct group){m * last(x), 1, last(x), last(x), 0});
}

static void ref_group_norm(const struct run64 *r)
{
    each_group(r, r->in_shape[0], r->attr.norm.groups, group_forward);
}

static void ref_group_norm_dx(const struct run64 *r)
{
    each_group(r, r->in_shape[1], r->attr.norm.groups, group_backward);
}

static void ref_layer_norm(const struct run64 *r)
{
    each_row(r, r->in_shape[0], group_forward);
}

static void ref_layer_norm_dx(const struct run64 *r)
{
    each_row(r, r->in_shape[1], group_backward);
}

/* ---- attention ---- */

/* Row t of P for sample n, head h, into p[S]. */
static void probabilities(const struct run64 *r, const double *q, const double *k, int64_t S,
                          int64_t C, int64_t t, double *p)
{
    struct attention_attr a = r->attr.attention;
    double most = -INFINITY, sum = 0;
    for (int64_t s = 0; s < S; s++) {
        p[s] = -INFINITY;
        if (a.causal && s > t) continue;
        p[s] = 0;
        for (int64_t d = 0; d < C / a.heads; d++)
            p[s] += (double)a.scale * q[t * C + d] * k[s * C + d];
        if (p[s] > most) most = p[s];
    }
    for (int64_t s = 0; s < S; s++) sum += p[s] = exp(p[s] - most);
    for (int64_t s = 0; s < S; s++) p[s] /= sum;
}

static void ref_attention(const struct run64 *r)
{
    struct shape q = r->in_shape[0];
    int64_t T = q.dim[1], S = r->in_shape[1].dim[1], C = q.dim[2], D = C / r->attr.attention.heads;
    double *p = malloc((size_t)(S + 1) * sizeof *p);
    zero(r, 0);
    for (int64_t n = 0; n < q.dim[0]; n++)
        for (int64_t h = 0; h < C; h += D)
            for (int64_t t = 0; t < T; t++) {
                const double *k = r->in[1] + n * S * C + h, *v = r->in[2] + n * S * C + h;
                probabilities(r, r->in[0] + n * T * C + h, k, S, C, t, p);
                for (int64_t s = 0; s < S; s++)
                    for (int64_t d = 0; d < D; d++)
                        r->out[0][(n * T + t) * C + h + d] += p[s] * v[s * C + d];
            }
    free(p);
}

static void attention_dx_row(const struct run64 *r, int64_t query, int64_t key, int64_t t,
                             int64_t S, int64_t C, double *p)
{
    const double *dy = r->in[0] + query + t * C, *q = r->in[1] + query + t * C;
    const double *k = r->in[2] + key, *v = r->in[3] + key;
    int64_t D = C / r->attr.attention.heads;
    double mean = 0;
    probabilities(r, r->in[1] + query, k, S, C, t, p);
    for (int64_t s = 0; s < S; s++)
        for (int64_t d = 0; d < D; d++) mean += p[s] * dy[d] * v[s * C + d];
    for (int64_t s = 0; s < S; s++) {
        double dp = 0;
        for (int64_t d = 0; d < D; d++) dp += dy[d] * v[s * C + d];
        double ds = (double)r->attr.attention.scale * p[s] * (dp - mean);
        for (int64_t d = 0; d < D; d++) {
            if (r->out[0]) r->out[0][query + t * C + d] += ds * k[s * C + d];
            if (r->out[1]) r->out[1][key + s * C + d] += ds * q[d];
            if (r->out[2]) r->out[2][key + s * C + d] += p[s] * dy[d];
        }
    }
}

static void ref_attention_dx(const struct run64 *r)
{
    struct shape q = r->in_shape[1];
    int64_t T = q.dim[1], S = r->in_shape[2].dim[1], C = q.dim[2], D = C / r->attr.attention.heads;
    double *p = malloc((size_t)(S + 1) * sizeof *p);
    for (int j = 0; j < 3; j++)
        if (r->out[j]) zero(r, j);
    for (int64_t n = 0; n < q.dim[0]; n++)
        for (int64_t h = 0; h < C; h += D)
            for (int64_t t = 0; t < T; t++)
                attention_dx_row(r, n * T * C + h, n * S * C + h, t, S, C, p);
    free(p);
}

/* ---- moving numbers: all by walking the larger tensor, index by index ---- */

/* Coordinates of element i. */
static void coordinates(struct shape s, int64_t i, int64_t at[SHAPE_RANK])
{
    for (int d = s.rank - 1; d >= 0; d--) {
        at[d] = i % s.dim[d];
        i /= s.dim[d];
    }
}

/* The element at `at`, dimensions of size 1 counting as everywhere. */
static int64_t element(struct shape s, const int64_t at[SHAPE_RANK])
{
    int64_t i = 0;
    for (int d = 0; d < s.rank; d++) i = i * s.dim[d] + (s.dim[d] == 1 ? 0 : at[d]);
    return i;
}

static void ref_add(const struct run64 *r)
{
    int64_t at[SHAPE_RANK];
    for (int64_t i = 0; i < shape_count(r->out_shape[0]); i++) {
        coordinates(r->out_shape[0], i, at);
        r->out[0][i] = r->in[0][i] + r->in[1][element(r->in_shape[1], at)];
    }
}

static void ref_reduce(const struct run64 *r)
{
    int64_t at[SHAPE_RANK];
    zero(r, 0);
    for (int64_t i = 0; i < shape_count(r->in_shape[0]); i++) {
        coordinates(r->in_shape[0], i, at);
        r->out[0][element(r->out_shape[0], at)] += r->in[0][i];
    }
}

static void ref_concat(const struct run64 *r)
{
    int64_t at[SHAPE_RANK], axis = r->attr.axis.axis, first = r->in_shape[0].dim[axis];
    for (int64_t i = 0; i < shape_count(r->out_shape[0]); i++) {
        coordinates(r->out_shape[0], i, at);
        int from = at[axis] >= first;
        if (from) at[axis] -= first;
        r->out[0][i] = r->in[from][element(r->in_shape[from], at)];
    }
}

static void ref_slice(const struct run64 *r)
{
    int64_t at[SHAPE_RANK];
    for (int64_t i = 0; i < shape_count(r->out_shape[0]); i++) {
        coordinates(r->out_shape[0], i, at);
        at[r->attr.slice.axis] += r->attr.slice.begin;
        r->out[0][i] = r->in[0][element(r->in_shape[0], at)];
    }
}

static void ref_place(const struct run64 *r)
{
    int64_t at[SHAPE_RANK];
    zero(r, 0);
    for (int64_t i = 0; i < shape_count(r->in_shape[0]); i++) {
        coordinates(r->in_shape[0], i, at);
        at[r->attr.slice.axis] += r->attr.slice.begin;
        r->out[0][element(r->out_shape[0], at)] = r->in[0][i];
    }
}

static int64_t small_pixel(struct shape small, struct shape big, int64_t i, int64_t at[SHAPE_RANK])
{
    coordinates(big, i, at);
    for (int d = 1; d < 3; d++) at[d] = at[d] * small.dim[d] / big.dim[d];
    return element(small, at);
}

static void ref_upsample(const struct run64 *r)
{
    int64_t at[SHAPE_RANK];
    for (int64_t i = 0; i < shape_count(r->out_shape[0]); i++)
        r->out[0][i] = r->in[0][small_pixel(r->in_shape[0], r->out_shape[0], i, at)];
}

static void ref_upsample_dx(const struct run64 *r)
{
    int64_t at[SHAPE_RANK];
    zero(r, 0);
    for (int64_t i = 0; i < shape_count(r->in_shape[0]); i++)
        r->out[0][small_pixel(r->out_shape[0], r->in_shape[0], i, at)] += r->in[0][i];
}

static void ref_repeat(const struct run64 *r)
{
    int64_t n = shape_count(r->in_shape[0]);
    for (int64_t i = 0; i < shape_count(r->out_shape[0]); i++) r->out[0][i] = r->in[0][i % n];
}

static void ref_copy(const struct run64 *r)
{
    for (int64_t i = 0; i < shape_count(r->out_shape[0]); i++) r->out[0][i] = r->in[0][i];
}

static void ref_detach_first_dx(const struct run64 *r)
{
    struct shape x = r->in_shape[0];
    for (int64_t i = 0; i < shape_count(x); i++)
        r->out[0][i] = i / x.dim[2] % x.dim[1] == 0 ? 0 : r->in[0][i];
}

static void ref_embed(const struct run64 *r)
{
    int64_t V = r->in_shape[1].dim[0], D = r->in_shape[1].dim[1];
    for (int64_t i = 0; i < shape_count(r->out_shape[0]); i++) {
        int64_t id = r->index[0][i / D];
        r->out[0][i] = id < V ? r->in[1][id * D + i % D] : r->in[2][(id - V) * D + i % D];
    }
}

static void ref_embed_dextra(const struct run64 *r)
{
    int64_t D = last(r->in_shape[0]);
    zero(r, 0);
    for (int64_t i = 0; i < shape_count(r->in_shape[0]); i++) {
        int64_t row = r->index[1][i / D] - r->attr.rows.first;
        if (row >= 0) r->out[0][row * D + i % D] += r->in[0][i];
    }
}

static void ref_pick(const struct run64 *r)
{
    int64_t T = r->in_shape[0].dim[1], D = last(r->in_shape[0]);
    for (int64_t i = 0; i < shape_count(r->out_shape[0]); i++)
        r->out[0][i] = r->in[0][(i / D * T + r->index[1][i / D]) * D + i % D];
}

static void ref_pick_dx(const struct run64 *r)
{
    int64_t T = r->out_shape[0].dim[1], D = last(r->in_shape[0]);
    zero(r, 0);
    for (int64_t i = 0; i < shape_count(r->in_shape[0]); i++)
        r->out[0][(i / D * T + r->index[1][i / D]) * D + i % D] = r->in[0][i];
}

/* ---- loss ---- */

static void ref_mse(const struct run64 *r)
{
    int64_t N = r->out_shape[0].dim[0], count = N ? shape_count(r->in_shape[0]) / N : 0;
    zero(r, 0);
    for (int64_t i = 0; i < N * count; i++) {
        double d = r->in[0][i] - r->in[1][i];
        r->out[0][i / count] += r->in[2][i / count] * d * d / (double)count;
    }
}

static void ref_mse_dp(const struct run64 *r)
{
    int64_t N = r->in_shape[0].dim[0], count = N ? shape_count(r->in_shape[1]) / N : 0;
    for (int64_t i = 0; i < N * count; i++)
        r->out[0][i] = r->in[0][i / count] * r->in[3][i / count] * 2 * (r->in[1][i] - r->in[2][i]) /
                       (double)count;
}

void reference(const struct run64 *r)
{
    static void (*const table[OP_COUNT])(const struct run64 *) = {
        [OP_linear] = ref_linear,
        [OP_linear_indexed] = ref_linear_indexed,
        [OP_conv] = ref_conv,
        [OP_group_norm] = ref_group_norm,
        [OP_layer_norm] = ref_layer_norm,
        [OP_unary] = ref_unary,
        [OP_add] = ref_add,
        [OP_geglu] = ref_geglu,
        [OP_attention] = ref_attention,
        [OP_concat] = ref_concat,
        [OP_slice] = ref_slice,
        [OP_upsample] = ref_upsample,
        [OP_repeat] = ref_repeat,
        [OP_reshape] = ref_copy,
        [OP_embed] = ref_embed,
        [OP_pick] = ref_pick,
        [OP_detach_first] = ref_copy,
        [OP_mse] = ref_mse,
        [OP_linear_dx] = ref_linear_dx,
        [OP_linear_dw] = ref_linear_dw,
        [OP_linear_indexed_dx] = ref_linear_indexed_dx,
        [OP_linear_indexed_dw] = ref_linear_indexed_dw,
        [OP_conv_dx] = ref_conv_dx,
        [OP_group_norm_dx] = ref_group_norm_dx,
        [OP_layer_norm_dx] = ref_layer_norm_dx,
        [OP_unary_dx] = ref_unary_dx,
        [OP_reduce] = ref_reduce,
        [OP_geglu_dx] = ref_geglu_dx,
        [OP_attention_dx] = ref_attention_dx,
        [OP_place] = ref_place,
        [OP_upsample_dx] = ref_upsample_dx,
        [OP_embed_dextra] = ref_embed_dextra,
        [OP_pick_dx] = ref_pick_dx,
        [OP_detach_first_dx] = ref_detach_first_dx,
        [OP_mse_dp] = ref_mse_dp,
    };
    if (!table[r->op]) abort();
    table[r->op](r);
}

int reference_primal(const struct run64 *back, struct primal *p)
{
    enum { FREE = PRIMAL_FREE, ABSENT = PRIMAL_ABSENT };
    const struct shape *in = back->in_shape, out = back->out_shape[0];
    *p = (struct primal){.attr = back->attr, .from = {ABSENT, ABSENT, ABSENT, ABSENT}};
#define PRIMAL(op_, a, b, c)                                          \
    p->op = OP_##op_, p->from[0] = a, p->from[1] = b, p->from[2] = c; \
    break
    switch (back->op) {
    case OP_linear_dx: p->free[0] = out; PRIMAL(linear, FREE, 1, ABSENT);
    case OP_linear_dw:
        p->free[1] = out;
        p->wrt[0] = 1;
        PRIMAL(linear, 1, FREE, ABSENT);
    case OP_linear_indexed_dx: p->free[0] = out; PRIMAL(linear_indexed, FREE, 1, 2);
    case OP_linear_indexed_dw:
        p->free[1] = out;
        p->wrt[0] = 1;
        PRIMAL(linear_indexed, 1, FREE, 2);
    case OP_conv_dx:
        p->free[0] = out;
        p->attr.conv = back->attr.conv_dx.conv;
        PRIMAL(conv, FREE, 1, ABSENT);
    case OP_group_norm_dx: PRIMAL(group_norm, 1, 2, 3);
    case OP_layer_norm_dx: PRIMAL(layer_norm, 1, 2, 3);
    case OP_unary_dx: PRIMAL(unary, 1, ABSENT, ABSENT);
    case OP_geglu_dx: PRIMAL(geglu, 1, ABSENT, ABSENT);
    case OP_reduce:
        p->free[0] = in[0];
        p->free[1] = out;
        p->wrt[0] = 1;
        PRIMAL(add, FREE, FREE, ABSENT);
    case OP_attention_dx:
        p->wrt[1] = 1;
        p->wrt[2] = 2;
        PRIMAL(attention, 1, 2, 3);
    case OP_place:
        p->free[0] = out;
        p->attr.slice.size = in[0].dim[back->attr.slice.axis];
        PRIMAL(slice, FREE, ABSENT, ABSENT);
    case OP_upsample_dx:
        p->free[0] = out;
        p->attr.size = (struct size_attr){in[0].dim[1], in[0].dim[2]};
        PRIMAL(upsample, FREE, ABSENT, ABSENT);
    case OP_embed_dextra:
        p->free[1] = SHAPE(back->attr.rows.first, out.dim[1]);
        p->free[2] = out;
        p->wrt[0] = 2;
        PRIMAL(embed, 1, FREE, FREE);
    case OP_pick_dx: p->free[0] = out; PRIMAL(pick, FREE, 1, ABSENT);
    case OP_mse_dp: PRIMAL(mse, 1, 2, 3);
    default: return 0;
    }
#undef PRIMAL
    return 1;
}
