/* select_row.c - which scores of a row are the largest, by logarithms.
 *
 *     score[i] = |w[i]| v[i]        log[i] = log_w[i] + log_v[i]        16 bits each, 1024 log2 less that of the largest
 *
 * A score's logarithm is a sum of two short numbers that lie in L1: twice as many to a register as floats, no sign to take
 * off, and off by less than two (SLACK is three). If fewer than k logarithms reach `high`, the k-th score lies below high +
 * SLACK, and whatever reaches that is among the k largest; likewise below `low`. So two passes are enough as a rule: one
 * counts at the hint, the other parts the row around where the threshold must be then. A dozen scores stay undecided, and
 * only who needs to know has them computed and ranked (few.h). Crowds of equal scores, and rows of zeros, are left to select.c.
 */
#include "pipeline/tensor/cpu/cpu.h"
#include "pipeline/tensor/cpu/few.h"

#include <math.h>

enum {
    OCTAVE = 1024,
    SLACK = 3,
    TRIES = 4,
    WIDEST = 220,      /* of a span: it must fit into bytes, SLACK included */
    HALF = 2 * VECTOR, /* 16-bit numbers, bytes in a register */
    BYTES = 4 * VECTOR
};

typedef int16_t vech __attribute__((vector_size(VECTOR * 4)));
typedef int8_t vecb __attribute__((vector_size(VECTOR * 4)));
typedef int16_t half __attribute__((vector_size(VECTOR * 2)));

static inline vec magnitude(vec x)
{
    return (vec)((veci)x & 0x7fffffff);
}

/* 1024 log2 x, to 0.63: the exponent, and of the mantissa 1 + f the polynomial f + f (1 - f) p(f), fitted to 1.2e-4. Wrong for
 * what is not a normal number: it comes out below 1024 * -126. */
static inline veci vec_log(vec x)
{
    const vec magic = vec_set(12582912.0f), one = vec_set(1.0f);
    veci whole = ((veci)x >> 23) - 127;
    vec f = (vec)(((veci)x & 0x7fffff) | (veci)one) - one;
    vec p = vec_fma(vec_set(0.08213068f), f, vec_set(-0.23905823f));
    p = vec_fma(p, f, vec_set(0.43872574f));
    vec part = vec_fma(f * (one - f), p, f);
    return whole * OCTAVE + ((veci)vec_fma(part, vec_set(OCTAVE), magic) - (veci)magic);
}

static int32_t log_of(float x)
{
    veci log = vec_log(vec_set(x));
    return log[0];
}

float cpu_log(float x)
{
    return (float)log_of(x);
}

static float largest_of(const float *x, size_t n)
{
    vec most = {0};
    size_t i = 0;
    for (; i + VECTOR <= n; i += VECTOR) most = vec_at_least(most, magnitude(vec_load(x + i)));
    return vec_max(vec_at_least(most, magnitude(vec_load_n(x + i, (int64_t)(n - i)))));
}

/* Middling: so that no product of what is within 16 octaves of both largest leaves the normal numbers. */
int32_t cpu_logs(const float *x, size_t n, int16_t *log)
{
    const float most = largest_of(x, n);
    if (!(most > 0x1p-40f && most < 0x1p40f)) return LOGS_NONE;
    const int32_t top = log_of(most);
    size_t end = (n + WORD - 1) / WORD * WORD;
    for (size_t i = 0; i < end; i += VECTOR) {
        vec some = vec_load_n(x + i, i < n ? (int64_t)(n - i) : 0);
        veci l = vec_log(magnitude(some)) - top, least = spread(LOGS_LEAST), low = l < least;
        half short_l = __builtin_convertvector((l & ~low) | (least & low), half);
        memcpy(log + i, &short_l, sizeof short_l);
    }
    return top;
}

static inline vech load_short(const int16_t *p)
{
    vech x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* A word's logarithms less `from`, in bytes: what is further off than these reach stays beyond. */
struct near {
    vecb part[WORD / BYTES];
};

static inline struct near near_of(const int16_t *a, const int16_t *b, vech from)
{
    struct near out;
#pragma GCC unroll 2
    for (int i = 0; i < WORD / BYTES; i++) {
        const int16_t *x_at = a + i * BYTES, *y_at = b + i * BYTES;
        vech x[2] = {load_short(x_at) + (load_short(y_at) - from),
                     load_short(x_at + HALF) + (load_short(y_at + HALF) - from)};
#if defined __AVX512BW__
        const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
        __m512i pack = _mm512_packs_epi16((__m512i)x[0], (__m512i)x[1]);
        out.part[i] = (vecb)_mm512_permutexvar_epi64(order, pack);
#elif defined __AVX2__
        __m256i pack = _mm256_packs_epi16((__m256i)x[0], (__m256i)x[1]);
        out.part[i] = (vecb)_mm256_permute4x64_epi64(pack, 0xd8);
#else
        for (int j = 0; j < BYTES; j++) {
            int16_t z = x[j / HALF][j % HALF];
            out.part[i][j] = (int8_t)(z > INT8_MAX ? INT8_MAX : z < INT8_MIN ? INT8_MIN : z);
        }
#endif
    }
    return out;
}

/* A bit for each that is more than t. */
static inline uint64_t near_above(struct near x, vecb t)
{
#if defined __AVX512BW__
    return _mm512_cmpgt_epi8_mask((__m512i)x.part[0], (__m512i)t);
#elif defined __AVX2__
    return (uint32_t)_mm256_movemask_epi8((__m256i)(x.part[0] > t)) |
           (uint64_t)(uint32_t)_mm256_movemask_epi8((__m256i)(x.part[1] > t)) << 32;
#else
    uint64_t bits = 0;
    for (int i = 0; i < WORD; i++) bits |= (uint64_t)(x.part[i / BYTES][i % BYTES] > t[0]) << i;
    return bits;
#endif
}

static inline vech spread_short(int32_t x)
{
    return (int16_t)x - (vech){0};
}

static inline vecb spread_byte(int32_t x)
{
    return (int8_t)x - (vecb){0};
}

static size_t count_row(const struct selection *s, int32_t log)
{
    const vech from = spread_short(log);
    const vecb below = spread_byte(-1);
    const int16_t *w = s->log_w.log, *v = s->log_v.log, *end = w + s->n;
    size_t n = 0;
    for (; w < end; w += WORD, v += WORD)
        n += (size_t)__builtin_popcountll(near_above(near_of(w, v, from), below));
    return n;
}

/* Two logarithms, and how many of the row reach them. */
struct span {
    int32_t low, high;
    size_t n_low, n_high;
};

/* Ones to all that reach high + SLACK, undecided those that reach low - SLACK only. Counts what reaches low and high; returns
 * the number of ones. */
static size_t part_row(const struct selection *s, struct span *b)
{
    const int32_t middle = b->low + (b->high - b->low) / 2, from = middle < 0 ? middle : 0;
    const vech zero = spread_short(from);
    const vecb low = spread_byte(b->low - 1 - from), lower = spread_byte(b->low - 1 - SLACK - from),
               high = spread_byte(b->high - 1 - from),
               higher = spread_byte(b->high - 1 + SLACK - from);
    const int16_t *w = s->log_w.log, *v = s->log_v.log, *end = w + s->n;
    uint64_t *ones = s->ones, *undecided = s->undecided;
    size_t n_low = 0, n_high = 0, n_ones = 0;
    for (; w < end; w += WORD, v += WORD) {
        struct near x = near_of(w, v, zero);
        uint64_t over = near_above(x, higher);
        *ones++ = over;
        *undecided++ = near_above(x, lower) & ~over;
        n_ones += (size_t)__builtin_popcountll(over);
        n_high += (size_t)__builtin_popcountll(near_above(x, high));
        n_low += (size_t)__builtin_popcountll(near_above(x, low));
    }
    b->n_high = n_high;
    b->n_low = n_low;
    return n_ones;
}

/* Where the k-th score must be, nearly for sure, if n reach log. Around the top third of a normal distribution one score
 * follows another after OCTAVE / k or a little less; how irregularly, is chance. */
static struct span span_beside(int32_t log, size_t n, size_t k)
{
    float each = (float)OCTAVE / (float)k, off = (float)n - (float)k,
          middle = (float)log + off * each, reach = (0.2f * fabsf(off) + 3) * each + 1;
    struct span b = {(int32_t)(middle - reach), (int32_t)(middle + reach), 0, 0};
    if (n >= k && b.low < log) b.low = log;
    if (n < k && b.high > log) b.high = log;
    if (b.high - b.low > WIDEST && n >= k) b.high = b.low + WIDEST;
    if (b.high - b.low > WIDEST) b.low = b.high - WIDEST;
    return b;
}

/* n reach log. Returns how many of the undecided belong to the k largest. */
static size_t part_beside(const struct selection *s, int32_t log, size_t n)
{
    struct span b = span_beside(log, n, s->k);
    for (int i = 0; i < TRIES && b.low - SLACK > LOGS_LEAST && b.high < WIDEST / 2; i++) {
        size_t n_ones = part_row(s, &b);
        if (b.n_high < s->k && s->k <= b.n_low) {
            float each = (float)(b.high - b.low) / (float)(b.n_low - b.n_high);
            *s->hint = (float)(b.high + s->log_w.top + s->log_v.top) -
                       each * ((float)(s->k - b.n_high) - 0.5f);
            return s->k - n_ones;
        }
        b = b.n_high >= s->k ? span_beside(b.high, b.n_high, s->k)
                             : span_beside(b.low, b.n_low, s->k);
    }
    return NOT_PARTED;
}

/* The hint as logarithms of this row count; 1 if it cannot be used. */
static int32_t hint_of(const struct selection *s)
{
    if (!s->k || s->log_w.top == LOGS_NONE || s->log_v.top == LOGS_NONE) return 1;
    int32_t at = (int32_t)*s->hint - s->log_w.top - s->log_v.top;
    return at - SLACK > LOGS_LEAST && at < 1 ? at : 1;
}

/* All are counted before the first is parted: each waits for its own count, but not for the others'. */
void cpu_part_rows(struct selection *const *s, size_t n)
{
    enum { AT_ONCE = 8 };
    size_t reach[AT_ONCE];
    for (; n > AT_ONCE; n -= AT_ONCE, s += AT_ONCE) cpu_part_rows(s, AT_ONCE);
    for (size_t i = 0; i < n; i++)
        if (hint_of(s[i]) < 1) reach[i] = count_row(s[i], hint_of(s[i]));
    for (size_t i = 0; i < n; i++)
        s[i]->k_undecided =
            hint_of(s[i]) < 1 ? part_beside(s[i], hint_of(s[i]), reach[i]) : NOT_PARTED;
}

/* The scores of the undecided, at most 64. Some of a word are taken without asking whether they are there: what is not is
 * overwritten by the next. */
static void take_scores(const struct selection *s, struct few *few)
{
    enum { UNASKED = 3 };
    int32_t *to = few->value;
    for (size_t i = 0; i < s->n; i += WORD) {
        const float *w = s->w + i, *v = s->v + i;
        uint64_t left = s->undecided[i / WORD];
        int32_t *next = to + __builtin_popcountll(left);
        const int last = s->n - i < WORD ? (int)(s->n - i) - 1 : WORD - 1;
#pragma GCC unroll 4
        for (int j = 0; j < UNASKED; j++, left &= left - 1) {
            int at = __builtin_ctzll(left | UINT64_C(1) << last);
            to[j] = as_bits(w[at] * v[at]) & 0x7fffffff;
        }
        for (to += UNASKED; left; left &= left - 1, to++) {
            int at = __builtin_ctzll(left);
            *to = as_bits(w[at] * v[at]) & 0x7fffffff;
        }
        to = next;
    }
    few->n = (size_t)(to - few->value);
    few_end(few);
}

void cpu_settle_row(const struct selection *s)
{
    const size_t words = (s->n + WORD - 1) / WORD;
    struct few few;
    size_t n = 0;
    if (!s->k_undecided) return;
    for (size_t i = 0; i < words; i++) n += (size_t)__builtin_popcountll(s->undecided[i]);
    if (n > WORD) {
        cpu_select(s);
        return;
    }
    take_scores(s, &few);
    few_write(&few, s->k_undecided, s->undecided, words, s->ones);
}
