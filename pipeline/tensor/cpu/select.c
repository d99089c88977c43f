/* select.c - which of many scores are the largest: the inner loop of neuron scoring (neurons/score.h).
 *
 *     score[i] = |w[i]| v[i % cols]        ones go to the k largest, ties to the smaller index
 *
 * Scores are non-negative floats, which order as their bits do, so everything after the product is whole numbers and exact:
 * no choice below can change a mask. A probe counts the scores that reach a threshold (768 of them: a pass over L1).
 * Probes close in on the k-th largest until at most 64 scores lie between them, or all that do are one tied value: the
 * first at the threshold of a similar row, the second a little past where the first says the answer is, the others where a
 * straight line between the two ends says, and every fourth in the middle, so that no distribution is slow. Three on average.
 * The few that are left are ranked against each other.
 */
#include "pipeline/tensor/cpu/cpu.h"
#include "pipeline/tensor/cpu/simd.h"

#include <assert.h>

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
static inline uint32_t lanes_above(const int32_t *x, veci t)
{
#if defined(__AVX512F__)
    return _mm512_cmpgt_epi32_mask((__m512i)load(x), (__m512i)t);
#elif defined(__AVX2__)
    return (uint32_t)_mm256_movemask_ps((__m256)(load(x) > t));
#else
    veci yes = load(x) > t;
    uint32_t bits = 0;
    for (int i = 0; i < VECTOR; i++) bits |= (uint32_t)(yes[i] & 1) << i;
    return bits;
#endif
}

/* A bit for each of 64 scores that reach t. */
static inline uint64_t reaching(const int32_t x[WORD], int32_t t)
{
    veci below = spread(t - 1);
    uint64_t bits = 0;
#pragma GCC unroll 8
    for (int i = 0; i < WORD; i += VECTOR) bits |= (uint64_t)lanes_above(x + i, below) << i;
    return bits;
}

static inline veci score_bits(const float *w, const float *v)
{
    vec a, b;
    memcpy(&a, w, sizeof a);
    memcpy(&b, v, sizeof b);
    return (veci)(a * b) & 0x7fffffff;
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

/* The next threshold to try. The second steps past where the first says the answer is, so that the two enclose it. */
static int32_t next_probe(const struct bracket *b, const struct selection *s, int probes)
{
    int32_t middle = b->low + (b->high - b->low) / 2, t = middle;
    if (probes == 0) t = *s->guess;
    else if (probes == 1 && b->low == *s->guess)
        t = as_bits(as_float(b->low) * ((float)b->n_low + 4) / (float)s->k);
    else if (probes == 1 && b->high == *s->guess)
        t = as_bits(as_float(b->high) * ((float)b->n_high - 4) / (float)s->k);
    else if (probes % 4) t = divide(b, s->k);
    return t > b->low && t < b->high ? t : middle;
}

/* Until few scores are left between low and high. */
static void narrow(const struct selection *s, struct bracket *b)
{
    for (int probes = 0; b->n_low != s->k && b->n_low - b->n_high > WORD && b->high - b->low > 1;
         probes++) {
        int32_t t = next_probe(b, s, probes);
        size_t n = count_reaching(s, t);
        if (n >= s->k) b->low = t, b->n_low = n;
        else b->high = t, b->n_high = n;
    }
    *s->guess = divide(b, s->k);
}

static void write_reaching(const struct selection *s, int32_t t)
{
    for (size_t i = 0; i < s->n; i += WORD) s->ones[i / WORD] = reaching(s->scratch + i, t);
}

/* The scores of a bracket, at most 64, in the order of their indices. */
struct few {
    int32_t value[2 * WORD];
    int n;
};

/* Ones to all that reach high; `between` to those that reach low only, and their scores to few. Four a word are copied
 * without asking whether they are there: what is not is overwritten by the next. */
static void part(const struct selection *s, const struct bracket *b, uint64_t *between,
                 struct few *few)
{
    int n = 0;
    for (size_t i = 0; i < s->n; i += WORD) {
        const int32_t *x = s->scratch + i;
        uint64_t over = reaching(x, b->high), left = reaching(x, b->low) & ~over;
        int32_t *to = few->value + n;
        s->ones[i / WORD] = over;
        between[i / WORD] = left;
        n += __builtin_popcountll(left);
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++, left &= left - 1)
            to[j] = x[__builtin_ctzll(left | UINT64_C(1) << 63)];
        for (to += 4; left; left &= left - 1) *to++ = x[__builtin_ctzll(left)];
    }
    few->n = n;
    for (int i = 0; i < WORD; i++) few->value[n + i] = -1;
}

/* A bit for each of the k largest of the few. A pivot's larger ones are taken, or nothing but them is looked at. */
static uint64_t largest(const struct few *few, size_t k)
{
    uint64_t alive = few->n < WORD ? (UINT64_C(1) << few->n) - 1 : UINT64_MAX, taken = 0;
    while (k) {
        int32_t pivot = few->value[__builtin_ctzll(alive)];
        uint64_t larger = reaching(few->value, pivot + 1) & alive,
                 equal = reaching(few->value, pivot) & alive & ~larger;
        size_t n = (size_t)__builtin_popcountll(larger);
        if (n >= k) {
            alive = larger;
            continue;
        }
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

static void write_largest(const struct selection *s, const struct bracket *b)
{
    struct few few;
    uint64_t *between = (uint64_t *)(void *)(s->scratch + (s->n + WORD - 1) / WORD * WORD);
    part(s, b, between, &few);
    uint64_t taken = largest(&few, s->k - b->n_high);
    for (size_t i = 0; taken; i++) {
        int n = __builtin_popcountll(between[i]);
        s->ones[i] |= deposit(taken, between[i]);
        taken = n < 64 ? taken >> n : 0;
    }
}

static void add_first_ties(const struct selection *s, int32_t t, size_t ties)
{
    for (size_t i = 0; ties && i < s->n; i++)
        if (s->scratch[i] == t) {
            s->ones[i / WORD] |= UINT64_C(1) << i % WORD;
            ties--;
        }
}

void cpu_select(const struct selection *s)
{
    assert(s->cols > 0 && s->k <= s->n);
    struct bracket b = {0, INT32_MAX, s->n, 0};
    make_scores(s);
    if (s->k) narrow(s, &b);
    if (s->k == 0 || b.n_low == s->k) {
        write_reaching(s, s->k ? b.low : INT32_MAX);
    } else if (b.n_low - b.n_high <= WORD) {
        write_largest(s, &b);
    } else {
        write_reaching(s, b.high);
        add_first_ties(s, b.low, s->k - b.n_high);
    }
}
