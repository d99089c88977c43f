/* stored.c - values of a stored tensor as float32 or int64.
 *
 * Stored data may begin at any byte, so every element is copied out before it is looked at. F16 and BF16 are exact,
 * including subnormals, infinities and the payload of a NaN; F64 and integers round to nearest even.
 */
#include "pipeline/model/safetensors.h"

#include <assert.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "safetensors data is little-endian and is read as it is");

int64_t stored_count(const struct stored *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++) n *= t->dim[i];
    return n;
}

void stored_release(const struct stored *t)
{
    if (t->map) file_map_release(t->map, t->data, t->bytes);
}

static float float_of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static float float_of_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, rest = half & 0x7fffu, bits;
    if (rest >= 0x7c00u) return float_of_bits(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
    if (rest >= 0x0400u) return float_of_bits(sign | ((rest << 13) + (112u << 23)));
    float f = (float)rest * 0x1p-24f; /* subnormal: a multiple of the smallest, normal in float32 */
    memcpy(&bits, &f, sizeof bits);
    return float_of_bits(sign | bits);
}

/* Loops over unaligned elements of TYPE; `v` is the element, STATEMENT consumes it. */
#define EACH(TYPE, STATEMENT)                                 \
    for (int64_t i = 0; i < n; i++) {                         \
        TYPE v;                                               \
        memcpy(&v, t->data + (size_t)i * sizeof v, sizeof v); \
        STATEMENT;                                            \
    }                                                         \
    return OK

enum code stored_to_float(const struct stored *t, float *out, struct err *e)
{
    int64_t n = stored_count(t);
    switch (t->dtype) {
    case STORED_F32:
        if (n) memcpy(out, t->data, (size_t)n * sizeof *out);
        return OK;
    case STORED_F16: EACH(uint16_t, out[i] = float_of_half(v));
    case STORED_BF16: EACH(uint16_t, out[i] = float_of_bits((uint32_t)v << 16));
    case STORED_F64: EACH(double, out[i] = (float)v);
    case STORED_I64: EACH(int64_t, out[i] = (float)v);
    case STORED_I32: EACH(int32_t, out[i] = (float)v);
    case STORED_I16: EACH(int16_t, out[i] = (float)v);
    case STORED_I8: EACH(int8_t, out[i] = (float)v);
    case STORED_U8: EACH(uint8_t, out[i] = (float)v);
    case STORED_BOOL: EACH(uint8_t, out[i] = v ? 1.0f : 0.0f);
    case STORED_OTHER: break;
    }
    return err_set(
        e, ERR_INPUT,
        "tensor %.160s has a type that is not read as float; save it as F32, F16 or BF16", t->name);
}

enum code stored_to_int(const struct stored *t, int64_t *out, struct err *e)
{
    int64_t n = stored_count(t);
    switch (t->dtype) {
    case STORED_I64: EACH(int64_t, out[i] = v);
    case STORED_I32: EACH(int32_t, out[i] = v);
    case STORED_I16: EACH(int16_t, out[i] = v);
    case STORED_I8: EACH(int8_t, out[i] = v); /* NOLINT(bugprone-signed-char-misuse): a number */
    case STORED_U8: EACH(uint8_t, out[i] = v);
    case STORED_BOOL: EACH(uint8_t, out[i] = v != 0);
    default: return err_set(e, ERR_INPUT, "tensor %.160s does not hold integers", t->name);
    }
}

static uint32_t bits_of_float(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* value >> shift, to nearest even. shift 1 to 31. */
static uint32_t shifted(uint32_t value, int shift)
{
    uint32_t half = UINT32_C(1) << (shift - 1), odd = value >> shift & 1;
    return (value + half - 1 + odd) >> shift;
}

static uint16_t half_of_float(float f)
{
    uint32_t bits = bits_of_float(f), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (rest >> 13 & 0x3ffu)); /* NaN */
    if (rest >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 and more: infinity */
    if (rest >= 0x38800000u) return (uint16_t)(sign | shifted(rest - (112u << 23), 13));
    if (rest < 0x33000000u) return (uint16_t)sign; /* below half of the smallest */
    int shift = 126 - (int)(rest >> 23);           /* subnormal: in units of 2^-24 */
    return (uint16_t)(sign | shifted((rest & 0x7fffffu) | 0x800000u, shift));
}

static uint16_t bfloat_of_float(float f)
{
    uint32_t bits = bits_of_float(f);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u); /* NaN */
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

void stored_from_float(enum stored_dtype dtype, const float *from, int64_t n, void *out)
{
    uint8_t *to = out;
    assert(dtype == STORED_F32 || dtype == STORED_F16 || dtype == STORED_BF16);
    if (dtype == STORED_F32) {
        if (n) memcpy(to, from, (size_t)n * sizeof *from);
        return;
    }
    for (int64_t i = 0; i < n; i++, to += 2) {
        uint16_t v = dtype == STORED_F16 ? half_of_float(from[i]) : bfloat_of_float(from[i]);
        memcpy(to, &v, sizeof v);
    }
}
