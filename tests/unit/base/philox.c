/* Philox against the known answers of Random123 1.14 (kat_vectors), and what the draws promise. */
#include "base/philox.h"
#include "tests/tap.h"

static void test_known(void)
{
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0}, {0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t out[4];
        philox_block(known[i].counter, known[i].key, out);
        ok(!memcmp(out, known[i].out, sizeof out), "known answer %zu", i);
    }
}

/* The counter words stand where the header says. */
static void test_counter(void)
{
    struct philox_key k = philox_key(0x1122334455667788u, PHILOX_TEST);
    const uint32_t counter[4] = {1, 9, 0x55555555, 0xaaaaaaaa ^ PHILOX_TEST};
    const uint32_t key[2] = {0x55667788, 0x11223344};
    uint32_t want[4], got[8];
    philox_block(counter, key, want);
    philox_bits(k, 0xaaaaaaaa55555555u, 9, got, 8);
    ok(!memcmp(want, got + 4, sizeof want),
       "bits 4..7 are block 1 of (seed, step, sample, purpose)");
}

static void test_prefix(void)
{
    struct philox_key k = philox_key(5, PHILOX_TEST);
    float few[7], many[64];
    philox_normal(k, 3, 2, few, 7);
    philox_normal(k, 3, 2, many, 64);
    ok(!memcmp(few, many, sizeof few), "the first 7 of 64 normals are the 7 normals");
    philox_uniform(k, 3, 2, few, 7);
    philox_uniform(k, 3, 2, many, 64);
    ok(!memcmp(few, many, sizeof few), "the first 7 of 64 uniforms are the 7 uniforms");
    float other[64];
    philox_uniform(philox_key(5, PHILOX_LATENT), 3, 2, other, 64);
    ok(memcmp(other, many, sizeof many) != 0, "another purpose draws other numbers");
    philox_uniform(k, 4, 2, other, 64);
    ok(memcmp(other, many, sizeof many) != 0, "another step too");
    philox_uniform(k, 3, 3, other, 64);
    ok(memcmp(other, many, sizeof many) != 0, "another sample too");
}

static void test_moments(void)
{
    enum { N = 1 << 18 };
    static float x[N];
    struct philox_key k = philox_key(11, PHILOX_TEST);
    double sum = 0, square = 0, fourth = 0, pairs = 0;
    philox_normal(k, 0, 0, x, N);
    for (int i = 0; i < N; i++) {
        double v = (double)x[i];
        sum += v, square += v * v, fourth += v * v * v * v;
        if (i % 2) pairs += v * (double)x[i - 1];
    }
    /* five standard errors each */
    near(sum / N, 0, 5 / sqrt(N), "normals have mean 0");
    near(square / N, 1, 5 * sqrt(2.0 / N), "variance 1");
    near(fourth / N, 3, 5 * sqrt(96.0 / N), "fourth moment 3");
    near(pairs / (N / 2.0), 0, 5 / sqrt(N / 2.0), "and neighbours are uncorrelated");
    philox_uniform(k, 0, 0, x, N);
    float low = 1, high = 0;
    sum = 0;
    for (int i = 0; i < N; i++) {
        sum += (double)x[i];
        if (x[i] < low) low = x[i];
        if (x[i] > high) high = x[i];
    }
    ok(low >= 0 && high < 1, "uniforms lie in [0, 1)");
    near(sum / N, 0.5, 5 * sqrt(1.0 / 12 / N), "and have mean 1/2");
}

/* Bytes that must never change: samples of published commits depend on them. */
static void test_frozen(void)
{
    float z[4], u[2];
    philox_normal(philox_key(42, PHILOX_TRAIN_NOISE), 7, 3, z, 4);
    philox_uniform(philox_key(42, PHILOX_TRAIN_TIME), 7, 3, u, 2);
    static const float want_z[4] = {-0x1.7c4986p+0f, -0x1.a1ca8cp-1f, -0x1.f2bdbap+0f,
                                    -0x1.8b1472p-4f};
    static const float want_u[2] = {0x1.79929p-4f, 0x1.92628ep-1f};
    ok(!memcmp(z, want_z, sizeof z), "normals are the bytes that an independent program computed");
    ok(!memcmp(u, want_u, sizeof u), "uniforms too");
}

static void test_below(void)
{
    struct philox_key k = philox_key(1, PHILOX_TEST);
    int count[7] = {0}, outside = 0;
    for (uint32_t i = 0; i < 70000; i++) {
        uint32_t v = philox_below(k, i, 0, 7);
        if (v < 7) count[v]++;
        else outside++;
    }
    ok(!outside, "philox_below stays below");
    double chi = 0;
    for (int i = 0; i < 7; i++) chi += (count[i] - 1e4) * (count[i] - 1e4) / 1e4;
    ok(chi < 22.46, "and is even (chi squared %.2f, 0.1%% bound 22.46)", chi);
    is_int(philox_below(k, 0, 0, 1), 0, "below 1 is 0");
    uint32_t big = 0xc0000000u; /* a third of all words is rejected here */
    outside = 0;
    for (uint32_t i = 0; i < 1000; i++) outside += philox_below(k, i, 1, big) >= big;
    ok(!outside, "rejection ends, also for a bound that rejects often");
}

int main(void)
{
    test_known();
    test_counter();
    test_prefix();
    test_moments();
    test_frozen();
    test_below();
    return done_testing();
}
