/* Scores and masks: two rows done by hand, then everything against a slow reference that sorts. */
#include "pipeline/neurons/score.h"

#include "base/arena.h"
#include "base/parallel.h"
#include "base/philox.h"
#include "tests/tap.h"

/* ---- a layout of our own ---------------------------------------------------------------------------------------- */

enum { MATRICES = 4 };
struct world {
    struct kv_layout layout;
    struct kv_matrix matrix[MATRICES];
    float *w;
    double *norms; /* [P][D] */
    int D, P;
};

static void world_make(struct world *v, const int rows[MATRICES], int D, int P, uint64_t seed)
{
    *v = (struct world){.D = D, .P = P};
    size_t n = 0;
    for (int i = 0; i < MATRICES && rows[i]; i++) {
        v->matrix[i] = (struct kv_matrix){
            .layer = i / 2, .is_v = i % 2, .rows = rows[i], .cols = D, .offset = n};
        n += (size_t)rows[i] * (size_t)D;
        v->layout.n = i + 1;
    }
    v->layout.matrix = v->matrix;
    v->layout.n_weights = n;
    v->w = malloc(n * sizeof *v->w);
    v->norms = malloc((size_t)P * (size_t)D * sizeof *v->norms);
    float *noise = malloc((size_t)P * (size_t)D * sizeof *noise);
    philox_normal(philox_key(seed, PHILOX_TEST), 1, 0, v->w, n);
    philox_normal(philox_key(seed, PHILOX_TEST), 2, 0, noise, (size_t)P * (size_t)D);
    for (size_t i = 0; i < (size_t)P * (size_t)D; i++) v->norms[i] = exp(0.3 * (double)noise[i]);
    free(noise);
}

static void world_free(struct world *v)
{
    free(v->w);
    free(v->norms);
}

/* ---- the reference: sort a group by (score falling, index rising), take the first k ------------------------------ */

struct ranked {
    float score;
    size_t at;
};

static int best_first(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return (x->at > y->at) - (x->at < y->at);
}

static void reference_group(const struct world *v, double fraction, int prompt, size_t begin,
                            size_t n, uint8_t *out)
{
    struct ranked *r = malloc(n * sizeof *r);
    for (size_t i = 0; i < n; i++) {
        double norm = v->norms[(size_t)prompt * (size_t)v->D + (begin + i) % (size_t)v->D];
        r[i] = (struct ranked){fabsf(v->w[begin + i]) * (float)norm, begin + i};
    }
    qsort(r, n, sizeof *r, best_first);
    size_t k = (size_t)floor(fraction * (double)n);
    for (size_t i = 0; i < k; i++) out[r[i].at] = 1;
    free(r);
}

static void reference(const struct world *v, const struct score_options *o, int prompt,
                      uint8_t *out)
{
    memset(out, 0, v->layout.n_weights);
    if (o->group == SCORE_GLOBAL)
        reference_group(v, o->fraction, prompt, 0, v->layout.n_weights, out);
    for (int m = 0; m < v->layout.n; m++) {
        const struct kv_matrix *k = &v->matrix[m];
        size_t cols = (size_t)k->cols, rows = (size_t)k->rows;
        if (o->group == SCORE_MATRIX)
            reference_group(v, o->fraction, prompt, k->offset, rows * cols, out);
        if (o->group == SCORE_ROW)
            for (size_t r = 0; r < rows; r++)
                reference_group(v, o->fraction, prompt, k->offset + r * cols, cols, out);
    }
}

static size_t differ(const struct mask *m, const uint8_t *want)
{
    size_t wrong = 0;
    for (size_t i = 0; i < m->n_bits; i++) wrong += mask_get(m, i) != want[i];
    if (m->n_bits % 64) wrong += m->words[m->n_words - 1] >> (m->n_bits % 64) != 0;
    return wrong;
}

static void masks_begin(struct mask *m, int n, size_t bits)
{
    for (int i = 0; i < n; i++)
        if (mask_init(&m[i], bits, NULL)) exit(99);
}

static void masks_end(struct mask *m, int n)
{
    for (int i = 0; i < n; i++) mask_fini(&m[i]);
}

enum { PROMPTS = 5 };

/* Weights to multiples of a grain and norms to 1 or 2: many scores tie, some at the threshold, in small crowds and large. */
static void make_grainy(struct world *v, double grain)
{
    for (size_t i = 0; i < v->layout.n_weights; i++)
        v->w[i] = (float)(round((double)v->w[i] / grain) * grain);
    for (size_t i = 0; i < (size_t)v->P * (size_t)v->D; i++)
        v->norms[i] = v->norms[i] > 1.2 ? 2.0 : 1.0;
}

/* Own masks of every prompt, the AND and a vote, all against the reference. */
static void agrees(const int rows[MATRICES], int D, enum score_group group, double fraction,
                   double grain, uint64_t seed)
{
    static const char *const NAME[] = {"row", "matrix", "global"};
    struct score_options o = {.fraction = fraction, .group = group};
    struct collectives one = collectives_single();
    struct world v;
    struct mask m[PROMPTS], common;
    struct err e;
    world_make(&v, rows, D, PROMPTS, seed);
    if (grain > 0) make_grainy(&v, grain);
    size_t n = v.layout.n_weights, wrong = 0, and_wrong = 0, vote_wrong = 0;
    uint8_t *want = malloc(n), *votes = calloc(n, 1);
    masks_begin(m, PROMPTS, n);
    masks_begin(&common, 1, n);
    enum code rc = score_prompts(&v.layout, v.w, &o, v.norms, PROMPTS, D, m, &e);
    for (int p = 0; !rc && p < PROMPTS; p++) {
        reference(&v, &o, p, want);
        wrong += differ(&m[p], want);
        for (size_t i = 0; i < n; i++) votes[i] = (uint8_t)(votes[i] + want[i]);
    }
    if (!rc) rc = score_common(&v.layout, v.w, &o, v.norms, PROMPTS, D, 1.0, &one, &common, &e);
    for (size_t i = 0; i < n; i++) want[i] = votes[i] == PROMPTS;
    and_wrong = differ(&common, want);
    if (!rc) rc = score_common(&v.layout, v.w, &o, v.norms, PROMPTS, D, 0.6, &one, &common, &e);
    for (size_t i = 0; i < n; i++) want[i] = votes[i] >= 3;
    vote_wrong = differ(&common, want);
    is_code(rc, OK, &e, "%d columns, top of each %s: scored", D, NAME[group]);
    is_int(wrong, 0, "%d columns, %s, share %g: every prompt is the reference's", D, NAME[group],
           fraction);
    is_int(and_wrong, 0, "%d columns, %s, share %g: the AND too", D, NAME[group], fraction);
    is_int(vote_wrong, 0, "%d columns, %s, share %g: three of five votes too", D, NAME[group],
           fraction);
    masks_end(m, PROMPTS);
    masks_end(&common, 1);
    free(want);
    free(votes);
    world_free(&v);
}

/* ---- by hand ------------------------------------------------------------------------------------------------------ */

/* W and two prompts. Scores |W| v, top floor(0.3 * 8) = 2 of each row (fractions: 0.375 gives 3):
 *     row 0   W   1 -2  3 -4  5 -6  7 -8      v1 = 8 7 6 5 4 3 2 1    S1 = 8 14 18 20 20 18 14 8
 *                                             v2 = 1 1 1 1 1 1 1 1    S2 = 1  2  3  4  5  6  7 8
 *     row 1   W   1  1  1  1  1  1  1  1                              S1 = 8  7  6  5  4  3  2 1    S2: eight ties
 * top 3: row 0: p1 {3,4 tie at 20, then 2 before 5} = {2,3,4}, p2 {5,6,7}; row 1: p1 {0,1,2}, p2 ties {0,1,2}. */
static void toy(void)
{
    float w[16] = {1, -2, 3, -4, 5, -6, 7, -8, 1, 1, 1, 1, 1, 1, 1, 1};
    double norms[16] = {8, 7, 6, 5, 4, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    struct kv_matrix one = {.rows = 2, .cols = 8};
    struct kv_layout l = {&one, 1, 16};
    struct score_options o = {.fraction = 0.375};
    struct collectives c = collectives_single();
    struct mask m[2], base, concept;
    struct err e;
    double curve[2];
    masks_begin(m, 2, 16);
    masks_begin(&base, 1, 16);
    is_code(score_prompts(&l, w, &o, norms, 2, 8, m, &e), OK, &e, "the toy is scored");
    is_int(m[0].words[0], 0x071c, "prompt 1: {2,3,4} and {0,1,2}");
    is_int(m[1].words[0], 0x07e0, "prompt 2: {5,6,7} and, of eight ties, the smallest three");
    is_code(score_common(&l, w, &o, norms, 2, 8, 1.0, &c, &base, &e), OK, &e, "AND");
    is_int(base.words[0], 0x0700, "(4): the AND is {} and {0,1,2}");
    is_code(mask_copy(&concept, &m[0], &e), OK, &e, "M_base = prompt 1");
    mask_and_not(&concept, &base);
    is_int(concept.words[0], 0x001c, "(6): without what all use, {2,3,4} is left");
    is_code(score_common(&l, w, &o, norms, 2, 8, 0.5, &c, &base, &e), OK, &e, "a vote of half");
    is_int(base.words[0], 0x07fc, "one of two prompts is enough: the OR");
    is_code(score_curve(&l, w, &o, norms, 2, 8, curve, &e), OK, &e, "the curve");
    near(curve[0], 1.0, 0, "after one prompt the AND is the mask");
    near(curve[1], 0.5, 0, "after two, half of it");
    o.fraction = 0.3;
    is_code(score_prompts(&l, w, &o, norms, 2, 8, m, &e), OK, &e, "the toy at 0.3");
    is_int(m[0].words[0], 0x0318, "floor(0.3 * 8) = 2 of each row");
    o.fraction = 0.01;
    is_code(score_curve(&l, w, &o, norms, 2, 8, curve, &e), OK, &e, "a share too small for one");
    near(curve[1], 0.0, 0, "is an empty mask and no division by zero");
    o = (struct score_options){.fraction = 1.0};
    is_code(score_prompts(&l, w, &o, norms, 1, 8, m, &e), OK, &e, "a share of one");
    is_int(m[0].words[0], 0xffff, "selects all");
    masks_end(m, 2);
    masks_end(&base, 1);
    masks_end(&concept, 1);
}

/* States of four positions: start, two words, end = pad; n counts the first four of five. */
static void token_choices(void)
{
    const float states[5 * 2] = {3, 0, 1, 2, 0, 4, 2, 0, 5, 12};
    double v[2];
    struct score_options o = {.tokens = SCORE_ALL};
    score_norms(&o, states, 5, 2, 4, v);
    near(v[0], sqrt(9 + 1 + 0 + 4 + 25), 1e-12, "all: every position counts");
    near(v[1], sqrt(0 + 4 + 16 + 0 + 144), 1e-12, "all: the other channel");
    o.tokens = SCORE_NO_BOS;
    score_norms(&o, states, 5, 2, 4, v);
    near(v[0], sqrt(1 + 0 + 4 + 25), 1e-12, "no_bos: without the start");
    o.tokens = SCORE_CONTENT;
    score_norms(&o, states, 5, 2, 4, v);
    near(v[0], 1.0, 1e-12, "content: the words alone");
    near(v[1], sqrt(4 + 16), 1e-12, "content: the other channel");
    o.tokens = SCORE_CONTENT_EOS;
    score_norms(&o, states, 5, 2, 4, v);
    near(v[0], sqrt(1 + 4), 1e-12, "content_eos: the words and the end");
    o = (struct score_options){.tokens = SCORE_ALL, .rownorm = 1};
    score_norms(&o, states, 5, 2, 4, v);
    near(v[0], sqrt(1 + 1 / 5.0 + 0 + 1 + 25 / 169.0), 1e-12,
         "rownorm: each position has length 1");
    const float zero[2] = {0, 0};
    score_norms(&o, zero, 1, 2, 1, v);
    near(v[0], 0.0, 0, "rownorm of a zero state is zero");
}

/* A row of SD-1.5: 230 of 768, in every row of every matrix. */
static void density(uint64_t seed)
{
    const int rows[MATRICES] = {320, 320, 40, 8};
    struct score_options o = {.fraction = 0.30};
    struct world v;
    struct mask m;
    struct err e;
    world_make(&v, rows, 768, 1, seed);
    masks_begin(&m, 1, v.layout.n_weights);
    is_code(score_prompts(&v.layout, v.w, &o, v.norms, 1, 768, &m, &e), OK, &e, "768 wide");
    size_t wrong = 0;
    for (size_t at = 0; at < v.layout.n_weights; at += 768) {
        int ones = 0;
        for (size_t i = 0; i < 768; i++) ones += mask_get(&m, at + i);
        wrong += ones != 230;
    }
    is_int(wrong, 0, "every row of 768 has exactly 230 ones");
    near(mask_density(&m), 230.0 / 768.0, 1e-15, "density is 29.948 %%");
    masks_end(&m, 1);
    world_free(&v);
}

static void ties_everywhere(void)
{
    enum { N = 40, D = 65 };
    const int rows[MATRICES] = {N, N, 0, 0};
    struct score_options o = {.fraction = 0.5};
    struct world v;
    struct mask m;
    struct err e;
    world_make(&v, rows, D, 1, 1);
    for (size_t i = 0; i < v.layout.n_weights; i++) v.w[i] = i % 2 ? 0.25f : -0.25f;
    for (int j = 0; j < D; j++) v.norms[j] = 1.0;
    masks_begin(&m, 1, v.layout.n_weights);
    is_code(score_prompts(&v.layout, v.w, &o, v.norms, 1, D, &m, &e), OK, &e, "equal scores");
    size_t wrong = 0;
    for (size_t i = 0; i < v.layout.n_weights; i++) wrong += mask_get(&m, i) != (i % D < D / 2);
    is_int(wrong, 0, "of equal scores the smaller index wins, whatever the sign");
    memset(v.w, 0, v.layout.n_weights * sizeof *v.w);
    is_code(score_prompts(&v.layout, v.w, &o, v.norms, 1, D, &m, &e), OK, &e, "all zero");
    is_int(mask_count(&m), 2 * N * (D / 2), "zero scores are ties too");
    masks_end(&m, 1);
    world_free(&v);
}

/* Tiles of 64 rows share no word; the number of threads must never show. */
static void threads(enum score_group group, uint64_t seed)
{
    static const int COUNT[] = {1, 2, 4, 3};
    const int rows[MATRICES] = {200, 65, 64, 1};
    struct score_options o = {.fraction = 0.3, .group = group};
    struct collectives c = collectives_single();
    struct world v;
    struct mask first, again;
    struct err e;
    world_make(&v, rows, 63, 7, seed);
    masks_begin(&first, 1, v.layout.n_weights);
    masks_begin(&again, 1, v.layout.n_weights);
    for (int i = 0; i < 4; i++) {
        parallel_start(COUNT[i]);
        enum code rc =
            score_common(&v.layout, v.w, &o, v.norms, 7, 63, 1.0, &c, i ? &again : &first, &e);
        is_code(rc, OK, &e, "group %d with %d threads", (int)group, COUNT[i]);
        if (i)
            ok(!memcmp(first.words, again.words, first.n_words * 8),
               "group %d: %d threads give the bytes of one", (int)group, COUNT[i]);
    }
    parallel_start(2);
    masks_end(&first, 1);
    masks_end(&again, 1);
    world_free(&v);
}

/* Each allocation fails once; nothing may leak or crash (SAN=1 looks). */
static void without_memory(uint64_t seed)
{
    const int rows[MATRICES] = {3, 3, 0, 0};
    struct score_options o = {.fraction = 0.3};
    struct collectives c = collectives_single();
    struct world v;
    struct mask m;
    struct err e;
    double curve[2];
    world_make(&v, rows, 70, 2, seed);
    masks_begin(&m, 1, v.layout.n_weights);
    long failed = 0, odd = 0;
    for (long n = 1; n < 20; n++) {
        arena_fail_after(n);
        enum code a = score_common(&v.layout, v.w, &o, v.norms, 2, 70, 1.0, &c, &m, &e);
        arena_fail_after(n);
        enum code b = score_curve(&v.layout, v.w, &o, v.norms, 2, 70, curve, &e);
        failed += (a == ERR_NOMEM) + (b == ERR_NOMEM);
        odd += (a && a != ERR_NOMEM) || (b && b != ERR_NOMEM);
    }
    arena_fail_after(0);
    is_int(odd, 0, "no memory is the only error");
    ok(failed >= 8, "and each allocation was made to fail (%ld)", failed);
    masks_end(&m, 1);
    world_free(&v);
}

int main(void)
{
    uint64_t seed = tap_seed(5);
    parallel_start(2);
    toy();
    token_choices();
    density(seed);
    ties_everywhere();
    static const int WIDE[] = {1, 2, 3, 31, 63, 64, 65, 96, 127, 130};
    static const int ROWS[][MATRICES] = {{1, 1, 0, 0}, {5, 7, 130, 3}, {64, 64, 66, 0}};
    for (int g = SCORE_ROW; g <= SCORE_GLOBAL; g++)
        for (size_t d = 0; d < sizeof WIDE / sizeof WIDE[0]; d++)
            agrees(ROWS[d % 3], WIDE[d], (enum score_group)g, d % 2 ? 0.30 : 0.71, 0, seed + d);
    static const double GRAIN[] = {0.001, 0.02, 0.1, 1.0};
    static const int MORE[MATRICES] = {9, 3, 0, 0};
    for (size_t d = 0; d < sizeof GRAIN / sizeof GRAIN[0]; d++)
        for (int g = SCORE_ROW; g <= SCORE_GLOBAL; g++)
            agrees(MORE, 700, (enum score_group)g, 0.30, GRAIN[d], seed + d);
    for (int g = SCORE_ROW; g <= SCORE_GLOBAL; g++) threads((enum score_group)g, seed);
    without_memory(seed);
    parallel_stop();
    return done_testing();
}
