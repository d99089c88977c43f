/* delta_reader.c - docs/formats.md "Sparse delta", read literally. */
#include "tests/formats/support/delta_reader.h"

#include <jansson.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct file {
    unsigned char *bytes;
    size_t n, data; /* first byte of data */
    json_t *header;
};

static unsigned long long number(const unsigned char *at, int bytes)
{
    unsigned long long v = 0;
    for (int i = 0; i < bytes; i++) v |= (unsigned long long)at[i] << (8 * i);
    return v;
}

static float real(const unsigned char *at)
{
    unsigned bits = (unsigned)number(at, 4);
    float v;
    memcpy(&v, &bits, 4);
    return v;
}

static const char *open_file(const char *path, struct file *f)
{
    FILE *in = fopen(path, "rb");
    if (!in) return "the file cannot be read";
    fseek(in, 0, SEEK_END);
    f->n = (size_t)ftell(in);
    rewind(in);
    f->bytes = malloc(f->n + 1);
    size_t got = f->bytes ? fread(f->bytes, 1, f->n, in) : 0;
    fclose(in);
    if (got != f->n || f->n < 8) return "the length";
    unsigned long long head = number(f->bytes, 8);
    if (8 + head > f->n) return "the header's length";
    f->data = 8 + (size_t)head;
    f->header = json_loadb((char *)f->bytes + 8, (size_t)head, 0, NULL);
    return f->header ? NULL : "the header";
}

static const char *meta(const struct file *f, const char *key)
{
    const char *text =
        json_string_value(json_object_get(json_object_get(f->header, "__metadata__"), key));
    return text ? text : "";
}

/* Bytes of tensor commit.<i>.<what>; NULL: it is not of that type and that many elements. */
static const unsigned char *tensor(const struct file *f, long long i, const char *what,
                                   const char *type, unsigned long long count)
{
    char name[64];
    snprintf(name, sizeof name, "commit.%lld.%s", i, what);
    const json_t *t = json_object_get(f->header, name), *shape = json_object_get(t, "shape"),
                 *offset = json_object_get(t, "data_offsets");
    const char *is = json_string_value(json_object_get(t, "dtype"));
    if (!is || strcmp(is, type) || json_array_size(shape) != 1 ||
        (unsigned long long)json_integer_value(json_array_get(shape, 0)) != count)
        return NULL;
    return f->bytes + f->data + json_integer_value(json_array_get(offset, 0));
}

struct whole {
    unsigned char *bytes;
    size_t n;
};

static void put(struct whole *w, const void *bytes, size_t count)
{
    memcpy(w->bytes + w->n, bytes, count);
    w->n += count;
}

static void put_number(struct whole *w, unsigned long long v, int bytes)
{
    for (int i = 0; i < bytes; i++) w->bytes[w->n++] = (unsigned char)(v >> (8 * i));
}

/* 32 bytes; no text: zeros. */
static void put_hex(struct whole *w, const char *hex)
{
    for (int i = 0; i < 32; i++) {
        char two[3] = "00";
        if (strlen(hex) == 64) memcpy(two, hex + 2 * i, 2);
        w->bytes[w->n++] = (unsigned char)strtoul(two, NULL, 16);
    }
}

static const char *text(const json_t *concept, const char *key)
{
    const char *t = json_string_value(json_object_get(concept, key));
    return t ? t : "";
}

/* "Commit": the whole file that this concept was, and is its SHA-256 the commit's name? */
static int is_proved(const struct file *f, const json_t *c, const unsigned char *mask,
                     const unsigned char *values, const unsigned char *row, unsigned long long n,
                     unsigned long long k, unsigned long long D)
{
    static const char *const texts[] = {"token", "class", "kind", "made"};
    size_t room = 112 + 8 + 32 + (size_t)((n + 63) / 64 * 8 + 4 * k + 4 * D);
    for (int i = 0; i < 4; i++) room += strlen(text(c, texts[i]));
    struct whole w = {malloc(room), 0};
    unsigned char hash[32];
    char hex[65];
    put(&w, "engramCM", 8);
    put_number(&w, 1, 4);
    put_number(&w, D, 4);
    put_number(&w, n, 8);
    put_number(&w, k, 8);
    put_hex(&w, meta(f, "engram.base"));
    put_hex(&w, text(c, "parent"));
    for (int i = 0; i < 4; i++) put_number(&w, strlen(text(c, texts[i])), 4);
    for (int i = 0; i < 4; i++) put(&w, text(c, texts[i]), strlen(text(c, texts[i])));
    while (w.n % 8) put_number(&w, 0, 1);
    put(&w, mask, (size_t)((n + 63) / 64 * 8));
    put(&w, values, (size_t)(4 * k));
    put(&w, row, (size_t)(4 * D));
    SHA256(w.bytes, w.n, hash);
    put(&w, hash, 32);
    SHA256(w.bytes, w.n, hash);
    free(w.bytes);
    for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    return !strcmp(hex, text(c, "commit"));
}

static const char *one(const struct file *f, const json_t *c, float *weight, unsigned long long n,
                       float *row, unsigned long long D, size_t *proved)
{
    long long i = json_integer_value(json_object_get(c, "number"));
    unsigned long long k = (unsigned long long)json_integer_value(json_object_get(c, "neurons")),
                       next = 0;
    const unsigned char *mask = tensor(f, i, "mask", "U8", (n + 63) / 64 * 8),
                        *values = tensor(f, i, "values", "F32", k),
                        *own = tensor(f, i, "row", "F32", D);
    if (!mask || !values || !own) return "a tensor is missing, or of another type or length";
    for (unsigned long long j = 0; j < n; j++) {
        if (!(mask[j / 8] >> (j % 8) & 1)) continue;
        if (next == k) return "more ones than values";
        weight[j] = real(values + 4 * next++);
    }
    if (next != k) return "fewer ones than values";
    for (unsigned long long j = 0; j < D; j++) row[j] = real(own + 4 * j);
    *proved += is_proved(f, c, mask, values, own, n, k, D);
    return NULL;
}

/* "the products out in sum to n" */
static const char *check_matrices(const struct file *f, size_t n)
{
    json_t *list = json_loads(meta(f, "engram.matrices"), 0, NULL);
    unsigned long long sum = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *m = json_array_get(list, i);
        sum += (unsigned long long)(json_integer_value(json_array_get(m, 1)) *
                                    json_integer_value(json_array_get(m, 2)));
    }
    json_decref(list);
    return sum == n ? NULL : "the matrices do not sum to the neurons";
}

const char *read_delta_file(const char *path, float *weight, size_t n, float *row, size_t width,
                            size_t most, size_t *proved)
{
    struct file f = {0};
    json_t *list = NULL;
    const char *wrong = open_file(path, &f);
    *proved = 0;
    if (!wrong && strcmp(meta(&f, "engram.format"), "engram delta 1")) wrong = "the format";
    if (!wrong && strtoull(meta(&f, "engram.neurons"), NULL, 10) != n)
        wrong = "the number of neurons";
    if (!wrong && strtoull(meta(&f, "engram.width"), NULL, 10) != width) wrong = "the width";
    if (!wrong) wrong = check_matrices(&f, n);
    if (!wrong && !(list = json_loads(meta(&f, "engram.concepts"), 0, NULL)))
        wrong = "the list of concepts";
    if (!wrong && json_object_size(f.header) != 1 + 3 * json_array_size(list))
        wrong = "the number of tensors";
    for (size_t i = 0; !wrong && i < json_array_size(list) && i < most; i++)
        wrong = one(&f, json_array_get(list, i), weight, n, row + i * width, width, proved);
    json_decref(list);
    json_decref(f.header);
    free(f.bytes);
    return wrong;
}
