/* Packed masks against arrays of bytes, at sizes around the borders of words. */
#include "pipeline/neurons/mask.h"

#include "base/arena.h"
#include "base/philox.h"
#include "tests/tap.h"

enum { MOST = 1000 };
static const size_t SIZE[] = {0, 1, 2, 63, 64, 65, 127, 128, 129, 230, 768, 999};
enum { SIZES = sizeof SIZE / sizeof SIZE[0] };

static void random_mask(struct mask *m, uint8_t *plain, size_t n, uint32_t which, uint64_t seed)
{
    struct err e;
    uint32_t bits[MOST];
    philox_bits(philox_key(seed, PHILOX_TEST), which, (uint32_t)n, bits, n);
    if (mask_init(m, n, &e)) exit(99);
    for (size_t i = 0; i < n; i++)
        if ((plain[i] = bits[i] & 1)) mask_set(m, i);
}

/* Positions at which mask and bytes differ, and bits that stand past the end. */
static size_t differ(const struct mask *m, const uint8_t *plain)
{
    size_t wrong = 0;
    for (size_t i = 0; i < m->n_bits; i++) wrong += mask_get(m, i) != plain[i];
    if (m->n_bits % 64) wrong += m->words[m->n_words - 1] >> (m->n_bits % 64) != 0;
    return wrong;
}

static size_t count(const uint8_t *plain, size_t n)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += plain[i];
    return sum;
}

static void algebra(size_t n, uint64_t seed)
{
    struct mask a, b, c;
    struct err e;
    uint8_t pa[MOST], pb[MOST], pc[MOST], both[MOST], either[MOST];
    random_mask(&a, pa, n, 1, seed);
    random_mask(&b, pb, n, 2, seed);
    for (size_t i = 0; i < n; i++) {
        both[i] = pa[i] & pb[i];
        either[i] = pa[i] | pb[i];
        pc[i] = pa[i] & !pb[i];
    }
    is_int(mask_count(&a), count(pa, n), "%zu bits: the ones are counted", n);
    is_code(mask_copy(&c, &a, &e), OK, &e, "%zu bits: a copy is made", n);
    mask_and(&c, &b);
    is_int(differ(&c, both), 0, "%zu bits: AND", n);
    memcpy(c.words, a.words, a.n_words * sizeof *a.words);
    mask_or(&c, &b);
    is_int(differ(&c, either), 0, "%zu bits: OR", n);
    memcpy(c.words, a.words, a.n_words * sizeof *a.words);
    mask_and_not(&c, &b);
    is_int(differ(&c, pc), 0, "%zu bits: AND NOT", n);
    mask_fill(&c);
    memset(pc, 1, n);
    is_int(differ(&c, pc), 0, "%zu bits: full, and nothing past the end", n);
    is_int(mask_count(&c), (long long)n, "%zu bits: full counts all", n);
    double nb = (double)count(both, n), ne = (double)count(either, n), na = (double)count(pa, n);
    near(mask_density(&a), n ? na / (double)n : 0, 0, "%zu bits: density", n);
    near(mask_iou(&a, &b), ne > 0 ? nb / ne : 0, 0, "%zu bits: intersection over union", n);
    near(mask_overlap(&a, &b), na > 0 ? nb / na : 0, 0, "%zu bits: overlap", n);
    mask_fini(&a);
    mask_fini(&b);
    mask_fini(&c);
}

static void positions(size_t n, uint64_t seed)
{
    struct mask m;
    struct err e;
    uint8_t plain[MOST];
    uint32_t *at = NULL;
    size_t k = 0, wrong = 0, next = 0;
    random_mask(&m, plain, n, 3, seed);
    is_code(mask_positions(&m, &at, &k, &e), OK, &e, "%zu bits: positions are listed", n);
    for (size_t i = 0; i < n; i++)
        if (plain[i]) wrong += next >= k || at[next++] != i;
    is_int(wrong + (k - next), 0, "%zu bits: they are the ones, ascending", n);
    free(at);
    mask_fini(&m);
}

static void without_memory(void)
{
    struct mask m = {0}, from;
    struct err e;
    uint32_t *at = NULL;
    size_t n = 0;
    arena_fail_after(1);
    is_code(mask_init(&m, 100, &e), ERR_NOMEM, &e, "no memory for a mask is an error");
    mask_fini(&m);
    is_code(mask_init(&from, 100, &e), OK, &e, "a mask of 100");
    arena_fail_after(1);
    is_code(mask_copy(&m, &from, &e), ERR_NOMEM, &e, "no memory for a copy is an error");
    mask_fini(&m);
    arena_fail_after(1);
    is_code(mask_positions(&from, &at, &n, &e), ERR_NOMEM, &e,
            "no memory for positions is an error");
    ok(!at, "and nothing is handed out");
    mask_fini(&from);
    mask_fini(&from);
    ok(!from.words && !from.n_bits, "a mask may end twice");
}

int main(void)
{
    uint64_t seed = tap_seed(11);
    for (int i = 0; i < SIZES; i++) algebra(SIZE[i], seed);
    for (int i = 0; i < SIZES; i++) positions(SIZE[i], seed);
    without_memory();
    return done_testing();
}
