/* Stored values as floats: all 65,536 halves against arithmetic, and the other types at odd addresses. */
#include "pipeline/model/safetensors.h"
#include "tests/tap.h"

static uint32_t bits_of(float f)
{
    uint32_t b;
    memcpy(&b, &f, sizeof b);
    return b;
}

/* sign * 2^(e-15) * (1 + m/1024), by definition. */
static double slow_half(unsigned h)
{
    int e = (h >> 10) & 31, m = h & 1023;
    double v = e == 0 ? ldexp(m, -24) : e == 31 ? (m ? NAN : INFINITY) : ldexp(1024 + m, e - 25);
    return h & 0x8000 ? -v : v;
}

static double slow_bfloat(unsigned h)
{
    int e = (h >> 7) & 255, m = h & 127;
    double v = e == 0 ? ldexp(m, -133) : e == 255 ? (m ? NAN : INFINITY) : ldexp(128 + m, e - 134);
    return h & 0x8000 ? -v : v;
}

static void all_sixteen_bits(enum stored_dtype dtype, double (*slow)(unsigned), const char *name)
{
    static uint8_t data[1 + 2 * 65536];
    static float got[65536];
    struct stored t = {"x", dtype, 1, {65536}, data + 1, 2 * 65536, NULL}; /* at an odd address */
    struct err e;
    int wrong = 0, wrong_nan = 0;
    for (unsigned h = 0; h < 65536; h++) {
        data[1 + 2 * h] = (uint8_t)h;
        data[2 + 2 * h] = (uint8_t)(h >> 8);
    }
    is_code(stored_to_float(&t, got, &e), OK, &e, "%s becomes float", name);
    for (unsigned h = 0; h < 65536; h++) {
        double want = slow(h);
        if (isnan(want)) wrong_nan += !isnan(got[h]) || (bits_of(got[h]) >> 31) != h >> 15;
        else wrong += bits_of(got[h]) != bits_of((float)want) || (double)got[h] != want;
    }
    is_int(wrong, 0, "all %s are exact, subnormals, zeros and infinities included", name);
    is_int(wrong_nan, 0, "every NaN of %s stays a NaN of its sign", name);
}

/* Values of one type, copied to an odd address. */
static void converts(enum stored_dtype dtype, const void *from, size_t bytes, int n,
                     const double *want, const char *name)
{
    uint8_t data[65];
    float f[8];
    int64_t v[8];
    struct err e;
    struct stored t = {"x", dtype, 2, {n / 2, 2}, data + 1, bytes, NULL};
    enum code rc;
    memcpy(data + 1, from, bytes);
    is_code(stored_to_float(&t, f, &e), OK, &e, "%s becomes float", name);
    for (int i = 0; i < n; i++)
        ok((double)f[i] == (double)(float)want[i], "  value %d: %g", i, (double)f[i]);
    rc = stored_to_int(&t, v, &e);
    if (dtype == STORED_F32 || dtype == STORED_F64) {
        is_code(rc, ERR_INPUT, &e, "  %s is not read as integers", name);
        return;
    }
    for (int i = 0; i < n; i++) ok(!rc && (double)v[i] == want[i], "  integer %d", i);
}

/* Each value and the midpoint to the next one: itself, then the even of the two, also an ulp to either side. */
static void rounds_to(enum stored_dtype dtype, double (*slow)(unsigned), unsigned infinity,
                      const char *name)
{
    int wrong = 0;
    for (unsigned h = 0; h < infinity; h++) {
        double low = slow(h), high = h + 1 < infinity ? slow(h + 1) : 2 * low - slow(h - 1);
        float middle = (float)((low + high) / 2);
        float from[4] = {(float)low, middle, nextafterf(middle, 0), nextafterf(middle, INFINITY)};
        unsigned want[4] = {h, h + (h & 1), h, h + 1};
        uint16_t got[4], negative[4];
        stored_from_float(dtype, from, 4, got);
        for (int i = 0; i < 4; i++) from[i] = -from[i];
        stored_from_float(dtype, from, 4, negative);
        for (int i = 0; i < 4; i++)
            wrong += got[i] != want[i] || negative[i] != (want[i] | 0x8000u);
    }
    is_int(wrong, 0, "floats become %s, to nearest even, beyond the last one infinity", name);
    uint16_t nan;
    stored_from_float(dtype, &(float){NAN}, 1, &nan);
    ok(isnan(slow(nan)), "a NaN stays a NaN in %s", name);
}

int main(void)
{
    static const float f32[] = {1.5f, -0.0f, 3e38f, 1e-45f};
    static const double f64[] = {0.1, 1e300, -2, 16777217},
                        f64_want[] = {0.1, INFINITY, -2, 16777216};
    static const int64_t i64[] = {-1, 49407, 1LL << 40, 0};
    static const int32_t i32[] = {-5, 7};
    static const int16_t i16[] = {-300, 300};
    static const int8_t i8[] = {-128, 127};
    static const uint8_t u8[] = {0, 255}, boolean[] = {0, 2};
    struct stored other = {"x", STORED_OTHER, 0, {0}, NULL, 0, NULL},
                  empty = {"x", STORED_F32, 2, {0, 3}, NULL, 0, NULL};
    struct err e;
    float f;
    all_sixteen_bits(STORED_F16, slow_half, "F16");
    all_sixteen_bits(STORED_BF16, slow_bfloat, "BF16");
    rounds_to(STORED_F16, slow_half, 0x7c00, "F16");
    rounds_to(STORED_BF16, slow_bfloat, 0x7f80, "BF16");
    converts(STORED_F32, f32, sizeof f32, 4, (double[]){1.5, -0.0, (double)3e38f, (double)1e-45f},
             "F32");
    converts(STORED_F64, f64, sizeof f64, 4, f64_want, "F64");
    converts(STORED_I64, i64, sizeof i64, 4, (double[]){-1, 49407, 1099511627776, 0}, "I64");
    converts(STORED_I32, i32, sizeof i32, 2, (double[]){-5, 7}, "I32");
    converts(STORED_I16, i16, sizeof i16, 2, (double[]){-300, 300}, "I16");
    converts(STORED_I8, i8, sizeof i8, 2, (double[]){-128, 127}, "I8");
    converts(STORED_U8, u8, sizeof u8, 2, (double[]){0, 255}, "U8");
    converts(STORED_BOOL, boolean, sizeof boolean, 2, (double[]){0, 1}, "BOOL");
    is_code(stored_to_float(&other, &f, &e), ERR_INPUT, &e,
            "a type that is not computed with is refused");
    is_code(stored_to_float(&empty, &f, &e), OK, &e, "no values are no work");
    is_int(stored_count(&other), 1, "a scalar counts one");
    is_int(stored_count(&empty), 0, "a zero dimension counts none");
    return done_testing();
}
