/* ranks.h - a test that is a worker group: rank 0 speaks for all.
 *
 *     struct collectives c;
 *     ranks_start(&argc, &argv, &c);
 *     ok(...) on every rank; is the same sentences in the same order
 *     return ranks_done(&c);
 *
 * What the other ranks say goes nowhere; that they failed is a point of rank 0 at the end, and where they did is on stderr.
 */
#ifndef TESTS_COMM_SUPPORT_RANKS_H
#define TESTS_COMM_SUPPORT_RANKS_H

#include "tests/tap.h"
#include "workers/comm_mpi.h"

static void ranks_start(int *argc, char ***argv, struct collectives *c)
{
    struct err e = {0};
    if (comm_mpi_start(argc, argv, c, &e)) {
        fprintf(stderr, "# %s\n", e.text);
        exit(1);
    }
    if (c->rank && !freopen("/dev/null", "w", stdout)) exit(1);
}

/* One folder for all ranks, rank 0's to remove. */
__attribute__((unused)) static const char *ranks_folder(struct collectives *c)
{
    static char folder[256];
    if (c->rank == 0) snprintf(folder, sizeof folder, "%s", tap_folder());
    c->broadcast(c, folder, sizeof folder, 0, NULL);
    return folder;
}

static int ranks_done(struct collectives *c)
{
    int failed[64] = {0}, others = 0;
    if (c->rank && tap.failed) fprintf(stderr, "# rank %d: %d of %d sentences failed\n", c->rank, tap.failed, tap.points);
    c->gather(c, &tap.failed, sizeof tap.failed, failed, NULL);
    for (int r = 1; r < c->size; r++) others += failed[r];
    is_int(others, 0, "every sentence holds on the other ranks too (%d of them)", c->size - 1);
    comm_mpi_finish(c);
    return done_testing();
}

#endif
