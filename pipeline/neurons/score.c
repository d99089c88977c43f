/* score.c - neurons by importance: |W| times the norm of the input channel, the largest share of each group.
 *
 * The pass is over groups of weights (rows by default), each read from memory once for all prompts. For each prompt in turn
 * the k largest scores are selected (tensor/cpu/select.c, select_row.c), and the group's ones go where the caller wants them:
 * to the prompt's own mask, or to a count per neuron for ANDs and votes. Groups are independent, so threads never meet, except
 * that neighbouring rows may share a mask word: work is cut so that they do not (see groups_in_tile).
 *
 * Scores are float32 products of float32 |W| and v rounded to float32; ranking ties keep the smaller index. The choice
 * of single precision is part of the definition: the same bytes on every machine.
 */
#include "pipeline/neurons/score.h"

#include "base/arena.h"
#include "base/parallel.h"
#include "pipeline/tensor/kernels.h"

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

enum { TURNS = 4 };

/* One pass: what a group is, and who hears about its selections. */
struct pass {
    const struct kv_layout *layout;
    const float *w;
    const struct score_options *o;
    const double *norms; /* [P][D] */
    int P, D;
    struct mask *mask;   /* [P] every prompt's own, or NULL */
    struct mask *common; /* what `need` prompts select, or NULL */
    size_t need;
    /* made by pass_prepare */
    const struct kernels *kernels;
    struct arena arena;
    size_t *group_begin;                     /* [n_groups + 1] in the flat vector */
    size_t n_groups, groups_per_tile, words; /* words: of the widest group */
    int planes;                              /* bits of a count of prompts */
    size_t
        turns; /* groups that take turns at a prompt: its norms stay in L1, and none waits alone */
    int later; /* an AND of rows: what is undecided waits until all prompts were heard */
    int all;   /* need is P: then one plane is enough, of who was selected by all so far */
    float *v;  /* norms, as floats */
    struct selection_logs *log_v; /* [P] if groups are rows, else NULL */
    struct room *room;            /* [threads] */
};

/* What a prompt's selection left open. */
struct open_end {
    uint64_t *undecided; /* [words] */
    size_t k;            /* so many of them belong to the largest */
};

/* A group among those that take turns. Counts of votes lie in bit planes: bit i of plane b is bit b of neuron i's count, so
 * that one operation counts for 64 neurons. */
struct turn {
    struct selection s;
    int16_t *log_w;         /* [words * 64] */
    uint64_t *ones, *plane; /* [words], [planes][words] */
    struct open_end *open;  /* [P] of an AND of rows, else [1] */
    float hint,
        above; /* above: how far its thresholds lie above the usual, alike for all prompts */
};

/* A thread's scratch, and what it has learned of thresholds: hints, nothing else. */
struct room {
    int32_t *scores;
    struct turn turn[TURNS];
    float *usual;  /* [P] a prompt's threshold in most groups, 1024 log2 */
    float *weight; /* [P] how much a prompt teaches about a group's `above` */
    float gain;    /* how much a group teaches about `usual` */
};

static int turn_make(struct pass *p, struct turn *t)
{
    struct arena *a = &p->arena;
    size_t n = p->later ? (size_t)p->P : 1, line = (p->words + 7) / 8 * 8;
    uint64_t *undecided = arena_alloc(a, n * line * sizeof *undecided);
    t->open = arena_alloc(a, (n + 1) * sizeof *t->open);
    for (size_t i = 0; t->open && undecided && i < n; i++)
        t->open[i].undecided = undecided + i * line;
    return t->open && undecided &&
           (t->log_w = arena_alloc(a, p->log_v ? p->words * 64 * sizeof *t->log_w : 0)) &&
           (t->ones = arena_alloc(a, p->words * sizeof *t->ones)) &&
           (t->plane = arena_alloc(a, (size_t)p->planes * p->words * sizeof *t->plane));
}

static int room_make(struct pass *p, struct room *r)
{
    struct arena *a = &p->arena;
    r->scores = arena_alloc(a, select_scratch(p->words * 64));
    r->usual = arena_alloc(a, (size_t)p->P * sizeof *r->usual);
    r->weight = arena_alloc(a, (size_t)p->P * sizeof *r->weight);
    if (!r->scores || !r->usual || !r->weight) return 0;
    for (int i = 0; i < p->P; i++) r->weight[i] = 1 / ((float)i + 1.3f);
    r->gain = 1;
    for (size_t j = 0; j < p->turns; j++)
        if (!turn_make(p, &r->turn[j])) return 0;
    return 1;
}

/* Every count plus one where ones has a one: addition with carry, from the lowest plane up. */
static void vote(uint64_t *plane, int planes, size_t words, uint64_t *ones)
{
    for (int b = 0; b < planes; b++, plane += words)
        for (size_t i = 0; i < words; i++) {
            uint64_t carry = plane[i] & ones[i];
            plane[i] ^= ones[i];
            ones[i] = carry;
        }
}

/* ones: where the count is need or more. Planes from the highest down, as one compares two numbers digit by digit. */
static void elect(const uint64_t *plane, int planes, size_t words, size_t need, uint64_t *ones)
{
    for (size_t i = 0; i < words; i++) {
        uint64_t more = 0, equal = UINT64_MAX;
        for (int b = planes - 1; b >= 0; b--) {
            uint64_t bit = plane[(size_t)b * words + i];
            if (!(need >> b & 1)) more |= equal & bit;
            equal &= need >> b & 1 ? bit : ~bit;
        }
        ones[i] = more | equal;
    }
}

/* Sets the bits begin.. of a mask that are ones in `ones`, of which n count. */
static void mask_take(struct mask *m, size_t begin, const uint64_t *ones, size_t n)
{
    uint64_t *to = m->words + begin / 64;
    size_t shift = begin % 64;
    for (size_t i = 0; i < n; i += 64) {
        uint64_t x = ones[i / 64];
        if (n - i < 64) x &= (UINT64_C(1) << (n - i)) - 1;
        to[i / 64] |= x << shift;
        if (shift && x >> (64 - shift)) to[i / 64 + 1] |= x >> (64 - shift);
    }
}

/* A new row's thresholds differ from the usual ones by what all its weights do. The first prompts find out by how much. */
static void learn(struct room *r, struct turn *t, int i)
{
    enum { OCTAVE = 1024 };
    float missed = t->hint - r->usual[i] - t->above;
    if (fabsf(missed) > OCTAVE) {
        t->above += missed;
        return;
    }
    t->above += missed * r->weight[i];
    r->usual[i] += (t->hint - r->usual[i] - t->above) * r->gain;
}

/* The ones of one prompt are heard. */
static void pass_hear(const struct pass *p, struct turn *t, int i)
{
    size_t words = (t->s.n + 63) / 64;
    if (p->mask) mask_take(&p->mask[i], (size_t)(t->s.w - p->w), t->ones, t->s.n);
    if (p->common && p->all)
        for (size_t w = 0; w < words; w++) t->plane[w] &= t->ones[w];
    else if (p->common) vote(t->plane, p->planes, words, t->ones);
}

static void pass_prompt(const struct pass *p, struct room *r, size_t n, int i)
{
    struct selection *s[TURNS];
    size_t at = p->later ? (size_t)i : 0;
    for (size_t j = 0; j < n; j++) {
        struct turn *t = &r->turn[j];
        s[j] = &t->s;
        t->hint = r->usual[i] + t->above;
        t->s.v = p->v + (size_t)i * (size_t)p->D;
        t->s.undecided = t->open[at].undecided;
        if (p->log_v) t->s.log_v = p->log_v[i];
    }
    if (p->log_v) p->kernels->part_rows(s, n);
    for (size_t j = 0; j < n; j++) {
        struct turn *t = &r->turn[j];
        size_t words = (t->s.n + 63) / 64;
        if (!p->log_v || t->s.k_undecided == NOT_PARTED) {
            p->kernels->select(&t->s);
            t->s.k_undecided = 0;
            memset(t->s.undecided, 0, words * sizeof *t->s.undecided);
        }
        learn(r, t, i);
        t->open[at].k = t->s.k_undecided;
        if (!p->later) {
            p->kernels->settle_row(&t->s);
            pass_hear(p, t, i);
        } else
            for (size_t w = 0; w < words; w++) t->plane[w] &= t->ones[w] | t->s.undecided[w];
    }
}

/* For an AND it is soon enough to settle what is undecided when all prompts have been heard: few are left by then. */
static void pass_settle(const struct pass *p, struct turn *t)
{
    size_t words = (t->s.n + 63) / 64;
    for (int i = 0; i < p->P; i++) {
        const uint64_t *undecided = t->open[i].undecided;
        uint64_t matters = 0;
        for (size_t w = 0; w < words; w++) matters |= t->plane[w] & undecided[w];
        if (!matters) continue;
        t->s.v = p->v + (size_t)i * (size_t)p->D;
        t->s.undecided = t->open[i].undecided;
        t->s.k_undecided = t->open[i].k;
        memset(t->ones, 0, words * sizeof *t->ones);
        p->kernels->settle_row(&t->s);
        for (size_t w = 0; w < words; w++) t->plane[w] &= t->ones[w] | ~undecided[w];
    }
}

static void turn_begin(const struct pass *p, struct room *r, struct turn *t, size_t g)
{
    size_t begin = p->group_begin[g], n = p->group_begin[g + 1] - begin;
    t->s = (struct selection){.w = p->w + begin,
                              .n = n,
                              .cols = (size_t)p->D,
                              .k = (size_t)(p->o->fraction * (double)n),
                              .scratch = r->scores,
                              .hint = &t->hint,
                              .ones = t->ones};
    if (p->common)
        memset(t->plane, p->all ? 0xff : 0, (size_t)p->planes * p->words * sizeof *t->plane);
    if (!p->log_v) return;
    t->s.log_w = (struct selection_logs){t->log_w, p->kernels->logs(t->s.w, n, t->log_w)};
    /* The row that follows in this turn: memory is slow, and 20 prompts are soon done. */
    if (g + p->turns < p->n_groups)
        for (size_t i = 0; i < n; i += 16) __builtin_prefetch(t->s.w + p->turns * n + i);
}

static void pass_block(const struct pass *p, struct room *r, size_t g, size_t n)
{
    for (size_t j = 0; j < n; j++) turn_begin(p, r, &r->turn[j], g + j);
    for (int i = 0; i < p->P; i++) pass_prompt(p, r, n, i);
    if (r->gain > 1.0f / 40) r->gain /= 1 + r->gain;
    for (size_t j = 0; p->common && j < n; j++) {
        struct turn *t = &r->turn[j];
        if (p->later) pass_settle(p, t);
        if (!p->all) elect(t->plane, p->planes, (t->s.n + 63) / 64, p->need, t->plane);
        mask_take(p->common, p->group_begin[g + j], t->plane, t->s.n);
    }
}

static void pass_tile(void *arg, long tile)
{
    const struct pass *p = arg;
    struct room *r = &p->room[parallel_thread_index()];
    size_t g = (size_t)tile * p->groups_per_tile, end = g + p->groups_per_tile;
    if (end > p->n_groups) end = p->n_groups;
    for (; g < end; g += p->turns) pass_block(p, r, g, end - g < p->turns ? end - g : p->turns);
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

static enum code group_starts(struct pass *p)
{
    const struct kv_layout *l = p->layout;
    size_t count = 0;
    if (p->o->group == SCORE_GLOBAL) count = 1;
    else if (p->o->group == SCORE_MATRIX) count = (size_t)l->n;
    else
        for (int i = 0; i < l->n; i++) count += (size_t)l->matrix[i].rows;
    size_t *b = arena_alloc(&p->arena, (count + 1) * sizeof *b);
    if (!b) return ERR_NOMEM;
    size_t at = 0;
    if (p->o->group == SCORE_GLOBAL) b[at++] = 0;
    else
        for (int i = 0; i < l->n; i++) {
            const struct kv_matrix *m = &l->matrix[i];
            size_t rows = p->o->group == SCORE_ROW ? (size_t)m->rows : 1;
            for (size_t r = 0; r < rows; r++) b[at++] = m->offset + r * (size_t)m->cols;
        }
    b[at] = l->n_weights;
    p->group_begin = b;
    p->n_groups = count;
    return OK;
}

static enum code norms_prepare(struct pass *p)
{
    size_t P = (size_t)p->P, D = (size_t)p->D, row = (D + 63) / 64 * 64;
    p->v = arena_alloc(&p->arena, P * D * sizeof *p->v);
    if (!p->v) return ERR_NOMEM;
    for (size_t i = 0; i < P * D; i++) p->v[i] = (float)p->norms[i];
    if (p->o->group != SCORE_ROW) return OK;
    int16_t *log = arena_alloc(&p->arena, P * row * sizeof *log);
    p->log_v = arena_alloc(&p->arena, P * sizeof *p->log_v);
    if (!log || !p->log_v) return ERR_NOMEM;
    for (size_t i = 0; i < P; i++, log += row)
        p->log_v[i] = (struct selection_logs){log, p->kernels->logs(p->v + i * D, D, log)};
    return OK;
}

static enum code pass_prepare(struct pass *p)
{
    size_t widest = 0;
    p->kernels = kernels_cpu();
    if (group_starts(p) || norms_prepare(p)) return ERR_NOMEM;
    for (size_t g = 0; g < p->n_groups; g++)
        if (p->group_begin[g + 1] - p->group_begin[g] > widest)
            widest = p->group_begin[g + 1] - p->group_begin[g];
    p->groups_per_tile = groups_in_tile(p, p->n_groups);
    p->words = (widest + 63) / 64;
    p->all = p->need == (size_t)p->P;
    p->later = p->common && p->all && p->log_v;
    p->turns = p->log_v ? TURNS : 1;
    p->planes = p->common ? 1 : 0;
    while (p->common && !p->all && p->P >> p->planes) p->planes++;
    p->room = arena_alloc(&p->arena, (size_t)parallel_threads() * sizeof *p->room);
    if (!p->room) return ERR_NOMEM;
    for (int i = 0; i < parallel_threads(); i++)
        if (!room_make(p, &p->room[i])) return ERR_NOMEM;
    return OK;
}

static enum code pass_run(struct pass *p, struct err *e)
{
    enum code rc = pass_prepare(p);
    if (rc) err_set(e, rc, "out of memory while scoring %d prompts", p->P);
    else if (p->n_groups)
        parallel_for((long)((p->n_groups + p->groups_per_tile - 1) / p->groups_per_tile), pass_tile,
                     p);
    arena_fini(&p->arena);
    return rc;
}

static void mask_clear(struct mask *m)
{
    memset(m->words, 0, m->n_words * sizeof *m->words);
}

enum code score_prompts(const struct kv_layout *l, const float *w, const struct score_options *o,
                        const double *norms, int P, int D, struct mask *mask, struct err *e)
{
    for (int i = 0; i < P; i++) {
        assert(mask[i].n_bits == l->n_weights);
        mask_clear(&mask[i]);
    }
    struct pass p = {.layout = l, .w = w, .o = o, .norms = norms, .P = P, .D = D, .mask = mask};
    return pass_run(&p, e);
}

enum code score_common(const struct kv_layout *l, const float *w, const struct score_options *o,
                       const double *norms, int P, int D, double share, struct collectives *c,
                       struct mask *out, struct err *e)
{
    /* An AND may be cut by prompt, because AND over ranks is exact; a vote needs the whole count on one rank. */
    int split = share >= 1.0, size = split ? c->size : 1, rank = split ? c->rank : 0;
    int first = (int)((long)P * rank / size), n = (int)((long)P * (rank + 1) / size) - first;
    struct pass p = {.layout = l,
                     .w = w,
                     .o = o,
                     .norms = norms + (size_t)first * (size_t)D,
                     .P = n,
                     .D = D,
                     .common = out,
                     .need = split ? (size_t)n : (size_t)ceil(share * P - 1e-9)};
    mask_clear(out);
    enum code rc = collectives_agree(c, pass_run(&p, e), e);
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
