/* select.c - which of many scores are the largest: the inner loop of neuron scoring (neurons/score.h).
 *
 *     score[i] = |w[i]| v[i % cols]        ones go to the k largest, ties to the smaller index
 *
 * Scores are non-negative floats, which order as their bits do, so everything after the product is whole numbers and exact:
 * no choice below can change a mask. A threshold splits the scores by passes over L1 (768 of them). A hint says about
 * where it is: one pass puts aside the few scores around it, and they are ranked against each other. When the answer is not
 * among them, or they are too many, passes that only count close in on it: from an end that is near by a step a little past
 * the answer, between two ends along a straight line, and every fourth time in the middle, so that no distribution is slow;
 * until at most 64 scores lie between the ends, or all that do are one tied value.
 */
#include "pipeline/tensor/cpu/cpu.h"
#include "pipeline/tensor/cpu/simd.h"

#include <assert.h>
#include <math.h>

enum { WORD = 64 };

static inline veci spread(int32_t x)
{
    return x - (veci){0};
}

static inline veci load(const int32_t *p)
{
    veci x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* A bit per lane: x > t. */
static inline uint64_t above(veci x, veci t)
{
#if defined(__AVX512F__)
    return _mm512_cmpgt_epi32_mask((__m512i)x, (__m512i)t);
#elif defined(__AVX2__)
    return (uint32_t)_mm256_movemask_ps((__m256)(x > t));
#else
    veci yes = x > t;
    uint64_t bits = 0;
    for (int i = 0; i < VECTOR; i++) bits |= (uint64_t)(yes[i] & 1) << i;
    return bits;
#endif
}

static inline veci score_bits(const float *w, const float *v)
{
    return (veci)(vec_load(w) * vec_load(v)) & 0x7fffffff;
}

/* Bits of all scores; behind the last, up to a whole word of 64, what reaches no threshold. */
static void make_scores(const struct selection *s)
{
    int32_t *to = s->scratch;
    const float *v = s->v;
    for (size_t row = 0; row < s->n; row += s->cols) {
        const float *w = s->w + row;
        size_t n = s->n - row < s->cols ? s->n - row : s->cols, i = 0;
#pragma GCC unroll 4
        for (; i + VECTOR <= n; i += VECTOR, to += VECTOR) {
            veci x = score_bits(w + i, v + i);
            memcpy(to, &x, sizeof x);
        }
        for (; i < n; i++, to++) {
            float x = w[i] * v[i];
            memcpy(to, &x, sizeof x);
            *to &= 0x7fffffff;
        }
    }
    for (size_t i = s->n; i % WORD; i++) *to++ = -1;
}

static size_t count_reaching(const struct selection *s, int32_t t)
{
    enum { AT_ONCE = 1 << 24 }; /* what the lanes of the counters can hold, and more */
    size_t total = 0;
    for (size_t i = 0; i < s->n;) {
        size_t end = s->n - i < AT_ONCE ? s->n : i + AT_ONCE;
        veci below = spread(t - 1), a = {0}, b = {0}, c = {0}, d = {0};
        for (; i < end; i += WORD)
#pragma GCC unroll 2
            for (int j = 0; j < WORD; j += 4 * VECTOR) {
                const int32_t *x = s->scratch + i + j;
                a += load(x) > below;
                b += load(x + VECTOR) > below;
                c += load(x + 2 * VECTOR) > below;
                d += load(x + 3 * VECTOR) > below;
            }
        int32_t lane[VECTOR], sum = 0;
        a += b + c + d;
        memcpy(lane, &a, sizeof lane);
        for (int j = 0; j < VECTOR; j++) sum -= lane[j];
        total += (size_t)sum;
    }
    return total;
}

static float as_float(int32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static int32_t as_bits(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* low is reached by n_low >= k scores, high by n_high < k. */
struct bracket {
    int32_t low, high;
    size_t n_low, n_high;
};

/* Where the answer lies if the scores of the bracket lie evenly in it. */
static int32_t divide(const struct bracket *b, size_t k)
{
    float low = as_float(b->low), high = as_float(b->high),
          x = low + (high - low) * (float)(b->n_low - k) / (float)(b->n_low - b->n_high);
    return x > low && x < high ? as_bits(x) : b->low + (b->high - b->low) / 2;
}

/* The next threshold to try. From one end that is near, a step a little past where it says the answer is, so that the two
 * enclose it; every fourth time the middle, so that no distribution is slow. */
static int32_t next_probe(const struct bracket *b, size_t k, int probes)
{
    int32_t middle = b->low + (b->high - b->low) / 2, t = middle;
    if (probes % 4 == 3) return middle;
    if (b->low > 0 && b->high == INT32_MAX)
        t = as_bits(as_float(b->low) * ((float)b->n_low + 4) / (float)k);
    else if (b->low == 0 && b->high < INT32_MAX)
        t = as_bits(as_float(b->high) * ((float)b->n_high - 4) / (float)k);
    else if (b->low > 0) t = divide(b, k);
    return t > b->low && t < b->high ? t : middle;
}

/* Until few scores are left between low and high. */
static void narrow(const struct selection *s, struct bracket *b)
{
    for (int probes = 0; b->n_low != s->k && b->n_low - b->n_high > WORD && b->high - b->low > 1;
         probes++) {
        int32_t t = next_probe(b, s->k, probes);
        size_t n = count_reaching(s, t);
        if (n >= s->k) b->low = t, b->n_low = n;
        else b->high = t, b->n_high = n;
    }
}

static void write_reaching(const struct selection *s, int32_t t)
{
    const veci below = spread(t - 1);
    for (size_t i = 0; i < s->n; i += WORD) {
        uint64_t bits = 0;
#pragma GCC unroll 8
        for (int j = 0; j < WORD; j += VECTOR)
            bits |= above(load(s->scratch + i + (size_t)j), below) << j;
        s->ones[i / WORD] = bits;
    }
}

/* The scores of a bracket in the order of their indices, if there are at most 64. */
struct few {
    int32_t value[2 * WORD];
    size_t n;
};

static inline int32_t score_at(const struct selection *s, size_t i, const int afresh)
{
    return afresh ? as_bits(s->w[i] * s->v[i]) & 0x7fffffff : s->scratch[i];
}

/* Ones to all that reach high; `between` to those that reach low only, and their scores to few. Counts both. Four a word
 * are copied without asking whether they are there: what is not is overwritten by the next. afresh: from the weights of
 * one row of whole words, instead of scores that were made before. */
static inline __attribute__((always_inline)) void part_of(const struct selection *s,
                                                          struct bracket *b, uint64_t *between,
                                                          struct few *few, const int afresh)
{
    const veci low = spread(b->low - 1), high = spread(b->high - 1);
    const size_t end = s->n;
    uint64_t *ones = s->ones;
    size_t n = 0, n_high = 0;
    for (size_t i = 0; i < end; i += WORD) {
        uint64_t over = 0, left = 0;
#pragma GCC unroll 8
        for (int j = 0; j < WORD; j += VECTOR) {
            size_t at = i + (size_t)j;
            veci x = afresh ? score_bits(s->w + at, s->v + at) : load(s->scratch + at);
            over |= above(x, high) << j;
            left |= above(x, low) << j;
        }
        left &= ~over;
        size_t more = (size_t)__builtin_popcountll(left);
        int32_t *to = few->value + n;
        *ones++ = over;
        *between++ = left;
        n_high += (size_t)__builtin_popcountll(over);
        n += more;
        if (n > WORD) continue;
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++, left &= left - 1)
            to[j] = score_at(s, i + (size_t)__builtin_ctzll(left | UINT64_C(1) << 63), afresh);
        for (to += 4; left; left &= left - 1)
            *to++ = score_at(s, i + (size_t)__builtin_ctzll(left), afresh);
    }
    few->n = n;
    b->n_high = n_high;
    b->n_low = n_high + n;
    for (size_t i = n; i < (n + VECTOR - 1) / VECTOR * VECTOR && n <= WORD; i++) few->value[i] = -1;
}

static uint64_t few_reaching(const struct few *few, int32_t t)
{
    const veci below = spread(t - 1);
    uint64_t bits = 0;
    for (size_t i = 0; i < few->n; i += VECTOR) bits |= above(load(few->value + i), below) << i;
    return bits;
}

/* A bit for each of the k largest of the few, k > 0; *last is the smallest of them. A pivot's larger ones are taken, or
 * nothing but them is looked at. */
static uint64_t largest(const struct few *few, size_t k, int32_t *last)
{
    uint64_t alive = few->n < WORD ? (UINT64_C(1) << few->n) - 1 : UINT64_MAX, taken = 0;
    while (k) {
        int32_t pivot = few->value[__builtin_ctzll(alive)];
        uint64_t larger = few_reaching(few, pivot + 1) & alive,
                 equal = few_reaching(few, pivot) & alive & ~larger;
        size_t n = (size_t)__builtin_popcountll(larger);
        if (n >= k) {
            alive = larger;
            continue;
        }
        *last = pivot;
        taken |= larger;
        alive &= ~(larger | equal);
        for (k -= n; k && equal; k--, equal &= equal - 1) taken |= equal & -equal;
    }
    return taken;
}

/* Bit j of taken goes to the j-th one of `among`. */
static uint64_t deposit(uint64_t taken, uint64_t among)
{
#ifdef __BMI2__
    return _pdep_u64(taken, among);
#else
    uint64_t out = 0;
    for (; among; among &= among - 1, taken >>= 1)
        if (taken & 1) out |= among & -among;
    return out;
#endif
}

static int32_t write_largest(const struct selection *s, const struct bracket *b,
                             const uint64_t *between, const struct few *few)
{
    int32_t last = 0;
    uint64_t taken = largest(few, s->k - b->n_high, &last);
    for (size_t i = 0; taken; i++) {
        int n = __builtin_popcountll(between[i]);
        s->ones[i] |= deposit(taken, between[i]);
        taken = n < 64 ? taken >> n : 0;
    }
    return last;
}

static void add_first_ties(const struct selection *s, int32_t t, size_t ties)
{
    for (size_t i = 0; ties && i < s->n; i++)
        if (s->scratch[i] == t) {
            s->ones[i / WORD] |= UINT64_C(1) << i % WORD;
            ties--;
        }
}

/* Without a hint that holds: begins with b, whose counts are known. Returns the threshold. */
static int32_t search(const struct selection *s, struct bracket b, uint64_t *between,
                      struct few *few)
{
    make_scores(s);
    narrow(s, &b);
    if (b.n_low == s->k) {
        write_reaching(s, b.low);
    } else if (b.n_low - b.n_high <= WORD) {
        part_of(s, &b, between, few, 0);
        return write_largest(s, &b, between, few);
    } else {
        write_reaching(s, b.high);
        add_first_ties(s, b.low, s->k - b.n_high);
    }
    return b.low;
}

/* The k-th largest score. A hint's bracket is tried first; whatever it turns out to hold is where the search begins. */
static int32_t threshold_of(const struct selection *s)
{
    struct few few;
    uint64_t *between = (uint64_t *)(void *)(s->scratch + (s->n + WORD - 1) / WORD * WORD);
    const struct selection_hint *h = s->hint;
    float off = h->off * 1.8f + 0.5f / (float)s->k;
    struct bracket b = {as_bits(h->at * (1.0f - off)), as_bits(h->at * (1.0f + off)), 0, 0},
                   all = {0, INT32_MAX, s->n, 0};
    int one_row = s->n == s->cols && s->n % WORD == 0;
    if (!one_row || !(h->at > 0 && off < 0.5f) || b.low >= b.high || b.high >= as_bits(INFINITY))
        return search(s, all, between, &few);
    part_of(s, &b, between, &few, 1);
    if (b.n_high < s->k && s->k <= b.n_low && few.n <= WORD)
        return write_largest(s, &b, between, &few);
    if (b.n_high >= s->k) all.low = b.high, all.n_low = b.n_high;
    else if (b.n_low < s->k) all.high = b.low, all.n_high = b.n_low;
    else all = b;
    return search(s, all, between, &few);
}

void cpu_select(const struct selection *s)
{
    assert(s->cols > 0 && s->k <= s->n);
    if (s->k == 0) {
        memset(s->ones, 0, (s->n + WORD - 1) / WORD * sizeof *s->ones);
        return;
    }
    float at = as_float(threshold_of(s)), missed = fabsf(s->hint->at / at - 1.0f);
    s->hint->off = missed < 0.5f ? s->hint->off + (missed - s->hint->off) / 8 : 0.05f;
    s->hint->at = at;
}
