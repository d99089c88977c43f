/* The coordinator's core among simulated users, worker groups, launchers, networks, clocks and disks that misbehave, from one seed.
 *
 *     simulate                                      the test: a fixed small set
 *     simulate SEED EVENTS [bug=NAME] [world=users=3,groups=1] [keep=drop.1000.3] [tell=1] [quick=1] [folder=DIR]
 *                                                   one world; a violation is told, shrunk and told again; DIR: for the real store
 *     simulate find SECONDS EVENTS                  worlds 1, 2, 3 .. until one breaks: how long that takes, for mutants.sh
 *     simulate run FOLDER FIRST COUNT EVENTS        very many, going on where it stopped (campaign.h)
 *
 * `make simulate SEED=n EVENTS=m [BUG=..] [WORLD=..] [KEEP=..] [TELL=1]` is the second form. Some seconds; under sanitizers on a
 * busy machine much more, so timeout: 400
 */
#include "tests/simulation/support/campaign.h"
#include "tests/simulation/support/shrink.h"
#include "tests/simulation/support/world.h"
#include "tests/tap.h"

#include <time.h>

#define N(x) ((unsigned long long)(x))

enum { SEEDS = 60, EVENTS = 4000, BUG_SEEDS = 40, STORE_EVENTS = 1500 };

/* ---- one world ---- */

static void figures(const struct world *w)
{
    const struct counts *c = &w->counts;
    char shape[512];

    shape_text(&w->shape, shape, sizeof shape);
    printf("%s\n", shape);
    printf("%llu events, %llu jobs, %llu grants, %llu commits, %llu leases lost, %llu zombies "
           "refused, %llu restarts, %.1f h\n",
           N(c->events), N(c->jobs), N(c->grants), N(c->commits), N(c->lost_leases),
           N(c->zombies_refused), N(c->restarts), (double)(w->now_ms - 1700000000000) / 3.6e6);
}

static void faults(const struct world *w)
{
    const char *sep = "faults: ";

    for (int f = 0; f < FAULTS; f++) {
        if (!w->counts.faults[f]) continue;
        printf("%s%llu %s", sep, N(w->counts.faults[f]), fault_names[f]);
        sep = ", ";
    }
    printf("%s\n", *sep == 'f' ? "no faults" : "");
}

static void tell_short(const struct world_options *o, const struct world *w)
{
    struct story s;
    struct err e;

    shrink(o, w, 20000000, &s);
    printf("\nshrunk in %d runs to %llu events with %zu faults:\n\n    %s\n\n", s.runs, N(s.events),
           s.options.n_kept, s.command);
    s.options.tell = 1;
    s.options.stop_after = s.events;
    struct world *again = world_make(&s.options, &e);
    if (again) {
        world_run(again);
        printf("%s\n", again->broken[0] ? again->broken
                                        : "which now holds: this is a bug of the simulator");
    }
    world_free(again);
    story_fini(&s);
}

static enum code read_option(const char *arg, struct world_options *o, struct kept **kept,
                             int *quick, struct err *e)
{
    if (strncmp(arg, "world=", 6) == 0) o->shape = arg + 6;
    else if (strcmp(arg, "tell=1") == 0) o->tell = 1;
    else if (strcmp(arg, "quick=1") == 0) *quick = 1;
    else if (strncmp(arg, "folder=", 7) == 0) o->folder = arg + 7;
    else if (strncmp(arg, "keep=", 5) == 0) {
        enum code rc = story_keep(arg + 5, kept, &o->n_kept, e);
        o->kept = *kept;
        return rc;
    } else if (strncmp(arg, "bug=", 4) == 0) {
        if (o->mutant && strcmp(arg + 4, o->mutant) == 0) return OK;
        for (int i = 0; i < BUGS; i++)
            if (strcmp(arg + 4, bug_names[i]) == 0) o->bug = (enum bug)i;
        if (!o->bug) return err_set(e, ERR_USAGE, "there is no bug `%s`", arg + 4);
    } else
        return err_set(e, ERR_USAGE, "`%s`: see the comment on top of tests/simulation/simulate.c",
                       arg);
    return OK;
}

/* A program in a folder `mutants` is a core with the bug of its name. */
static const char *mutant_of(const char *program)
{
    const char *at = strstr(program, "/mutants/");
    return at ? at + strlen("/mutants/") : NULL;
}

static int one_world(int argc, char **argv)
{
    struct world_options o = {.seed = strtoull(argv[1], NULL, 0),
                              .events = strtoull(argv[2], NULL, 0)};
    struct kept *kept = NULL;
    struct err e;
    int quick = 0, broken;

    o.mutant = mutant_of(argv[0]);
    for (int i = 3; i < argc; i++)
        if (read_option(argv[i], &o, &kept, &quick, &e)) {
            fprintf(stderr, "simulate: %s\n", e.text);
            return 2;
        }
    struct world *w = world_make(&o, &e);
    if (!w) {
        fprintf(stderr, "simulate: %s\n", e.text);
        return 2;
    }
    world_run(w);
    figures(w);
    faults(w);
    broken = w->broken[0] != 0;
    printf("%s\n", broken ? w->broken : "all invariants held, everything ended");
    if (broken) {
        char *command = story_command(&o);
        printf("\n    %s\n", command);
        free(command);
        if (!quick && !o.tell && !kept) tell_short(&o, w);
    }
    world_free(w);
    free(kept);
    return broken;
}

/* ---- how long until a bug is found ---- */

static int find(double seconds, uint64_t events)
{
    uint64_t all = 0;
    clock_t began = clock();
    struct err e;

    for (uint64_t seed = 1; (double)(clock() - began) / CLOCKS_PER_SEC < seconds; seed++) {
        struct world *w = world_make(&(struct world_options){.seed = seed, .events = events}, &e);
        world_run(w);
        int broken = w->broken[0] != 0;
        all += w->counts.events;
        if (broken)
            printf("found in %.2f s by world %llu after %llu events: %s\n",
                   (double)(clock() - began) / CLOCKS_PER_SEC, N(seed), N(all), w->broken);
        world_free(w);
        if (broken) return 0;
    }
    printf("not found in %.0f s, %llu events\n", seconds, N(all));
    return 1;
}

/* ---- the test ---- */

static void healthy(uint64_t first)
{
    struct counts sum = {0};
    clock_t began = clock();
    struct err e;

    for (uint64_t seed = first; seed < first + SEEDS; seed++) {
        struct world_options o = {.seed = seed, .events = EVENTS};
        struct world *w = world_make(&o, &e);
        world_run(w);
        if (!ok(!w->broken[0], "world %llu keeps every invariant and ends", N(seed)))
            note("%s", w->broken);
        sum.events += w->counts.events;
        sum.commits += w->counts.commits;
        sum.restarts += w->counts.restarts;
        sum.lost_leases += w->counts.lost_leases;
        sum.zombies_refused += w->counts.zombies_refused;
        world_free(w);
    }
    note("%llu events, %llu commits, %llu restarts, %llu leases lost, %llu zombies refused; %.1f s",
         N(sum.events), N(sum.commits), N(sum.restarts), N(sum.lost_leases), N(sum.zombies_refused),
         (double)(clock() - began) / CLOCKS_PER_SEC);
    ok(sum.commits > 20 * SEEDS && sum.restarts > 2 * SEEDS && sum.lost_leases > 2 * SEEDS &&
           sum.zombies_refused > SEEDS,
       "and the worlds were not idle or kind");
}

/* Worlds that broke a ledger that was wrong: it held newcomers to those who went, or came, in the same step. */
static void once_broken(void)
{
    static const uint64_t seeds[] = {114704, 202310, 203584, 203840, 204626};
    struct err e;

    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        struct world_options o = {.seed = seeds[i], .events = 16000};
        struct world *w = world_make(&o, &e);
        world_run(w);
        if (!ok(!w->broken[0], "so does world %llu", N(seeds[i]))) note("%s", w->broken);
        world_free(w);
    }
}

static void planted(uint64_t first)
{
    for (int bug = 1; bug < BUGS; bug++) {
        char found[640] = "";
        struct err e;
        for (uint64_t seed = first; seed < first + BUG_SEEDS && !found[0]; seed++) {
            struct world_options o = {.seed = seed, .events = EVENTS, .bug = (enum bug)bug};
            struct world *w = world_make(&o, &e);
            world_run(w);
            memcpy(found, w->broken, sizeof found);
            world_free(w);
        }
        ok(found[0], "planted bug %s is found: %s", bug_names[bug], found);
    }
}

/* What flipped bits make of a longer message is another matter: the real store's stages bring their whole request. */
static int same_history(const struct world *a, const struct world *b)
{
    struct counts x = a->counts, y = b->counts;

    x.misread = y.misread = 0;
    return memcmp(&x, &y, sizeof x) == 0 && a->now_ms == b->now_ms;
}

static void same_seed(uint64_t seed)
{
    struct world *w[2];
    struct err e;

    for (int i = 0; i < 2; i++) {
        w[i] = world_make(&(struct world_options){.seed = seed, .events = EVENTS}, &e);
        world_run(w[i]);
    }
    ok(same_history(w[0], w[1]), "one seed is one history");
    world_free(w[0]);
    world_free(w[1]);
}

/* The rows in memory and the real store are the same to everybody: one seed is one history on both. */
static void real_store(uint64_t first)
{
    for (uint64_t seed = first; seed < first + 3; seed++) {
        struct world_options o = {.seed = seed, .events = STORE_EVENTS, .shape = "sqlite=1"};
        struct world *rows, *store;
        struct err e;

        rows = world_make(&o, &e);
        o.folder = tap_folder();
        store = world_make(&o, &e);
        world_run(rows);
        world_run(store);
        if (!ok(!store->broken[0], "world %llu on the real store", N(seed)))
            note("%s", store->broken);
        ok(same_history(rows, store), "goes the way of the same world on rows in memory");
        world_free(rows);
        world_free(store);
    }
}

static void short_story(uint64_t first)
{
    struct world_options o = {.events = EVENTS, .bug = BUG_epoch_reused};
    struct story s = {0};
    struct world *w = NULL;
    struct err e;

    for (o.seed = first; o.seed < first + BUG_SEEDS; o.seed++) {
        w = world_make(&o, &e);
        world_run(w);
        if (w->broken[0]) break;
        world_free(w);
        w = NULL;
    }
    if (!ok(w != NULL, "epochs that begin anew break some world")) return;
    shrink(&o, w, 500000, &s);
    ok(s.events < 100, "its story is shrunk from %llu events to %llu: %s", N(w->counts.events),
       N(s.events), s.command);
    struct world *again = world_make(&s.options, &e);
    world_run(again);
    ok(strcmp(again->invariant, w->invariant) == 0 && again->counts.events == s.events,
       "and replays exactly");
    world_free(again);
    world_free(w);
    story_fini(&s);
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "run") == 0)
        return campaign(argv[2], strtoull(argv[3], NULL, 0), strtoull(argv[4], NULL, 0),
                        strtoull(argv[5], NULL, 0), tap_folder());
    if (argc == 4 && strcmp(argv[1], "find") == 0)
        return find(atof(argv[2]), strtoull(argv[3], NULL, 0));
    if (argc > 2) return one_world(argc, argv);
    uint64_t first = tap_seed(1);
    healthy(first);
    once_broken();
    same_seed(first);
    planted(first);
    real_store(first);
    short_story(first);
    return done_testing();
}
