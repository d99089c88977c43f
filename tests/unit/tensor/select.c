/* Which scores are the largest: every set of kernels of this machine against a sort, whatever the hint says. */
#include "base/philox.h"
#include "pipeline/tensor/kernels.h"
#include "tests/tap.h"

enum { MOST = 1024, WORDS = MOST / 64, ROWS = 11 };

struct row {
    float w[MOST], v[MOST];
    int16_t log_w[MOST], log_v[MOST];
    uint64_t want[WORDS], ones[WORDS], undecided[WORDS];
    float hint, threshold;
};

/* ---- the reference ---- */

static const float *SCORES;

static int best_first(const void *a, const void *b)
{
    size_t i = *(const size_t *)a, j = *(const size_t *)b;
    if (SCORES[i] != SCORES[j]) return SCORES[i] < SCORES[j] ? 1 : -1;
    return (i > j) - (i < j);
}

static void reference(struct row *r, size_t n, size_t k)
{
    float score[MOST];
    size_t order[MOST];
    for (size_t i = 0; i < n; i++) score[i] = fabsf(r->w[i]) * r->v[i], order[i] = i;
    SCORES = score;
    qsort(order, n, sizeof *order, best_first);
    memset(r->want, 0, sizeof r->want);
    for (size_t i = 0; i < k; i++) r->want[order[i] / 64] |= UINT64_C(1) << order[i] % 64;
    r->threshold = k ? score[order[k - 1]] : 0;
}

/* ---- kinds of rows ---- */

enum kind { NORMAL, GRAINY, CRUMBS, GIANTS, ZEROS, EQUAL, HALF_ZERO, CLOSE, KINDS };
static const char *const KIND[] = {"normal", "many ties", "crumbs",    "giants",
                                   "zeros",  "all equal", "half zero", "close together"};

static float weight_of(enum kind kind, float x, size_t i)
{
    switch (kind) {
    case GRAINY: return roundf(x * 10) / 10;
    case CRUMBS: return x * 1e-38f;
    case GIANTS: return i % 97 ? x : x * 1e12f;
    case ZEROS: return 0;
    case EQUAL: return i % 2 ? 0.25f : -0.25f;
    case HALF_ZERO: return i % 2 ? x : 0;
    case CLOSE: return 1 + x * 1e-4f;
    default: return x;
    }
}

static void row_make(struct row *r, enum kind kind, size_t n, uint64_t seed)
{
    float noise[MOST];
    philox_normal(philox_key(seed, PHILOX_TEST), 1, 0, r->w, n);
    philox_normal(philox_key(seed, PHILOX_TEST), 2, 0, noise, n);
    for (size_t i = 0; i < n; i++) {
        r->w[i] = weight_of(kind, r->w[i], i);
        r->v[i] = kind == EQUAL || kind == GRAINY ? 2 : expf(0.2f * noise[i]);
    }
}

/* ---- what is asked of them ---- */

struct tally {
    int select, beyond, settled, parted; /* wrong; wrong; wrong; how many could be */
};

static size_t ones_of(const uint64_t *x)
{
    size_t n = 0;
    for (int i = 0; i < WORDS; i++) n += (size_t)__builtin_popcountll(x[i]);
    return n;
}

static void check_parted(const struct kernels *t, struct selection *s, struct row *r,
                         struct tally *sum)
{
    uint64_t outside = 0, scratch[WORDS];
    sum->parted += s->k_undecided != NOT_PARTED;
    if (s->k_undecided == NOT_PARTED) return;
    for (int i = 0; i < WORDS; i++) {
        outside |= r->ones[i] & ~r->want[i];
        outside |= r->want[i] & ~(r->ones[i] | r->undecided[i]);
        outside |= r->ones[i] & r->undecided[i];
        scratch[i] = r->want[i] & r->undecided[i];
    }
    sum->beyond += outside != 0 || ones_of(scratch) != s->k_undecided;
    t->settle_row(s);
    sum->settled += memcmp(r->ones, r->want, sizeof r->want) != 0;
}

static void rows_check(const struct kernels *t, struct row *rows, size_t n, size_t k, float off,
                       struct tally *sum)
{
    static int32_t scratch[2 * MOST];
    struct selection s[ROWS], *list[ROWS];
    for (size_t i = 0; i < ROWS; i++) {
        struct row *r = &rows[i];
        float known = r->threshold > 0 ? 1024 * log2f(r->threshold) : 0;
        memset(r->ones, 0, sizeof r->ones);
        memset(r->undecided, 0, sizeof r->undecided);
        s[i] = (struct selection){.w = r->w,
                                  .v = r->v,
                                  .n = n,
                                  .cols = n,
                                  .k = k,
                                  .hint = &r->hint,
                                  .ones = r->ones,
                                  .scratch = scratch,
                                  .undecided = r->undecided};
        list[i] = &s[i];
        t->select(&s[i]);
        sum->select += memcmp(r->ones, r->want, sizeof r->want) != 0;
        s[i].log_w = (struct selection_logs){r->log_w, t->logs(r->w, n, r->log_w)};
        s[i].log_v = (struct selection_logs){r->log_v, t->logs(r->v, n, r->log_v)};
        r->hint = known + off;
        memset(r->ones, 0, sizeof r->ones);
    }
    t->part_rows(list, ROWS);
    for (size_t i = 0; i < ROWS; i++) check_parted(t, &s[i], &rows[i], sum);
}

static void kind_check(int level, enum kind kind, uint64_t seed)
{
    static const size_t WIDE[] = {1, 2, 31, 63, 64, 65, 130, 700, 768, 1024};
    static const float OFF[] = {0, 3, -20, 60, -150, 900, -1e5f};
    static struct row rows[ROWS];
    const struct kernels *t = kernels_cpu_at(level);
    struct tally sum = {0};
    for (size_t d = 0; d < sizeof WIDE / sizeof WIDE[0]; d++) {
        size_t n = WIDE[d], many[] = {n * 3 / 10, n / 20, n * 9 / 10, 1, n};
        for (size_t i = 0; i < ROWS; i++) row_make(&rows[i], kind, n, seed + d * ROWS + i);
        for (size_t j = 0; j < sizeof many / sizeof many[0]; j++) {
            for (size_t i = 0; i < ROWS; i++) reference(&rows[i], n, many[j]);
            for (size_t o = 0; o < sizeof OFF / sizeof OFF[0]; o++)
                rows_check(t, rows, n, many[j], OFF[o], &sum);
        }
    }
    is_int(sum.select, 0, "level %d, %s: select is the sort's", level, KIND[kind]);
    is_int(sum.beyond, 0, "level %d, %s: what is decided is right", level, KIND[kind]);
    is_int(sum.settled, 0, "level %d, %s: what is settled is the sort's", level, KIND[kind]);
}

/* Exactness would hide it if the quick way were never taken. */
static void mostly_quick(int level, uint64_t seed)
{
    static struct row rows[ROWS];
    struct tally sum = {0};
    for (uint64_t d = 0; d < 20; d++) {
        for (size_t i = 0; i < ROWS; i++) {
            row_make(&rows[i], NORMAL, 768, seed + d * ROWS + i);
            reference(&rows[i], 768, 230);
        }
        rows_check(kernels_cpu_at(level), rows, 768, 230, d % 2 ? 30 : -30, &sum);
    }
    ok(sum.parted >= 20 * ROWS * 9 / 10, "level %d: rows of the usual size are parted (%d of %d)",
       level, sum.parted, 20 * ROWS);
}

int main(void)
{
    uint64_t seed = tap_seed(7);
    for (int level = 0; kernels_cpu_at(level); level++) {
        for (int kind = 0; kind < KINDS; kind++) kind_check(level, (enum kind)kind, seed);
        mostly_quick(level, seed);
    }
    return done_testing();
}
