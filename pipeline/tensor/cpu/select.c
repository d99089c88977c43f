/* select.c - which of many scores are the largest: the inner loop of neuron scoring (neurons/score.h), for any group.
 *
 *     score[i] = |w[i]| v[i % cols]        ones go to the k largest, ties to the smaller index
 *
 * Scores are non-negative floats, which order as their bits do, so everything after the product is whole numbers and exact:
 * no choice below can change a mask. Passes that only count close in on the threshold: from an end that is near by a step a
 * little past the answer, between two ends along a straight line, and every fourth time in the middle, so that no
 * distribution is slow; until at most 64 scores lie between the ends and are ranked (few.h), or all that do are one tied
 * value. Rows, which are nearly all there is, have a quicker way: select_row.c.
 */
#include "pipeline/tensor/cpu/cpu.h"
#include "pipeline/tensor/cpu/few.h"

#include <assert.h>

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

/* Ones to all that reach high; `between` to those that reach low only, at most 64, and their scores to few. */
static void part_of(const struct selection *s, const struct bracket *b, uint64_t *between,
                    struct few *few)
{
    const veci low = spread(b->low - 1), high = spread(b->high - 1);
    few->n = 0;
    for (size_t i = 0; i < s->n; i += WORD) {
        uint64_t over = 0, left = 0;
#pragma GCC unroll 8
        for (int j = 0; j < WORD; j += VECTOR) {
            over |= above(load(s->scratch + i + (size_t)j), high) << j;
            left |= above(load(s->scratch + i + (size_t)j), low) << j;
        }
        left &= ~over;
        s->ones[i / WORD] = over;
        between[i / WORD] = left;
        for (; left; left &= left - 1)
            few->value[few->n++] = s->scratch[i + (size_t)__builtin_ctzll(left)];
    }
    few_end(few);
}

static void add_first_ties(const struct selection *s, int32_t t, size_t ties)
{
    for (size_t i = 0; ties && i < s->n; i++)
        if (s->scratch[i] == t) {
            s->ones[i / WORD] |= UINT64_C(1) << i % WORD;
            ties--;
        }
}

/* Returns the threshold. */
static int32_t search(const struct selection *s)
{
    struct bracket b = {0, INT32_MAX, s->n, 0};
    size_t words = (s->n + WORD - 1) / WORD;
    make_scores(s);
    narrow(s, &b);
    if (b.n_low == s->k) {
        write_reaching(s, b.low);
    } else if (b.n_low - b.n_high <= WORD) {
        uint64_t *between = (uint64_t *)(void *)(s->scratch + words * WORD);
        struct few few;
        part_of(s, &b, between, &few);
        return few_write(&few, s->k - b.n_high, between, words, s->ones);
    } else {
        write_reaching(s, b.high);
        add_first_ties(s, b.low, s->k - b.n_high);
    }
    return b.low;
}

void cpu_select(const struct selection *s)
{
    assert(s->cols > 0 && s->k <= s->n);
    if (s->k == 0) {
        memset(s->ones, 0, (s->n + WORD - 1) / WORD * sizeof *s->ones);
    } else {
        *s->hint = cpu_log(as_float(search(s)));
    }
}
