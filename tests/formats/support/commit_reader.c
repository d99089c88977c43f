/* commit_reader.c - docs/formats.md "Commit", read literally. */
#include "tests/formats/support/commit_reader.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static unsigned char *whole_file(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    *bytes = (size_t)ftell(f);
    rewind(f);
    unsigned char *data = malloc(*bytes + 1);
    if (data && fread(data, 1, *bytes, f) != *bytes) {
        free(data);
        data = NULL;
    }
    fclose(f);
    return data;
}

static const char *texts(const unsigned char *d, size_t bytes, struct read_commit *c, size_t *at)
{
    size_t from = 112;
    for (int i = 0; i < 4; i++) {
        size_t n = (size_t)number(d + 96 + 4 * i, 4);
        if (from + n > bytes) return "a text leaves the file";
        if (!(c->text[i] = calloc(n + 1, 1))) return "memory";
        memcpy(c->text[i], d + from, n);
        from += n;
    }
    for (; from % 8; from++)
        if (from >= bytes || d[from]) return "the padding is not zero";
    *at = from;
    return NULL;
}

static const char *body(const unsigned char *d, size_t bytes, struct read_commit *c, size_t at)
{
    size_t words = (size_t)((c->n_neurons + 63) / 64), k = 0;
    if (bytes != at + words * 8 + (size_t)c->n_values * 4 + (size_t)c->dim * 4 + 32)
        return "the length";
    c->neuron = calloc((size_t)c->n_values + 1, sizeof *c->neuron);
    c->value = calloc((size_t)c->n_values + 1, sizeof *c->value);
    c->row = calloc((size_t)c->dim + 1, sizeof *c->row);
    if (!c->neuron || !c->value || !c->row) return "memory";
    for (unsigned long long i = 0; i < words * 64ull; i++) {
        if (!(d[at + i / 8] >> (i % 8) & 1))
            continue; /* little-endian words: bit i is bit i % 8 of byte i / 8 */
        if (i >= c->n_neurons) return "a bit past the last neuron";
        if (k == c->n_values) return "more ones than values";
        c->neuron[k++] = i;
    }
    if (k != c->n_values) return "fewer ones than values";
    at += words * 8;
    for (size_t i = 0; i < c->n_values; i++, at += 4) c->value[i] = real(d + at);
    for (size_t i = 0; i < c->dim; i++, at += 4) c->row[i] = real(d + at);
    return NULL;
}

const char *read_commit_file(const char *path, struct read_commit *out)
{
    size_t bytes = 0, at = 0;
    unsigned char seal[32], *d = whole_file(path, &bytes);
    const char *wrong = NULL;
    memset(out, 0, sizeof *out);
    if (!d) return "the file cannot be read";
    if (bytes < 112 + 32 || memcmp(d, "engramCM", 8)) wrong = "the magic or the length";
    if (!wrong) {
        SHA256(d, bytes - 32, seal);
        if (memcmp(seal, d + bytes - 32, 32)) wrong = "the seal";
    }
    if (!wrong) {
        out->version = (unsigned)number(d + 8, 4);
        out->dim = (unsigned)number(d + 12, 4);
        out->n_neurons = number(d + 16, 8);
        out->n_values = number(d + 24, 8);
        memcpy(out->base, d + 32, 32);
        memcpy(out->parent, d + 64, 32);
        if (out->version != 1) wrong = "the version";
    }
    if (!wrong) wrong = texts(d, bytes - 32, out, &at);
    if (!wrong) wrong = body(d, bytes, out, at);
    free(d);
    if (wrong) read_commit_free(out);
    return wrong;
}

void read_commit_free(struct read_commit *c)
{
    for (int i = 0; i < 4; i++) free(c->text[i]);
    free(c->neuron);
    free(c->value);
    free(c->row);
    memset(c, 0, sizeof *c);
}
