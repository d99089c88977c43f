/* The commit file: round trip, and every way in which it can be damaged or lie. */
#include "pipeline/neurons/commit.h"

#include "base/arena.h"
#include "base/blob.h"
#include "tests/tap.h"

static struct commit example(void)
{
    static const uint32_t ONES[] = {0, 3, 63, 64, 70, 99};
    struct commit c = {
        .token = "<rex>", .class_word = "dog", .kind = "animal", .dim = 3, .n_values = 6};
    c.base.v[0] = 1;
    c.parent.v[31] = 2;
    if (mask_init(&c.mask, 100, NULL)) exit(99);
    c.value = calloc(6, sizeof(float));
    c.row = calloc(3, sizeof(float));
    for (int i = 0; i < 6; i++) {
        mask_set(&c.mask, ONES[i]);
        c.value[i] = 0.25f * (float)i - 0.5f;
    }
    c.row[1] = -0.0f;
    c.row[2] = 1e-40f; /* not normalised, and still exact */
    c.made = strdup("{\"method\":\"cns\"}");
    return c;
}

static struct bytes encoded(const struct commit *c)
{
    struct bytes b = {0};
    struct err e;
    is_code(commit_encode(c, &b, &e), OK, &e, "the example is encoded");
    return b;
}

static void round_trip(const struct commit *c, struct bytes b)
{
    struct commit d;
    struct bytes again = {0};
    struct err e;
    if (!is_code(commit_decode(b.data, b.n, &d, &e), OK, &e, "and decoded")) return;
    ok(hash_equal(c->base, d.base) && hash_equal(c->parent, d.parent), "base and parent come back");
    is_str(d.token, c->token, "the token comes back");
    is_str(d.class_word, c->class_word, "the class word comes back");
    is_str(d.kind, c->kind, "the kind comes back");
    is_str(d.made, c->made, "the record comes back");
    ok(d.mask.n_bits == 100 && !memcmp(d.mask.words, c->mask.words, 16), "the mask comes back");
    ok(d.n_values == 6 && !memcmp(d.value, c->value, 24), "the values come back to the bit");
    ok(d.dim == 3 && !memcmp(d.row, c->row, 12), "the row comes back to the bit");
    is_code(commit_encode(&d, &again, &e), OK, &e, "encoded again");
    ok(again.n == b.n && !memcmp(again.data, b.data, b.n), "same concept, same bytes");
    free(again.data);
    commit_fini(&d);
    commit_fini(&d);
    ok(!d.value && !d.mask.words, "a commit may end twice");
}

static void damage(struct bytes b)
{
    struct commit d;
    struct err e;
    size_t passed = 0;
    for (size_t bit = 0; bit < b.n * 8; bit++) {
        b.data[bit / 8] ^= (uint8_t)(1 << (bit % 8));
        passed +=
            commit_decode(b.data, b.n, &d, &e) != ERR_CORRUPT || !e.text[0] || d.value || d.made;
        b.data[bit / 8] ^= (uint8_t)(1 << (bit % 8));
    }
    is_int(passed, 0, "each of %zu flipped bits is found", b.n * 8);
    passed = 0;
    for (size_t n = 0; n < b.n; n++) {
        uint8_t *cut = malloc(n ? n : 1); /* exact, so that the sanitizer sees a read past it */
        memcpy(cut, b.data, n);
        passed += commit_decode(cut, n, &d, &e) != ERR_CORRUPT;
        free(cut);
    }
    is_int(passed, 0, "each of %zu truncations is found", b.n);
    uint8_t *longer = calloc(b.n + 1, 1);
    memcpy(longer, b.data, b.n);
    is_code(commit_decode(longer, b.n + 1, &d, &e), ERR_CORRUPT, &e, "a byte too many is found");
    free(longer);
}

/* Bytes replaced, seal made anew: only the checks of content are left. */
static void lie(struct bytes b, size_t at, const void *with, size_t n, const char *what)
{
    struct commit d;
    struct err e;
    uint8_t *copy = malloc(b.n);
    memcpy(copy, b.data, b.n);
    memcpy(copy + at, with, n);
    struct hash seal = hash_bytes(copy, b.n - HASH_BYTES);
    memcpy(copy + b.n - HASH_BYTES, seal.v, HASH_BYTES);
    is_code(commit_decode(copy, b.n, &d, &e), ERR_CORRUPT, &e, "refused though sealed: %s", what);
    ok(!d.value && !d.row && !d.made && !d.mask.words, "%s: nothing is left behind", what);
    free(copy);
}

static void lies(struct bytes b)
{
    const uint8_t most[8] = {255, 255, 255, 255, 255, 255, 255, 255};
    const uint8_t top[8] = {0, 0, 0, 0, 0, 0, 0, 0x80}, high[8] = {0, 0, 0, 0, 1}, two[4] = {2};
    const uint8_t nan[4] = {0, 0, 0xc0, 0x7f}, inf[4] = {0, 0, 0x80, 0xff}, one = 1, zero = 0,
                  text = 'x';
    size_t texts = 112, padding = texts + 5 + 3 + 6 + 16, mask = (padding + 7) / 8 * 8;
    lie(b, 0, "engramck", 8, "another magic");
    lie(b, 8, two, 4, "version 2");
    lie(b, 8, most, 4, "version 2^32 - 1");
    lie(b, 12, most, 4, "a row of 2^32 - 1");
    lie(b, 16, most, 8, "2^64 - 1 neurons");
    lie(b, 16, top, 8, "2^63 neurons");
    lie(b, 16, high, 8, "2^32 neurons");
    lie(b, 24, most, 8, "2^64 - 1 values");
    lie(b, 24, top, 8, "2^63 values, times four nothing");
    lie(b, 24, two, 4, "fewer values than ones");
    for (size_t i = 0; i < 4; i++) lie(b, 96 + 4 * i, most, 4, "a text of 2^32 - 1 bytes");
    for (size_t i = 0; i < 4; i++) lie(b, 96 + 4 * i, two, 4, "a text of another length");
    lie(b, texts + 1, &zero, 1, "a zero byte in the token");
    lie(b, texts + 5 + 3 + 6 + 4, &zero, 1, "a zero byte in the record");
    if (mask > padding) lie(b, padding, &text, 1, "padding that is not zero");
    lie(b, mask + 15, &one, 1, "a mask bit past the end");
    lie(b, mask, most, 1, "a mask that counts more than the values");
    lie(b, mask + 16 + 4, nan, 4, "a value that is not a number");
    lie(b, mask + 16 + 8, inf, 4, "an infinite value");
    lie(b, mask + 16 + 24, nan, 4, "a row that is not a number");
}

/* A token of 63 bytes is the longest that fits. */
static void longest(void)
{
    struct commit c = example(), d;
    struct err e;
    memset(c.token, 'a', COMMIT_TOKEN - 1);
    memset(c.class_word, 'b', COMMIT_CLASS - 1);
    memset(c.kind, 'c', COMMIT_KIND - 1);
    struct bytes b = encoded(&c);
    if (is_code(commit_decode(b.data, b.n, &d, &e), OK, &e, "the longest texts fit"))
        is_str(d.class_word, c.class_word, "and come back");
    commit_fini(&d);
    free(b.data);
    commit_fini(&c);
}

static void without_memory(const struct commit *c, struct bytes b)
{
    struct commit d;
    struct err e;
    struct bytes out = {0};
    long decode_failed = 0, odd = 0;
    for (long n = 1; n < 12; n++) {
        arena_fail_after(n);
        enum code rc = commit_decode(b.data, b.n, &d, &e);
        odd += rc && (rc != ERR_NOMEM || d.value || d.made || d.mask.words);
        decode_failed += rc == ERR_NOMEM;
        commit_fini(&d);
    }
    for (long n = 1; n < 12; n++) {
        arena_fail_after(n);
        enum code rc = commit_encode(c, &out, &e);
        odd += rc && rc != ERR_NOMEM;
        if (rc == OK) free(out.data);
    }
    arena_fail_after(0);
    is_int(odd, 0, "without memory the error is ERR_NOMEM and nothing is left");
    is_int(decode_failed, 4, "each of the four allocations of decoding was made to fail");
}

int main(void)
{
    struct commit c = example(), none = {.token = "<x>"}, d;
    struct err e;
    struct bytes b = encoded(&c);
    round_trip(&c, b);
    damage(b);
    lies(b);
    longest();
    without_memory(&c, b);
    free(b.data);
    commit_fini(&c);
    b = encoded(&none);
    is_code(commit_decode(b.data, b.n, &d, &e), OK, &e, "a commit of nothing is a commit");
    is_str(d.made, "", "its record is empty");
    commit_fini(&d);
    free(b.data);
    return done_testing();
}
