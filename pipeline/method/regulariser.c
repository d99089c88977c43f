/* regulariser.c - L_reg on a compact list. */
#include "pipeline/method/regulariser.h"

#include "base/arena.h"

#include <math.h>
#include <stdlib.h>

struct range {
    size_t begin, end;
};

/* Squared norms of a and b over the shared neurons of a range. */
static void squares(const struct regulariser *r, const float *w, struct range at, double *a2,
                    double *b2)
{
    *a2 = *b2 = 0.0;
    for (size_t i = at.begin; i < at.end; i++) {
        if (!r->shared[i]) continue;
        double a = (double)w[i] - r->parent[i], b = (double)w[i] - r->base[i];
        *a2 += a * a;
        *b2 += b * b;
    }
}

/* grad += ka a + kb b on the shared neurons of a range. */
static void pull(const struct regulariser *r, const float *w, struct range at, double ka, double kb,
                 float *grad)
{
    for (size_t i = at.begin; i < at.end; i++) {
        if (!r->shared[i]) continue;
        double a = (double)w[i] - r->parent[i], b = (double)w[i] - r->base[i];
        grad[i] = (float)(grad[i] + ka * a + kb * b);
    }
}

static double unsquared(const struct regulariser *r, const float *w, struct range at, float *grad)
{
    double a2, b2;
    squares(r, w, at, &a2, &b2);
    double a = sqrt(a2), b = sqrt(b2);
    pull(r, w, at, a > 0.0 ? r->lambda1 / a : 0.0, b > 0.0 ? r->lambda2 / b : 0.0, grad);
    return r->lambda1 * a + r->lambda2 * b;
}

static double squared(const struct regulariser *r, const float *w, double scale, float *grad)
{
    struct range all = {0, r->n};
    double a2, b2;
    squares(r, w, all, &a2, &b2);
    pull(r, w, all, 2.0 * scale * r->lambda1, 2.0 * scale * r->lambda2, grad);
    return scale * (r->lambda1 * a2 + r->lambda2 * b2);
}

static size_t count_shared(const struct regulariser *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) n += r->shared[i];
    return n;
}

double regulariser_add(const struct regulariser *r, const float *w, float *grad)
{
    double value = 0.0;
    size_t shared;
    switch (r->form) {
    case REG_L2:
        for (int m = 0; m < r->n_matrices; m++)
            value += unsquared(r, w, (struct range){r->begin[m], r->begin[m + 1]}, grad);
        return value;
    case REG_L2_GLOBAL: return unsquared(r, w, (struct range){0, r->n}, grad);
    case REG_L2SQ: return squared(r, w, 1.0, grad);
    case REG_MSE:
        shared = count_shared(r);
        return shared ? squared(r, w, 1.0 / (double)shared, grad) : 0.0;
    }
    return value;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double regulariser_balance(const struct regulariser *r, const float *grad)
{
    double *norm = mem_alloc((size_t)r->n_matrices + 1, sizeof *norm), median = -1.0;
    size_t n = 0;
    for (int m = 0; norm && r->lambda1 > 0.0 && m < r->n_matrices; m++) {
        double sum = 0.0;
        size_t shared = 0;
        for (size_t i = r->begin[m]; i < r->begin[m + 1]; i++) {
            if (!r->shared[i]) continue;
            sum += (double)grad[i] * grad[i];
            shared++;
        }
        if (shared) norm[n++] = sqrt(sum) / r->lambda1;
    }
    if (n) {
        qsort(norm, n, sizeof *norm, ascending);
        median = n % 2 ? norm[n / 2] : 0.5 * (norm[n / 2 - 1] + norm[n / 2]);
    }
    free(norm);
    return median;
}
