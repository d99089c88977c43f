/* safetensors: what is read, what is refused and with which reason (reference/models.md 7.2), and the writer. */
#include "base/hash.h"
#include "base/memory.h"
#include "pipeline/model/safetensors.h"
#include "tests/unit/model/support/files.h"

#include <limits.h>

#define TWO_FLOATS "\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]"

static void reads_what_is_legal(void)
{
    struct err e;
    struct safetensors *s;
    struct bytes b =
        container("{\"__metadata__\":{\"format\":\"pt\"},"
                  "\"b\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[5,13]},"
                  "\"none\":{\"dtype\":\"F16\",\"shape\":[3,0],\"data_offsets\":[5,5]},"
                  "\"a\":{\"dtype\":\"U8\",\"shape\":[5],\"data_offsets\":[0,5],\"later\":1}}   ",
                  13);
    int64_t v;
    if (is_code(safetensors_parse(&s, b.data, b.n, "x", &e), OK, &e,
                "a scalar, an empty tensor, metadata, any order")) {
        is_int(safetensors_count(s), 3, "metadata is not a tensor");
        is_str(safetensors_at(s, 0)->name, "a", "file order is the order of the data");
        is_int(safetensors_find(s, "none")->bytes, 0, "a zero dimension has no bytes");
        is_int(safetensors_find(s, "b")->rank, 0, "a scalar has rank 0");
        ok(safetensors_find(s, "c") == NULL, "an absent name is NULL");
        ok(!stored_to_int(safetensors_find(s, "b"), &v, &e) && v == 0x0c0b0a0908070605,
           "integers are read at any alignment");
        is_str(safetensors_metadata(s, "format"), "pt", "metadata is found");
        ok(safetensors_metadata(s, "other") == NULL, "absent metadata is NULL");
        safetensors_close(s);
    }
    free(b.data);
    b = container("{}", 0);
    is_code(safetensors_parse(&s, b.data, b.n, "x", &e), OK, &e,
            "an empty object is a file without tensors");
    safetensors_close(s);
    free(b.data);
    safetensors_close(NULL);
}

/* One header per lie. 8 bytes of data unless `data` says otherwise. */
static const struct {
    const char *sentence, *header, *says;
    size_t data;
} lies[] = {
    {"3: a header that is not UTF-8", "{\"\xff\":{" TWO_FLOATS "}}", "not UTF-8", 8},
    {"4: a header that is no JSON", "{\"a\":", "not JSON: line 1", 8},
    {"4: a header that is a list", "[]", "not a JSON object", 0},
    {"4: garbage after the header's JSON", "{\"a\":{" TWO_FLOATS "}}x", "not JSON", 8},
    {"4: an entry that is no object", "{\"a\":7}", "not described by an object", 8},
    {"4: a missing dtype", "{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", "has no dtype", 8},
    {"4: a missing shape", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", "no shape", 8},
    {"4: missing offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", "not two whole numbers", 8},
    {"4: three offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]}}",
     "not two whole numbers", 8},
    {"4: a negative dimension", "{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}",
     "dimension 0", 8},
    {"4: a fractional dimension",
     "{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", "dimension 0", 8},
    {"4: a negative offset", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}",
     "not two whole numbers", 8},
    {"4: a fractional offset", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8.0]}}",
     "not two whole", 8},
    {"4: an offset beyond 64 bits",
     "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,99999999999999999999]}}",
     "not JSON", 8},
    {"4: seven dimensions",
     "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,1,1,1,1,1,1],\"data_offsets\":[0,8]}}", "7 dimensions",
     8},
    {"5: an unknown dtype", "{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}",
     "unknown dtype F33", 8},
    {"6: a name twice", "{\"a\":{" TWO_FLOATS "},\"a\":{" TWO_FLOATS "}}", "twice", 8},
    {"6: a name twice, once escaped", "{\"a\":{" TWO_FLOATS "},\"\\u0061\":{" TWO_FLOATS "}}",
     "twice", 8},
    {"6: a field twice", "{\"a\":{" TWO_FLOATS ",\"dtype\":\"F16\"}}", "twice", 8},
    {"7: data that does not begin at 0",
     "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "a hole", 8},
    {"7: a hole",
     "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"U8\","
     "\"shape\":[2],\"data_offsets\":[6,8]}}",
     "a hole", 8},
    {"7: an overlap",
     "{\"a\":{\"dtype\":\"U8\",\"shape\":[6],\"data_offsets\":[0,6]},\"b\":{\"dtype\":\"U8\","
     "\"shape\":[4],\"data_offsets\":[4,8]}}",
     "an overlap", 8},
    {"7: two names for the same bytes", "{\"a\":{" TWO_FLOATS "},\"b\":{" TWO_FLOATS "}}",
     "overlap", 8},
    {"7: an end before the begin",
     "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", "end before", 8},
    {"8: a size that is not the shape's",
     "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", "needs 12 bytes", 8},
    {"8: a shape that overflows",
     "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}",
     "overflows", 8},
    {"8: bits that overflow",
     "{\"a\":{\"dtype\":\"F64\",\"shape\":[1152921504606846976],\"data_offsets\":[0,8]}}",
     "overflows", 8},
    {"9: data cut short", "{\"a\":{" TWO_FLOATS "}}", "cut short", 7},
    {"9: bytes after the last tensor", "{\"a\":{" TWO_FLOATS "}}", "1 bytes after", 9},
    {"9: bytes and no tensor", "{}", "8 bytes after", 8},
    {"10: four-bit elements that end within a byte",
     "{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}", "whole bytes", 1},
    {"11: metadata that is no object", "{\"__metadata__\":7}", "__metadata__", 0},
    {"11: metadata that is no text", "{\"__metadata__\":{\"step\":7}}",
     "__metadata__ step is not a string", 0},
};

static void refuses_headers_that_lie(void)
{
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct err e = {0};
        struct safetensors *s = (void *)&e;
        struct bytes b = container(lies[i].header, lies[i].data);
        enum code rc = safetensors_parse(&s, b.data, b.n, "some.safetensors", &e);
        ok((rc == ERR_CORRUPT || rc == ERR_INPUT) && !s, "%s is refused", lies[i].sentence);
        says(e, lies[i].says, "  and the reason is given");
        says(e, "some.safetensors", "  with the file's name");
        free(b.data);
    }
}

static void refuses_lengths_that_lie(void)
{
    static const struct {
        const char *sentence, *says;
        uint64_t length;
        size_t n;
    } lengths[] = {
        {"1: a file of 7 bytes", "too short", 0, 7},
        {"1: an empty file", "too short", 0, 0},
        {"2: a header longer than the file", "does not fit", 3, 10},
        {"2: a header of 100,000,001 bytes", "over the limit", 100000001, 10},
        {"2: a header whose end overflows", "over the limit", UINT64_MAX - 3, 10},
        {"4: an empty header", "not JSON", 0, 8},
    };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct err e = {0};
        struct safetensors *s;
        uint8_t *b = calloc(1, 32), *exact = malloc(lengths[i].n + 1);
        for (int k = 0; k < 8; k++) b[k] = (uint8_t)(lengths[i].length >> (8 * k));
        b[8] = '{';
        b[9] = '}';
        memcpy(exact, b, lengths[i].n);
        is_code(safetensors_parse(&s, exact, lengths[i].n, "x", &e), ERR_CORRUPT, &e,
                "%s is refused", lengths[i].sentence);
        says(e, lengths[i].says, "  and the reason is given");
        free(b);
        free(exact);
    }
}

static void refuses_pickles(void)
{
    static const char zip[] = "PK\003\004\000\000\010\010\000\000archive/data.pkl",
                      bare[] = "\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j";
    char tar[512] = "model/data.pkl";
    char header[700];
    struct err e;
    struct safetensors *s;
    struct bytes b;
    memcpy(tar + 257, "ustar", 6);
    is_code(safetensors_parse(&s, (const uint8_t *)zip, sizeof zip, "m.bin", &e), ERR_INPUT, &e,
            "torch.save's zip is refused");
    says(e, "pickle", "  as a pickle");
    says(e, "convert it with safetensors", "  with the way out");
    is_code(safetensors_parse(&s, (const uint8_t *)bare, sizeof bare, "m.ckpt", &e), ERR_INPUT, &e,
            "a bare pickle is refused");
    is_code(safetensors_parse(&s, (const uint8_t *)tar, sizeof tar, "m.pt", &e), ERR_INPUT, &e,
            "a tar of pickles is refused");
    memset(header, ' ', sizeof header);
    header[0] = '{';
    header[1] = '}';
    header[0x280] = 0;
    b = container(header, 0);
    is_code(safetensors_parse(&s, b.data, b.n, "x", &e), OK, &e,
            "a header of 640 bytes begins like a pickle and is none");
    safetensors_close(s);
    free(b.data);
    is_code(safetensors_open(&s, inside("nowhere"), &e), ERR_NOT_FOUND, &e,
            "a file that is not there is not found");
    is_code(safetensors_open(&s, text_file("empty", ""), &e), ERR_CORRUPT, &e,
            "an empty file on disk is too short");
}

/* Reads a file of the reference writer and writes the same tensors: the same bytes. */
static void same_bytes(const char *path)
{
    static const char *const metadata[] = {"format", "pt", NULL};
    struct err e;
    struct safetensors *s;
    struct bytes want, got;
    struct stored_entry entry[1024];
    size_t n;
    if (!is_code(safetensors_open(&s, path, &e), OK, &e, "%s opens", path)) return;
    n = safetensors_count(s);
    for (size_t i = 0; i < n; i++) {
        const struct stored *t = safetensors_at(s, n - 1 - i);
        entry[i] = (struct stored_entry){t->name, t->dtype, t->rank, {0}, t->data};
        memcpy(entry[i].dim, t->dim, sizeof t->dim);
    }
    is_code(safetensors_encode(entry, n, metadata, &got, &e), OK, &e,
            "  its tensors are encoded again");
    is_code(file_read(path, 1 << 24, &want, &e), OK, &e, "  its bytes are read");
    ok(got.n == want.n && !memcmp(got.data, want.data, got.n),
       "  the writer gives the reference writer's bytes");
    is_code(safetensors_write(inside("copy"), entry, n, metadata, &e), OK, &e,
            "  and writes them to disk");
    safetensors_close(s);
    is_code(safetensors_open(&s, inside("copy"), &e), OK, &e, "  where they open");
    is_int(safetensors_count(s), n, "  with as many tensors");
    safetensors_close(s);
    free(got.data);
    free(want.data);
}

static void writes(void)
{
    /* What safetensors 0.8 writes for a tensor of two zeros of each type. */
    static const char *const order[] = {"i64", "f64", "f32", "i32", "bf16",
                                        "f16", "i16", "i8",  "u8",  "bool"};
    static const enum stored_dtype type[] = {STORED_I64,  STORED_F64, STORED_F32, STORED_I32,
                                             STORED_BF16, STORED_F16, STORED_I16, STORED_I8,
                                             STORED_U8,   STORED_BOOL};
    static const uint8_t zeros[16];
    struct stored_entry entry[10];
    struct safetensors *s;
    struct bytes b;
    struct err e;
    int as_reference = 1;
    for (int i = 0; i < 10; i++)
        entry[(i * 3) % 10] = (struct stored_entry){order[i], type[i], 1, {2}, zeros};
    is_code(safetensors_encode(entry, 10, NULL, &b, &e), OK, &e, "every type is written");
    is_code(safetensors_parse(&s, b.data, b.n, "x", &e), OK, &e, "and read");
    for (size_t i = 0; i < 10; i++) as_reference &= !strcmp(safetensors_at(s, i)->name, order[i]);
    ok(as_reference, "in the order of the reference writer");
    ok((safetensors_at(s, 0)->data - b.data) % 8 == 0, "data begins at a multiple of 8");
    safetensors_close(s);
    free(b.data);
    entry[1].name = entry[0].name;
    is_code(safetensors_encode(entry, 10, NULL, &b, &e), ERR_INPUT, &e,
            "a name twice is not written");
    entry[1].name = "\xff";
    ok(safetensors_encode(entry, 10, NULL, &b, &e) != OK,
       "a name that is not UTF-8 is not written");
}

/* Element i is 3 i + 1. Counts the calls; may fail in one. */
struct making {
    int calls, fails_at;
};

static enum code make_numbers(void *self, const struct stored_entry *t, int64_t first, int64_t n,
                              void *out, struct err *e)
{
    struct making *m = self;
    int32_t *to = out;
    if (++m->calls == m->fails_at) return err_set(e, ERR_CANCELLED, "%s: enough", t->name);
    for (int64_t i = 0; i < n; i++) to[i] = (int32_t)(3 * (first + i) + 1);
    return OK;
}

static void writes_what_is_made_on_the_way(void)
{
    enum { N = 700001 }; /* 2.7 MiB: three pieces, the last one short */
    static int32_t numbers[N];
    struct making made = {0};
    struct stored_maker maker = {make_numbers, &made};
    struct stored_entry entry[2] = {{"a", STORED_I32, 1, {N}, numbers},
                                    {"b", STORED_I32, 2, {1, 1}, numbers}};
    struct bytes want, got;
    struct err e;
    uint64_t bytes = 0;
    for (int i = 0; i < N; i++) numbers[i] = 3 * i + 1;
    is_code(safetensors_encode(entry, 2, NULL, &want, &e), OK, &e, "numbers from memory");
    is_code(safetensors_bytes(entry, 2, NULL, &bytes, &e), OK, &e, "a file is measured");
    is_int(bytes, want.n, "to the byte");
    is_code(safetensors_stream(inside("made"), entry, 2, NULL, &maker, &e), OK, &e,
            "numbers that are made on the way");
    is_int(made.calls, 4, "piece by piece");
    is_code(file_read(inside("made"), 1 << 24, &got, &e), OK, &e, "are read again");
    ok(got.n == want.n && !memcmp(got.data, want.data, got.n), "and are the same bytes");
    free(got.data);
    free(want.data);
    made = (struct making){.fails_at = 2};
    is_code(safetensors_stream(inside("broken"), entry, 2, NULL, &maker, &e), ERR_CANCELLED, &e,
            "a failure on the way");
    ok(!file_exists(inside("broken")), "leaves no file");
}

/* ModelSpec's hash is of everything behind the header, in which it stands itself. */
static void hashes(void)
{
    int32_t a[3] = {1, 4, 7};
    struct stored_entry entry[] = {{"b", STORED_I32, 1, {2}, a}, {"a", STORED_I32, 1, {3}, a}};
    const char *const metadata[] = {"x", "0x00", "hash", SAFETENSORS_HASH, NULL};
    struct bytes made = {0}, streamed = {0};
    struct safetensors *s = NULL;
    struct making numbers = {0};
    struct stored_maker maker = {make_numbers, &numbers};
    struct err e;
    char want[2 + HASH_TEXT] = "0x";
    is_code(safetensors_encode(entry, 2, metadata, &made, &e), OK, &e, "a file with its hash");
    size_t head = 8 + made.data[0] + 256 * (size_t)made.data[1];
    hash_text(hash_bytes(made.data + head, made.n - head), want + 2);
    is_code(safetensors_parse(&s, made.data, made.n, "hashed", &e), OK, &e, "it opens");
    is_str(safetensors_metadata(s, "hash"), want, "and names what is behind its header");
    safetensors_close(s);
    is_code(safetensors_stream(inside("hashed"), entry, 2, metadata, &maker, &e), OK, &e,
            "the same, made on the way");
    file_read(inside("hashed"), 1 << 20, &streamed, &e);
    ok(streamed.n == made.n && !memcmp(streamed.data, made.data, made.n), "has the same bytes");
    free(made.data);
    free(streamed.data);
}

/* Where jansson cannot copy a key it speaks of bad syntax instead of memory; the file is refused all the same. */
static void survives_no_memory(void)
{
    struct bytes b = container("{\"__metadata__\":{\"k\":\"v\"},\"a\":{" TWO_FLOATS "}}", 8);
    struct err e = {0};
    struct safetensors *s;
    enum code rc = ERR_NOMEM;
    long n;
    for (n = 1; n < 200 && rc; n++) {
        arena_fail_after(n);
        rc = safetensors_parse(&s, b.data, b.n, "x", &e);
        arena_fail_after(0);
        if (rc && rc != ERR_NOMEM && !strstr(e.text, "not JSON"))
            printf("# allocation %ld: %s\n", n, e.text);
        if (rc && s) break;
    }
    ok(rc == OK && n > 5, "each of %ld allocations may fail: refused, nothing lost", n - 1);
    safetensors_close(s);
    free(b.data);
}

/* The parts of a single file are tensors under other names and thirds of tensors: they give back pages as well. */
static void gives_back_pages(void)
{
    enum { BYTES = 32 << 20, MOST = 2 << 20 };
    char path[PATH_MAX];
    struct err e;
    struct safetensors *s;
    struct bytes b = container(
        "{\"a\":{\"dtype\":\"F16\",\"shape\":[4096,4096],\"data_offsets\":[0,33554432]}}", BYTES);
    snprintf(path, sizeof path, "%s/large.safetensors", tap_folder());
    if (is_code(file_write(path, b.data, b.n, &e), OK, &e, "a large tensor is written") &&
        is_code(safetensors_open(&s, path, &e), OK, &e, "and mapped")) {
        struct stored half = *safetensors_at(s, 0);
        size_t before = memory_shared();
        struct hash whole = hash_bytes(half.data, half.bytes);
        ok(memory_shared() > before + BYTES - MOST, "its pages are in memory once it was read");
        half.name = "renamed";
        half.bytes /= 2;
        stored_release(&half);
        half.data += half.bytes;
        stored_release(&half);
        ok(memory_shared() < before + MOST, "and no longer once its halves were given back");
        ok(hash_equal(hash_bytes(safetensors_at(s, 0)->data, BYTES), whole),
           "it reads the same again");
        safetensors_close(s);
    }
    stored_release(&(struct stored){.data = b.data, .bytes = b.n});
    ok(b.data[0] != 0, "bytes that lie in no map are left alone");
    free(b.data);
}

int main(void)
{
    reads_what_is_legal();
    refuses_headers_that_lie();
    refuses_lengths_that_lie();
    refuses_pickles();
    same_bytes("tests/golden/classic/model/text_encoder/model.safetensors");
    same_bytes("tests/golden/storybook/model/vae/diffusion_pytorch_model.safetensors");
    writes();
    writes_what_is_made_on_the_way();
    hashes();
    gives_back_pages();
    json_memory_fails_too();
    survives_no_memory();
    return done_testing();
}
