/* Commits as the program writes them, read by a reader that was written from docs/formats.md only. */
#include "base/philox.h"
#include "pipeline/neurons/commit.h"
#include "tests/formats/support/commit_reader.h"
#include "tests/tap.h"

static void fill(struct commit *c, size_t n_bits, uint32_t dim, const char *made, uint64_t seed)
{
    struct philox_key k = philox_key(seed, PHILOX_TEST);
    *c = (struct commit){.token = "<rex>", .class_word = "dog", .kind = "animal", .dim = dim};
    for (int i = 0; i < HASH_BYTES; i++) {
        c->base.v[i] = (uint8_t)(i * 7 + 1);
        c->parent.v[i] = (uint8_t)(255 - i);
    }
    if (mask_init(&c->mask, n_bits, NULL)) exit(99);
    for (size_t i = 0; i < n_bits; i++)
        if (philox_below(k, 1, (uint32_t)i, 3) == 0) mask_set(&c->mask, i);
    c->n_values = mask_count(&c->mask);
    c->value = malloc((c->n_values + 1) * sizeof(float));
    c->row = malloc((dim + 1) * sizeof(float));
    philox_normal(k, 2, 0, c->value, c->n_values);
    philox_normal(k, 3, 0, c->row, dim);
    c->made = strdup(made);
}

static void field_by_field(const struct commit *c, const struct read_commit *r, size_t n_bits)
{
    is_int(r->version, 1, "%zu neurons: version", n_bits);
    is_int(r->n_neurons, (long long)n_bits, "%zu neurons: their number", n_bits);
    is_int(r->dim, c->dim, "%zu neurons: length of the row", n_bits);
    ok(!memcmp(r->base, c->base.v, 32) && !memcmp(r->parent, c->parent.v, 32),
       "%zu neurons: base and parent", n_bits);
    is_str(r->text[0], c->token, "%zu neurons: token", n_bits);
    is_str(r->text[1], c->class_word, "%zu neurons: class word", n_bits);
    is_str(r->text[2], c->kind, "%zu neurons: kind", n_bits);
    is_str(r->text[3], c->made, "%zu neurons: record", n_bits);
    if (!is_int(r->n_values, (long long)c->n_values, "%zu neurons: values", n_bits)) return;
    size_t wrong = 0;
    for (size_t i = 0, k = 0; i < n_bits; i++)
        if (mask_get(&c->mask, i)) wrong += r->neuron[k++] != i;
    is_int(wrong, 0, "%zu neurons: the ones, ascending", n_bits);
    ok(!memcmp(r->value, c->value, c->n_values * sizeof(float)), "%zu neurons: every value",
       n_bits);
    ok(!memcmp(r->row, c->row, c->dim * sizeof(float)), "%zu neurons: the row", n_bits);
}

int main(void)
{
    static const struct {
        size_t n;
        uint32_t dim;
        const char *made;
    } CASE[] = {{0, 0, ""},
                {1, 1, "{}"},
                {64, 3, "{\"a\":1}"},
                {65, 32, "{\"method\":\"cns\"}"},
                {4096, 768, "x"}};
    uint64_t seed = tap_seed(3);
    for (size_t i = 0; i < sizeof CASE / sizeof CASE[0]; i++) {
        struct commit c;
        struct bytes b = {0};
        struct read_commit r;
        struct err e;
        char path[400];
        fill(&c, CASE[i].n, CASE[i].dim, CASE[i].made, seed + i);
        snprintf(path, sizeof path, "%s/commit-%zu", tap_folder(), i);
        if (is_code(commit_encode(&c, &b, &e), OK, &e, "%zu neurons: encoded", CASE[i].n) &&
            is_code(file_write(path, b.data, b.n, &e), OK, &e, "%zu neurons: written", CASE[i].n)) {
            const char *wrong = read_commit_file(path, &r);
            is_str(wrong ? wrong : "nothing", "nothing",
                   "%zu neurons: the page's reader finds wrong", CASE[i].n);
            if (!wrong) field_by_field(&c, &r, CASE[i].n);
            read_commit_free(&r);
        }
        free(b.data);
        commit_fini(&c);
    }
    return done_testing();
}
