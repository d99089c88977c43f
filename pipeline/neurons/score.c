/* score.c - neurons by importance: |W| times the norm of the input channel, the largest share of each group.
 *
 * The pass is over groups of weights (rows by default). For each group the magnitudes are loaded once; then, for each
 * prompt in turn, scores are made, a threshold is found by selection, and the group's ones go where the caller wants
 * them (own masks, or a count per neuron for ANDs and votes). Groups are independent, so threads never meet, except that
 * neighbouring rows may share a mask word: work is cut so that they do not (see row_block).
 *
 * Scores are float32 products of float32 |W| and v rounded to float32; ranking ties keep the smaller index. The choice
 * of single precision is part of the definition: the same bytes on every machine.
 */
#include "pipeline/neurons/score.h"

#include "base/arena.h"
#include "base/parallel.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void score_norms(const struct score_options *o, const float *states, int T, int D, int n,
                 double *out)
{
    int first = o->tokens == SCORE_ALL ? 0 : 1;
    int end = T;
    if (o->tokens == SCORE_CONTENT) end = n - 1;
    if (o->tokens == SCORE_CONTENT_EOS) end = n;
    for (int j = 0; j < D; j++) out[j] = 0.0;
    for (int t = first; t < end; t++) {
        const float *c = states + (size_t)t * (size_t)D;
        double scale = 1.0;
        if (o->rownorm) {
            double sum = 0.0;
            for (int j = 0; j < D; j++) sum += (double)c[j] * c[j];
            scale = sum > 0.0 ? 1.0 / sum : 0.0;
        }
        for (int j = 0; j < D; j++) out[j] += scale * (double)c[j] * c[j];
    }
    for (int j = 0; j < D; j++) out[j] = sqrt(out[j]);
}

/* The k-th largest of n non-negative floats (k >= 1). Non-negative floats order as their bits do, so four rounds of
 * counting bytes from the top find it exactly in O(n), without moving anything. */
static uint32_t kth_largest(const uint32_t *bits, size_t n, size_t k)
{
    uint32_t prefix = 0, prefix_mask = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        size_t count[256] = {0};
        for (size_t i = 0; i < n; i++)
            if ((bits[i] & prefix_mask) == prefix) count[bits[i] >> shift & 255]++;
        unsigned digit = 255;
        while (count[digit] < k) k -= count[digit--];
        prefix |= (uint32_t)digit << shift;
        prefix_mask |= UINT32_C(255) << shift;
    }
    return prefix;
}

/* selected[i] = 1 for the k largest; ties at the threshold go to the smallest indices. */
static void select_top(const uint32_t *bits, size_t n, size_t k, uint8_t *selected)
{
    if (k == 0) {
        memset(selected, 0, n);
        return;
    }
    uint32_t threshold = kth_largest(bits, n, k);
    size_t above = 0;
    for (size_t i = 0; i < n; i++) above += bits[i] > threshold;
    size_t ties = k - above;
    for (size_t i = 0; i < n; i++) {
        int take = bits[i] > threshold;
        if (bits[i] == threshold && ties) {
            take = 1;
            ties--;
        }
        selected[i] = (uint8_t)take;
    }
}

/* One pass: what a group is, and who hears about its selections. */
struct pass {
    const struct kv_layout *layout;
    const float *w;
    const struct score_options *o;
    const double *norms;
    int P, D;
    const size_t *group_begin; /* [n_groups + 1] in the flat vector */
    size_t n_groups, groups_per_tile;
    struct mask *mask; /* [P], or NULL */
    uint16_t *votes;   /* [n_weights], or NULL */
    size_t widest;
    uint8_t *scratch; /* per thread: bits, magnitudes' home, selections */
    size_t scratch_bytes;
};

static void score_group(const struct pass *p, size_t begin, size_t n, int prompt, uint32_t *bits)
{
    const double *v = p->norms + (size_t)prompt * (size_t)p->D;
    size_t cols = (size_t)p->D, j = begin % cols; /* every matrix starts at a multiple of D */
    for (size_t i = 0; i < n; i++) {
        float s = fabsf(p->w[begin + i]) * (float)v[j];
        memcpy(&bits[i], &s, sizeof s);
        if (++j == cols) j = 0;
    }
}

static void pass_tile(void *arg, long tile)
{
    struct pass *p = arg;
    uint8_t *mine = p->scratch + (size_t)parallel_thread_index() * p->scratch_bytes;
    uint32_t *bits = (uint32_t *)(void *)mine;
    uint8_t *selected = mine + p->widest * sizeof(uint32_t);
    size_t g0 = (size_t)tile * p->groups_per_tile;
    size_t g1 = g0 + p->groups_per_tile < p->n_groups ? g0 + p->groups_per_tile : p->n_groups;
    for (size_t g = g0; g < g1; g++) {
        size_t begin = p->group_begin[g], n = p->group_begin[g + 1] - begin;
        size_t k = (size_t)(p->o->fraction * (double)n);
        for (int prompt = 0; prompt < p->P; prompt++) {
            score_group(p, begin, n, prompt, bits);
            select_top(bits, n, k, selected);
            if (p->mask)
                for (size_t i = 0; i < n; i++)
                    if (selected[i]) mask_set(&p->mask[prompt], begin + i);
            if (p->votes)
                for (size_t i = 0; i < n; i++)
                    p->votes[begin + i] = (uint16_t)(p->votes[begin + i] + selected[i]);
        }
    }
}

/* Groups per tile such that tiles begin at multiples of 64 neurons, so that no two threads write one mask word: 64 rows
 * always do. A matrix is a tile when all of them start at such a multiple, else everything is one tile. */
static size_t groups_in_tile(const struct pass *p, size_t n_groups)
{
    for (size_t per = p->o->group == SCORE_ROW ? 64 : 1; per < n_groups; per *= 2) {
        size_t ok = 1;
        for (size_t g = 0; g < n_groups && ok; g += per) ok = p->group_begin[g] % 64 == 0;
        if (ok) return per;
    }
    return n_groups;
}

static enum code group_starts(const struct kv_layout *l, const struct score_options *o,
                              size_t **begin, size_t *n, struct err *e)
{
    size_t count = 0;
    if (o->group == SCORE_GLOBAL) count = 1;
    else if (o->group == SCORE_MATRIX) count = (size_t)l->n;
    else
        for (int i = 0; i < l->n; i++) count += (size_t)l->matrix[i].rows;
    size_t *b = mem_alloc(count + 1, sizeof *b);
    if (!b) return err_set(e, ERR_NOMEM, "out of memory while scoring");
    size_t at = 0;
    if (o->group == SCORE_GLOBAL) b[at++] = 0;
    else
        for (int i = 0; i < l->n; i++) {
            const struct kv_matrix *m = &l->matrix[i];
            size_t rows = o->group == SCORE_ROW ? (size_t)m->rows : 1;
            for (size_t r = 0; r < rows; r++) b[at++] = m->offset + r * (size_t)m->cols;
        }
    b[at] = l->n_weights;
    *begin = b;
    *n = count;
    return OK;
}

static enum code pass_run(struct pass *p, struct err *e)
{
    size_t *begin = NULL, n = 0;
    enum code rc = group_starts(p->layout, p->o, &begin, &n, e);
    if (rc) return rc;
    p->group_begin = begin;
    p->n_groups = n;
    p->widest = 0;
    for (size_t g = 0; g < n; g++)
        if (begin[g + 1] - begin[g] > p->widest) p->widest = begin[g + 1] - begin[g];
    p->groups_per_tile = groups_in_tile(p, n);
    p->scratch_bytes = (p->widest * (sizeof(uint32_t) + 1) + 63) / 64 * 64;
    p->scratch = mem_alloc((size_t)parallel_threads(), p->scratch_bytes ? p->scratch_bytes : 64);
    if (!p->scratch) rc = err_set(e, ERR_NOMEM, "out of memory while scoring");
    else if (n)
        parallel_for((long)((n + p->groups_per_tile - 1) / p->groups_per_tile), pass_tile, p);
    free(p->scratch);
    free(begin);
    return rc;
}

enum code score_prompts(const struct kv_layout *l, const float *w, const struct score_options *o,
                        const double *norms, int P, int D, struct mask *mask, struct err *e)
{
    for (int i = 0; i < P; i++) {
        assert(mask[i].n_bits == l->n_weights);
        memset(mask[i].words, 0, mask[i].n_words * sizeof(uint64_t));
    }
    struct pass p = {.layout = l, .w = w, .o = o, .norms = norms, .P = P, .D = D, .mask = mask};
    return pass_run(&p, e);
}

static enum code count_votes(const struct kv_layout *l, const float *w,
                             const struct score_options *o, const double *norms, int P, int D,
                             uint16_t **votes, struct err *e)
{
    *votes = mem_alloc(l->n_weights ? l->n_weights : 1, sizeof **votes);
    if (!*votes) return err_set(e, ERR_NOMEM, "out of memory for the votes of %d prompts", P);
    struct pass p = {.layout = l, .w = w, .o = o, .norms = norms, .P = P, .D = D, .votes = *votes};
    return pass_run(&p, e);
}

enum code score_common(const struct kv_layout *l, const float *w, const struct score_options *o,
                       const double *norms, int P, int D, double share, struct collectives *c,
                       struct mask *out, struct err *e)
{
    /* An AND may be cut by prompt, because AND over ranks is exact; a vote needs the whole count on one rank. */
    int split = share >= 1.0, size = split ? c->size : 1, rank = split ? c->rank : 0;
    int first = (int)((long)P * rank / size), n = (int)((long)P * (rank + 1) / size) - first;
    uint16_t *votes = NULL;
    enum code rc = count_votes(l, w, o, norms + (size_t)first * (size_t)D, n, D, &votes, e);
    if (rc == OK) {
        double need = split ? n : ceil(share * P - 1e-9);
        memset(out->words, 0, out->n_words * sizeof(uint64_t));
        for (size_t i = 0; i < l->n_weights; i++)
            if ((double)votes[i] >= need) mask_set(out, i);
    }
    free(votes);
    rc = collectives_agree(c, rc, e);
    if (rc == OK && size > 1) rc = c->band(c, out->words, out->n_words, e);
    return rc;
}

enum code score_curve(const struct kv_layout *l, const float *w, const struct score_options *o,
                      const double *norms, int P, int D, double *out, struct err *e)
{
    struct mask one = {0}, all = {0};
    enum code rc = mask_init(&one, l->n_weights, e);
    if (rc == OK) rc = mask_init(&all, l->n_weights, e);
    if (rc == OK) mask_fill(&all);
    for (int i = 0; rc == OK && i < P; i++) {
        rc = score_prompts(l, w, o, norms + (size_t)i * (size_t)D, 1, D, &one, e);
        if (rc == OK) {
            size_t ones = mask_count(&one);
            mask_and(&all, &one);
            out[i] = ones ? (double)mask_count(&all) / (double)ones : 0.0;
        }
    }
    mask_fini(&one);
    mask_fini(&all);
    return rc;
}
