/* The core under a thousand misfortunes, from one seed.
 *
 *     simulate                          the test: seeds, planted bugs, a run on the real store
 *     simulate SEED [EVENTS [BUG]]      one world, told at the end; BUG by name, e.g. no-fence
 *
 * Four seconds of one core; under sanitizers on a busy machine much more, so timeout: 400
 */
#include "tests/core/support/world.h"
#include "tests/tap.h"

#include <time.h>

enum { SEEDS = 20, EVENTS = 5000, STORE_EVENTS = 1500, BUG_SEEDS = 30 };

static struct world *play(uint64_t seed, long events, enum planted bug, const char *database)
{
    struct world_options o = {.seed = seed, .events = events, .bug = bug, .database = database};
    struct world *w = world_make(&o);
    if (!w->broken[0]) world_run(w);
    return w;
}

static void tell(const struct world *w)
{
    const struct ledger *l = &w->ledger;
    note("seed %llu: %ld steps, %.1f h, %llu jobs (%ld acknowledged), %ld commits, %ld restarts, "
         "%ld lost leases, "
         "%ld told to give up, %ld times full",
         (unsigned long long)w->o.seed, w->steps, (double)(w->now - 1700000000000) / 3.6e6,
         (unsigned long long)l->jobs, l->acknowledged, l->commits, l->restarts, l->lost_leases,
         l->results_dropped, l->full);
}

static int one_world(int argc, char **argv)
{
    enum planted bug = NO_BUG;
    for (int i = 0; argc > 3 && i < PLANTED; i++)
        if (strcmp(argv[3], planted_names[i]) == 0) bug = (enum planted)i;
    struct world *w =
        play(strtoull(argv[1], NULL, 0), argc > 2 ? atol(argv[2]) : EVENTS, bug, NULL);
    int broken = w->broken[0] != 0;
    tell(w);
    printf("%s\n", broken ? w->broken : "all invariants held, everything ended");
    world_free(w);
    return broken;
}

static void healthy(uint64_t first)
{
    long steps = 0, commits = 0, restarts = 0, lost = 0, dropped = 0;
    clock_t began = clock();

    for (uint64_t seed = first; seed < first + SEEDS; seed++) {
        struct world *w = play(seed, EVENTS, NO_BUG, NULL);
        if (!ok(!w->broken[0], "world %llu keeps every invariant and ends",
                (unsigned long long)seed))
            note("%s", w->broken);
        steps += w->steps;
        commits += w->ledger.commits;
        restarts += w->ledger.restarts;
        lost += w->ledger.lost_leases;
        dropped += w->ledger.results_dropped;
        world_free(w);
    }
    note("%ld steps, %ld commits, %ld restarts, %ld lost leases, %ld told to give up; %.1f s",
         steps, commits, restarts, lost, dropped, (double)(clock() - began) / CLOCKS_PER_SEC);
    ok(commits > SEEDS && restarts > 3 * SEEDS && lost > SEEDS && dropped > 2 * SEEDS,
       "and the worlds were not idle or kind");
}

static void planted(uint64_t first)
{
    for (int bug = 1; bug < PLANTED; bug++) {
        char found[512] = "";
        for (uint64_t seed = first; seed < first + BUG_SEEDS && !found[0]; seed++) {
            struct world *w = play(seed, EVENTS, (enum planted)bug, NULL);
            memcpy(found, w->broken, sizeof found);
            world_free(w);
        }
        ok(found[0], "planted bug %s is found: %s", planted_names[bug], found);
    }
}

static void same_seed(uint64_t seed)
{
    struct world *a = play(seed, EVENTS, NO_BUG, NULL), *b = play(seed, EVENTS, NO_BUG, NULL);
    ok(a->steps == b->steps && a->now == b->now &&
           memcmp(a->ledger.head, b->ledger.head, sizeof a->ledger.head) == 0,
       "one seed is one history");
    world_free(a);
    world_free(b);
}

static void real_store(uint64_t first)
{
    for (uint64_t seed = first; seed < first + 2; seed++) {
        struct world *w = play(seed, STORE_EVENTS, NO_BUG, tap_folder());
        if (!ok(!w->broken[0], "world %llu on the real store", (unsigned long long)seed))
            note("%s", w->broken);
        world_free(w);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1) return one_world(argc, argv);
    uint64_t first = tap_seed(1);
    healthy(first);
    same_seed(first);
    planted(first);
    real_store(first + 100);
    return done_testing();
}
