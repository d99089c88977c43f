/* A chain of three concepts on W0, and chains that are broken. */
#include "pipeline/neurons/lineage.h"

#include "base/arena.h"
#include "tests/tap.h"

enum { N = 200, DIM = 4, CONCEPTS = 3 };
static float w0[N];
static const struct hash BASE = {{9}};

/* Concept i owns neurons i*40 .. i*40+79 whose number is odd: neighbours overlap by half. */
static struct commit concept(int i, struct hash parent)
{
    struct commit c = {
        .base = BASE, .parent = parent, .class_word = "dog", .kind = "animal", .dim = DIM};
    snprintf(c.token, sizeof c.token, "<c%d>", i);
    if (mask_init(&c.mask, N, NULL)) exit(99);
    for (size_t k = 0; k < 80; k += 2) mask_set(&c.mask, (size_t)i * 40 + k + 1);
    c.n_values = mask_count(&c.mask);
    c.value = calloc(c.n_values, sizeof(float));
    c.row = calloc(DIM, sizeof(float));
    for (size_t k = 0; k < c.n_values; k++) c.value[k] = (float)(i + 1) * 100.0f + (float)k / 3.0f;
    for (int k = 0; k < DIM; k++) c.row[k] = (float)(i * 10 + k);
    return c;
}

static struct hash put(struct objects *store, const struct commit *c)
{
    struct bytes b = {0};
    struct hash h = {{0}};
    struct err e;
    if (commit_encode(c, &b, &e) || objects_put(store, b.data, b.n, &h, &e)) note("%s", e.text);
    free(b.data);
    return h;
}

/* Values that neuron i must have after all three: the last owner's, else W0's. */
static float expected(size_t i, const struct commit c[CONCEPTS])
{
    float v = w0[i];
    for (int k = 0; k < CONCEPTS; k++) {
        size_t rank = 0;
        for (size_t j = 0; j < i; j++) rank += (size_t)mask_get(&c[k].mask, j);
        if (mask_get(&c[k].mask, i)) v = c[k].value[rank];
    }
    return v;
}

static void materialise(struct objects *store, const struct hash chain[CONCEPTS],
                        const struct commit c[CONCEPTS])
{
    struct lineage a, b;
    struct err e;
    if (!is_code(lineage_open(&a, w0, N, BASE, DIM, store, chain, CONCEPTS, &e), OK, &e, "opens"))
        return;
    is_code(lineage_open(&b, w0, N, BASE, DIM, store, chain, CONCEPTS, &e), OK, &e, "opens again");
    ok(!memcmp(a.kv, b.kv, sizeof w0) && !memcmp(a.rows, b.rows, CONCEPTS * DIM * sizeof(float)),
       "materialised twice, the same bytes (invariant 3)");
    size_t wrong = 0, used = 0;
    for (size_t i = 0; i < N; i++) {
        float want = expected(i, c);
        wrong += memcmp(&a.kv[i], &want, sizeof want) != 0;
        int own = mask_get(&c[0].mask, i) | mask_get(&c[1].mask, i) | mask_get(&c[2].mask, i);
        used += mask_get(&a.used, i) != own;
    }
    is_int(wrong, 0, "each neuron holds its last owner's value, all others W0's, to the bit");
    is_int(used, 0, "U_m is the union of the masks");
    ok(a.n == CONCEPTS && hash_equal(a.head, chain[2]), "the head is the last commit");
    is_str(a.token[1], "<c1>", "tokens stand in their order");
    near(a.rows[2 * DIM + 3], 23, 0, "and so do their rows");
    ok(!memcmp(a.mask[1].words, c[1].mask.words, a.mask[1].n_words * 8),
       "masks are kept one by one");
    lineage_fini(&a);
    lineage_fini(&b);
}

/* A lineage of one concept refuses a changed second one and stays as it was. */
static void refuses(struct objects *store, struct hash first, struct commit *c, enum code code,
                    const char *what)
{
    struct lineage l;
    struct err e;
    float kv[N];
    if (!is_code(lineage_open(&l, w0, N, BASE, DIM, store, &first, 1, &e), OK, &e, "one concept"))
        return;
    uint64_t used = l.used.words[0];
    memcpy(kv, l.kv, sizeof kv);
    is_code(lineage_apply(&l, c, (struct hash){{7}}, &e), code, &e, "refused: %s", what);
    ok(l.n == 1 && hash_equal(l.head, first) && !memcmp(kv, l.kv, sizeof kv) &&
           used == l.used.words[0],
       "%s: the lineage is as it was", what);
    lineage_fini(&l);
}

static void broken(struct objects *store, const struct hash chain[CONCEPTS])
{
    struct commit c = concept(1, chain[0]);
    c.base.v[5] ^= 1;
    refuses(store, chain[0], &c, ERR_CORRUPT, "another base model");
    c.base = BASE;
    c.parent.v[0] ^= 1;
    refuses(store, chain[0], &c, ERR_CORRUPT, "another parent");
    c.parent = (struct hash){{0}};
    refuses(store, chain[0], &c, ERR_CORRUPT, "a first commit that comes second");
    c.parent = chain[0];
    c.dim = DIM + 1;
    refuses(store, chain[0], &c, ERR_CORRUPT, "a longer row");
    c.dim = DIM;
    c.mask.n_bits = N - 1;
    refuses(store, chain[0], &c, ERR_CORRUPT, "fewer neurons");
    c.mask.n_bits = N;
    c.n_values--;
    refuses(store, chain[0], &c, ERR_CORRUPT, "fewer values than ones in its mask");
    c.n_values++;
    strcpy(c.token, "<c0>");
    refuses(store, chain[0], &c, ERR_EXISTS, "a token that is taken");
    commit_fini(&c);
    struct lineage l;
    struct err e;
    const struct hash swapped[] = {chain[1], chain[0]}, absent[] = {chain[0], {{1}}};
    is_code(lineage_open(&l, w0, N, BASE, DIM, store, swapped, 2, &e), ERR_CORRUPT, &e,
            "order counts");
    ok(!l.kv && !l.n, "nothing is left open");
    is_code(lineage_open(&l, w0, N, BASE, DIM, store, absent, 2, &e), ERR_NOT_FOUND, &e,
            "an absent commit");
    ok(strstr(e.text, "commit 0100000") != NULL, "is named: %s", e.text);
    is_code(lineage_open(&l, w0, N, BASE, DIM, store, NULL, 0, &e), OK, &e, "no commits: W0");
    ok(!memcmp(l.kv, w0, sizeof w0) && hash_is_zero(l.head), "to the bit, and no head");
    lineage_fini(&l);
}

static void without_memory(struct objects *store, const struct hash chain[CONCEPTS])
{
    struct lineage l;
    struct err e;
    long odd = 0, failed = 0;
    for (long n = 1; n < 60; n++) {
        arena_fail_after(n);
        enum code rc = lineage_open(&l, w0, N, BASE, DIM, store, chain, CONCEPTS, &e);
        odd += rc ? rc != ERR_NOMEM || l.kv : l.n != CONCEPTS;
        failed += rc != OK;
        if (!rc) lineage_fini(&l);
    }
    arena_fail_after(0);
    is_int(odd, 0, "without memory: ERR_NOMEM, and nothing left");
    ok(failed > 10, "%ld allocations were made to fail", failed);
    struct commit c = concept(1, chain[0]);
    struct hash name = {{3}};
    if (lineage_open(&l, w0, N, BASE, DIM, store, chain, 1, &e)) exit(99);
    long tries = 0;
    enum code rc;
    do {
        arena_fail_after(++tries);
        rc = lineage_apply(&l, &c, name, &e);
        arena_fail_after(0);
    } while (rc == ERR_NOMEM && l.n == 1 && tries < 20);
    is_code(rc, OK, &e, "a concept that had no room is applied when there is, after %ld tries",
            tries);
    ok(tries == 5 && l.n == 2 && l.kv[41] == 200.0f, "with its values");
    lineage_fini(&l);
    commit_fini(&c);
}

int main(void)
{
    struct objects *store;
    struct hash chain[CONCEPTS] = {{{0}}};
    struct commit c[CONCEPTS];
    struct err e;
    for (int i = 0; i < N; i++) w0[i] = 1.0f / (float)(i + 3);
    if (!is_code(objects_open(&store, tap_folder(), &e), OK, &e, "a store")) return done_testing();
    for (int i = 0; i < CONCEPTS; i++) {
        c[i] = concept(i, i ? chain[i - 1] : (struct hash){{0}});
        chain[i] = put(store, &c[i]);
    }
    materialise(store, chain, c);
    broken(store, chain);
    without_memory(store, chain);
    for (int i = 0; i < CONCEPTS; i++) commit_fini(&c[i]);
    objects_close(store);
    return done_testing();
}
