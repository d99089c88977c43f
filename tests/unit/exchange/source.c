/* source: pieces become one tensor, in the type that was asked for. */
#include "pipeline/exchange/source.h"
#include "tests/tap.h"

static struct err e;

/* The middle of three pieces is stored at an odd address; every range must be the same as the whole's. */
static void joins_pieces(void)
{
    enum { A = 5000, B = 7, C = 4200, N = A + B + C };
    static float a[A], c[C], whole[N], got[N];
    static uint8_t b[1 + 2 * B];
    struct stored half = {"b", STORED_F16, 1, {B}, b + 1, 2 * B, NULL};
    struct source s = {
        .name = "t",
        .dtype = STORED_F32,
        .rank = 1,
        .dim = {N},
        .piece = {{.values = a, .count = A}, {.stored = &half}, {.values = c, .count = C}}};
    for (int i = 0; i < N; i++) whole[i] = (float)i;
    memcpy(a, whole, sizeof a);
    memcpy(c, whole + A + B, sizeof c);
    stored_from_float(STORED_F16, whole + A, B, b + 1);
    stored_to_float(&half, whole + A, &e);
    is_code(source_read(&s, 0, N, got, &e), OK, &e, "three pieces are read");
    ok(!memcmp(got, whole, sizeof whole), "one after another");
    int wrong = 0;
    for (int first = A - 3; first <= A + B + 2; first++)
        for (int n = 0; n <= B + 5; n++) {
            memset(got, 0xff, sizeof got);
            wrong += source_read(&s, first, n, got, &e) != OK ||
                     memcmp(got, whole + first, (size_t)n * sizeof *got) != 0;
        }
    is_int(wrong, 0, "any range of them too");
}

static void converts(void)
{
    float big[3] = {1, 65519, 0x1p-25f * 3}, back[3];
    uint16_t half[3];
    struct source s = {.name = "scale",
                       .dtype = STORED_F16,
                       .rank = 1,
                       .dim = {3},
                       .piece = {{.values = big, .count = 3}}};
    struct stored stored = {"x", STORED_F16, 1, {3}, (uint8_t *)half, sizeof half, NULL};
    is_code(source_read(&s, 0, 3, half, &e), OK, &e, "values are rounded to halves");
    stored_to_float(&stored, back, &e);
    ok(back[0] == 1 && back[1] == 65504 && back[2] == 0x1p-23f, "the nearest ones, ties to even");
    big[1] = 65520;
    is_code(source_read(&s, 0, 3, half, &e), ERR_INPUT, &e,
            "a value that would become infinite is refused");
    ok(strstr(e.text, "scale holds 65520") && strstr(e.text, "--dtype fp32"), "with the way out");
    big[1] = INFINITY;
    is_code(source_read(&s, 0, 3, half, &e), OK, &e, "one that is infinite stays so");
}

static void chooses_types(void)
{
    static const enum stored_dtype real[] = {STORED_F32, STORED_F16, STORED_BF16, STORED_F64};
    int wrong = 0;
    for (int i = 0; i < 4; i++) {
        struct stored t = {.dtype = real[i]};
        wrong += source_dtype(&t, STORED_F16) != STORED_F16 ||
                 source_dtype(&t, STORED_F32) != STORED_F32 ||
                 source_dtype(&t, STORED_OTHER) != real[i];
    }
    is_int(wrong, 0, "fractions take the type that is asked for, or stay");
    is_int(source_dtype(&(struct stored){.dtype = STORED_I64}, STORED_F16), STORED_I64,
           "integers stay");
}

int main(void)
{
    joins_pieces();
    converts();
    chooses_types();
    return done_testing();
}
