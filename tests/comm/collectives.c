/* One conformance suite for every maker of collectives: here one process, and MPI with as many ranks as mpirun started. */
#include "base/philox.h"
#include "tests/comm/support/ranks.h"

typedef enum code broadcast_fn(struct collectives *c, void *data, size_t bytes, int root,
                               struct err *e);

/* What rank r holds at place i: known to everybody. */
static uint8_t byte_of(int r, size_t i)
{
    return (uint8_t)((uint32_t)(i * 2654435761u + (uint32_t)r * 40503u) >> 13);
}

static uint64_t word_of(int r, size_t i)
{
    uint32_t half[2];
    philox_bits(philox_key((uint64_t)i, PHILOX_TEST), 1, (uint32_t)r, half, 2);
    return ((uint64_t)half[0] << 32 | half[1]) | (uint64_t)0xff << (i % 57); /* some bits survive */
}

static void band(struct collectives *c, size_t n)
{
    struct err e = {0};
    uint64_t *words = malloc(n * 8 + 8);
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++) words[i] = word_of(c->rank, i);
    words[n] = 0x5eed;
    is_code(c->band(c, words, n, &e), OK, &e, "%s of %d: AND of %zu words", c->name, c->size, n);
    for (size_t i = 0; i < n; i++) {
        uint64_t want = ~UINT64_C(0);
        for (int r = 0; r < c->size; r++) want &= word_of(c->size == 1 ? c->rank : r, i);
        wrong += words[i] != want;
    }
    is_int(wrong + (words[n] != 0x5eed), 0, "%s: is exact and touches no more", c->name);
    free(words);
}

static void gather(struct collectives *c, size_t n)
{
    struct err e = {0};
    size_t all = n * (size_t)c->size, wrong = 0;
    uint8_t *in = malloc(n + 1), *out = malloc(all + 1);
    for (size_t i = 0; i < n; i++) in[i] = byte_of(c->rank, i);
    out[all] = 0xa5;
    is_code(c->gather(c, in, n, out, &e), OK, &e, "%s of %d: gather %zu bytes", c->name, c->size,
            n);
    for (int r = 0; r < c->size; r++)
        for (size_t i = 0; i < n; i++) wrong += out[(size_t)r * n + i] != byte_of(r, i);
    is_int(wrong + (out[all] != 0xa5), 0, "%s: in order of ranks, no byte more", c->name);
    free(in);
    free(out);
}

static void broadcast(struct collectives *c, broadcast_fn *how, const char *name, size_t n,
                      int root)
{
    struct err e = {0};
    uint8_t *data = malloc(n + 1);
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++) data[i] = byte_of(c->rank, i);
    data[n] = 0x5a;
    is_code(how(c, data, n, root, &e), OK, &e, "%s of %d: %s of %zu bytes from %d", c->name,
            c->size, name, n, root);
    for (size_t i = 0; i < n; i++) wrong += data[i] != byte_of(root, i);
    is_int(wrong + (data[n] != 0x5a), 0, "%s: all have the root's, no byte more", c->name);
    free(data);
}

/* Rank `who` fails (-1: none): all hear its code and its line. */
static void agree(struct collectives *c, int who, const char *line)
{
    struct err e = {0};
    enum code mine = c->rank == who ? ERR_FULL : OK;
    if (mine && line) err_set(&e, mine, "%s", line);
    enum code got = collectives_agree(c, mine, &e);
    is_code(got, who < 0 ? OK : ERR_FULL, &e, "%s of %d: rank %d fails, all agree", c->name,
            c->size, who);
    if (who >= 0 && line) is_str(e.text, line, "%s: with the failing rank's line", c->name);
    if (who >= 0 && !line)
        ok(strstr(e.text, "full") && strstr(e.text, "rank"), "%s: says \"%s\"", c->name, e.text);
    ok(collectives_agree(c, mine, NULL) == (who < 0 ? OK : ERR_FULL),
       "%s: also without a place for the line", c->name);
}

static void all_fail(struct collectives *c)
{
    struct err e = {0};
    enum code mine = c->rank ? ERR_NOMEM : ERR_CORRUPT;
    err_set(&e, mine, "line of rank %d", c->rank);
    is_code(collectives_agree(c, mine, &e), ERR_CORRUPT, &e,
            "%s of %d: where all fail the first rank's code counts", c->name, c->size);
    is_str(e.text, "line of rank 0", "%s: and its line", c->name);
}

static void conforms(struct collectives *c, broadcast_fn *patient)
{
    static const size_t SIZE[] = {0, 1, 7, 64, 1000, 65537, 3000001};
    struct err e = {0};
    ok(c->rank >= 0 && c->rank < c->size, "%s: rank %d of %d", c->name, c->rank, c->size);
    for (size_t i = 0; i < sizeof SIZE / sizeof SIZE[0]; i++) {
        band(c, SIZE[i] / 8);
        gather(c, SIZE[i]);
        for (int root = 0; root < c->size; root++) {
            broadcast(c, c->broadcast, "broadcast", SIZE[i], root);
            if (patient) broadcast(c, patient, "patient broadcast", SIZE[i], root);
        }
    }
    for (int i = 0; i < 3; i++) is_code(c->barrier(c, &e), OK, &e, "%s: barrier", c->name);
    agree(c, -1, NULL);
    for (int who = 0; who < c->size; who++) {
        agree(c, who, "disk full: /somewhere");
        agree(c, who, NULL);
    }
    all_fail(c);
}

/* Nobody passes a barrier before all are there: each rank announces itself in memory that the others read by gathering. */
static void order(struct collectives *c)
{
    struct err e;
    int wrong = 0;
    for (int round = 0; round < 50; round++) {
        int mine = round * 100 + c->rank, all[64];
        if (c->gather(c, &mine, sizeof mine, all, &e) || c->barrier(c, &e)) wrong++;
        for (int r = 0; r < c->size; r++) wrong += all[r] != round * 100 + r;
    }
    is_int(wrong, 0, "fifty rounds do not mix");
}

int main(int argc, char **argv)
{
    struct collectives mpi, single = collectives_single();
    ranks_start(&argc, &argv, &mpi);
    is_str(mpi.name, "mpi", "the group's table");
    conforms(&mpi, comm_mpi_broadcast_patiently);
    order(&mpi);
    struct comm_mpi_here here = comm_mpi_here();
    is_int(here.ranks, mpi.size, "all ranks are on this host");
    is_int(here.lowest, 0, "and rank 0 is the lowest of them");
    conforms(&single, NULL);
    return ranks_done(&mpi);
}
