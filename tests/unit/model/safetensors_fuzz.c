/* safetensors_parse on a few hundred thousand damaged files: it refuses or accepts, it never reads outside. What it
 * accepts keeps the three promises of safetensors.c. Run with SAN=1 this is a fuzzer. */
#include "base/philox.h"
#include "pipeline/model/safetensors.h"
#include "tests/unit/model/support/files.h"

#define ROUNDS 200000

/* Pieces that put the damage where it hurts: into numbers, brackets and names. */
static const char *const piece[] = {"0",
                                    "8",
                                    "-1",
                                    "4",
                                    "16",
                                    "99999999999999999999",
                                    "18446744073709551615",
                                    "1e9",
                                    "[",
                                    "]",
                                    "{",
                                    "}",
                                    "\"",
                                    ",",
                                    ":",
                                    "\\u0000",
                                    "\\",
                                    "\"a\"",
                                    "\"b\"",
                                    "F16",
                                    "F4",
                                    "F64",
                                    "I64",
                                    "null",
                                    "true",
                                    "\xff",
                                    "__metadata__",
                                    "[[[[[[[[",
                                    "9223372036854775807",
                                    " "};

static uint32_t draw(uint64_t seed, uint32_t round, uint32_t *at, uint32_t bound)
{
    return philox_below(philox_key(seed, PHILOX_TEST), round, (*at)++, bound);
}

static size_t damage(uint64_t seed, uint32_t round, const struct bytes *from, uint8_t *to)
{
    uint32_t at = 0, times = 1 + draw(seed, round, &at, 3);
    size_t n = from->n;
    memcpy(to, from->data, n);
    while (times--) {
        uint32_t where = 8 + draw(seed, round, &at, (uint32_t)n - 8);
        const char *p = piece[draw(seed, round, &at, sizeof piece / sizeof *piece)];
        switch (draw(seed, round, &at, 5)) {
        case 0: to[where] ^= (uint8_t)(1u << draw(seed, round, &at, 8)); break;
        case 1: to[draw(seed, round, &at, 8)] ^= (uint8_t)(1u << draw(seed, round, &at, 8)); break;
        case 2: n = 9 + draw(seed, round, &at, (uint32_t)n - 8); break;
        default: /* overwrite by a piece */
            for (size_t i = 0; p[i] && where + i < n; i++) to[where + i] = (uint8_t)p[i];
        }
        if (n < 10) break;
    }
    return n;
}

static int keeps_promises(const struct safetensors *s, const uint8_t *begin, size_t n)
{
    const uint8_t *at = NULL, *end = begin + n;
    for (size_t i = 0; i < safetensors_count(s); i++) {
        const struct stored *t = safetensors_at(s, i);
        if (t->data < begin + 8 || t->data + t->bytes > end || (at && t->data != at)) return 0;
        if (safetensors_find(s, t->name) != t) return 0;
        at = t->data + t->bytes;
    }
    return !at || at == end;
}

int main(void)
{
    struct bytes whole =
        container("{\"__metadata__\":{\"format\":\"pt\"},"
                  "\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
                  "\"b\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[16,24]}}",
                  24);
    uint64_t seed = tap_seed(1);
    uint8_t *copy = malloc(whole.n);
    long accepted = 0, broken = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        size_t n = damage(seed, round, &whole, copy);
        uint8_t *exact = malloc(n); /* of exactly this size: reading past it is seen */
        struct safetensors *s;
        memcpy(exact, copy, n);
        if (!safetensors_parse(&s, exact, n, "damaged", NULL)) {
            accepted++;
            broken += !keeps_promises(s, exact, n);
            safetensors_close(s);
        }
        free(exact);
    }
    ok(accepted > 0 && accepted < ROUNDS / 2, "%d damaged files: %ld were still sound", ROUNDS,
       accepted);
    is_int(broken, 0, "every file that was accepted keeps its promises");
    free(copy);
    free(whole.data);
    return done_testing();
}
