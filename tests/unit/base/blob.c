/* Records that travel: fixed bytes, sticky reads, a seal that sees every flipped bit. */
#include "base/blob.h"
#include "base/arena.h"
#include "tests/tap.h"

static void test_bytes(void)
{
    static const uint8_t want[] = {4, 3, 2, 1, 8,    7,    6,   5, 4, 3,
                                   2, 1, 0, 0, 0xc0, 0x3f, 'x', 0, 0, 0};
    static const float f[1] = {1.5f};
    struct blob b = {0};
    blob_u32(&b, 0x01020304);
    blob_u64(&b, 0x0102030405060708);
    blob_f32(&b, f, 1);
    blob_bytes(&b, "x", 1);
    blob_align(&b, 4);
    is_int(b.t.n, sizeof want, "a record has the length of its fields");
    ok(b.t.n == sizeof want && !memcmp(b.t.s, want, sizeof want), "and their bytes, little-endian");

    struct blob_reader r = blob_reader(b.t.s, b.t.n);
    float g;
    char x;
    ok(blob_get_u32(&r) == 0x01020304 && blob_get_u64(&r) == 0x0102030405060708,
       "integers come back");
    blob_get_f32(&r, &g, 1);
    blob_get_bytes(&r, &x, 1);
    is_int(blob_left(&r), 3, "the padding is left");
    blob_get_align(&r, 4);
    ok(g == 1.5f && x == 'x' && !r.bad && blob_left(&r) == 0, "so does the rest");
    is_int(blob_get_u32(&r), 0, "a read past the end yields zero");
    ok(r.bad, "and is remembered");
    b.t.s[18] = 1;
    r = blob_reader(b.t.s, b.t.n);
    r.at = 17;
    blob_get_align(&r, 4);
    ok(r.bad, "padding that is not zero is refused");
    text_fini(&b.t);
}

static void test_seal(void)
{
    struct blob b = {0};
    const uint64_t words[3] = {1, 2, ~(uint64_t)0};
    blob_words(&b, words, 3);
    blob_seal(&b);
    ok(blob_sealed(b.t.s, b.t.n), "a sealed record is sealed");
    int seen = 0;
    for (size_t bit = 0; bit < b.t.n * 8; bit++) {
        b.t.s[bit / 8] ^= (char)(1 << bit % 8);
        seen += !blob_sealed(b.t.s, b.t.n);
        b.t.s[bit / 8] ^= (char)(1 << bit % 8);
    }
    is_int(seen, b.t.n * 8, "any flipped bit breaks the seal");
    int cut = 0;
    for (size_t n = 0; n < b.t.n; n++) cut += !blob_sealed(b.t.s, n);
    is_int(cut, b.t.n, "so does any cut");
    text_fini(&b.t);
}

static void test_faults(void)
{
    struct blob b = {0};
    arena_fail_after(2);
    for (uint32_t i = 0; i < 1000; i++) blob_u32(&b, i);
    blob_align(&b, 64);
    blob_seal(&b);
    arena_fail_after(0);
    ok(b.t.failed, "a failed allocation is told at the end");
    text_fini(&b.t);
}

int main(void)
{
    test_bytes();
    test_seal();
    test_faults();
    return done_testing();
}
