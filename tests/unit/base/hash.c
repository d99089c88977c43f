/* SHA-256 against FIPS 180-4 examples; names of hashes; pieces equal the whole. */
#include "base/hash.h"
#include "base/file.h"
#include "tests/tap.h"

static void test_known(void)
{
    char text[HASH_TEXT];
    is_str(hash_text(hash_bytes("abc", 3), text),
           "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "abc");
    is_str(hash_text(hash_bytes(NULL, 0), text),
           "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "nothing");
    struct hash_stream *s = hash_begin();
    static char a[1000];
    memset(a, 'a', sizeof a);
    for (int i = 0; i < 1000; i++) hash_add(s, a, sizeof a);
    is_str(hash_text(hash_end(s), text),
           "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
           "a million letters in pieces");
    hash_end(NULL);
}

static void test_file(void)
{
    char path[300], text[HASH_TEXT];
    struct err e;
    struct hash h;
    uint64_t n = 0;
    snprintf(path, sizeof path, "%s/file", tap_folder());
    file_write(path, "abc", 3, &e);
    is_code(hash_file(path, &h, &n, &e), OK, &e, "a file is hashed");
    is_str(hash_text(h, text), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
           "to the hash of its bytes");
    is_int(n, 3, "and counted");
    is_code(hash_file("/nonexistent", &h, &n, &e), ERR_NOT_FOUND, &e, "a missing file is an error");
    is_code(hash_file("/", &h, &n, &e), ERR_IO, &e, "a folder too");
}

static void test_parse(void)
{
    struct err e;
    struct hash h = hash_bytes("x", 1), back;
    char text[HASH_TEXT];
    is_code(hash_parse(hash_text(h, text), &back, &e), OK, &e, "a hash's text is read");
    ok(hash_equal(h, back), "as the same hash");
    text[3] = 'g';
    is_code(hash_parse(text, &back, &e), ERR_INPUT, &e, "a letter beyond f is refused");
    text[63] = 0;
    is_code(hash_parse(text, &back, &e), ERR_INPUT, &e, "63 digits are refused");
    ok(hash_is_zero((struct hash){{0}}) && !hash_is_zero(h), "only the zero hash is zero");
}

int main(void)
{
    test_known();
    test_file();
    test_parse();
    return done_testing();
}
