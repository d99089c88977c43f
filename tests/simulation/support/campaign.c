/* campaign.c - see campaign.h. The file is only appended to, a whole line at a time; a line that was cut off by a kill does not count. */
#include "tests/simulation/support/campaign.h"
#include "tests/simulation/support/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { HUNDRED = 100 };

static double cpu_s(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* The first seed that is not done yet. */
static uint64_t go_on(const char *path, uint64_t first)
{
    FILE *f = fopen(path, "r");
    char line[1024];
    uint64_t from, to, next = first;

    while (f && fgets(line, sizeof line, f))
        if (strchr(line, '\n') && sscanf(line, "seeds %" SCNu64 " %" SCNu64, &from, &to) == 2 &&
            from == next)
            next = to + 1;
    if (f) fclose(f);
    return next;
}

static void add(struct counts *sum, const struct counts *c)
{
    sum->events += c->events;
    sum->jobs += c->jobs;
    sum->grants += c->grants;
    sum->commits += c->commits;
    sum->lost_leases += c->lost_leases;
    sum->restarts += c->restarts;
    sum->checks += c->checks;
    sum->zombies_refused += c->zombies_refused;
    sum->corrupted += c->corrupted;
    sum->misread += c->misread;
    for (int f = 0; f < FAULTS; f++) sum->faults[f] += c->faults[f];
}

static int play(FILE *f, const struct world_options *o, struct counts *sum)
{
    struct err e;
    struct world *w = world_make(o, &e);
    int broken;

    if (!w) return 1;
    world_run(w);
    broken = w->broken[0] != 0;
    if (broken) fprintf(f, "broken %" PRIu64 " %" PRIu64 " %s\n", o->seed, o->events, w->broken);
    add(sum, &w->counts);
    world_free(w);
    return broken;
}

static void write_line(FILE *f, uint64_t from, uint64_t to, const struct counts *c, double seconds)
{
    uint64_t faults = 0;

    for (int i = 0; i < FAULTS; i++) faults += c->faults[i];
    fprintf(f,
            "seeds %" PRIu64 " %" PRIu64 " events %" PRIu64 " jobs %" PRIu64 " grants %" PRIu64
            " commits %" PRIu64 " lost %" PRIu64 " zombies %" PRIu64 " restarts %" PRIu64
            " checks %" PRIu64 " corrupted %" PRIu64 " misread %" PRIu64 " faults %" PRIu64
            " cpu_s %.2f at %lld\n",
            from, to, c->events, c->jobs, c->grants, c->commits, c->lost_leases, c->zombies_refused,
            c->restarts, c->checks, c->corrupted, c->misread, faults, seconds,
            (long long)time(NULL));
    fflush(f);
}

int campaign(const char *folder, uint64_t first, uint64_t count, uint64_t events,
             const char *databases)
{
    char path[600];
    int broken = 0;

    mkdir(folder, 0777);
    snprintf(path, sizeof path, "%s/seeds-%" PRIu64 "-%" PRIu64 ".txt", folder, first,
             first + count - 1);
    uint64_t from = go_on(path, first);
    FILE *f = fopen(path, "a");
    if (!f) {
        perror(path);
        return 2;
    }
    while (from < first + count) {
        uint64_t to =
            from + HUNDRED - 1 < first + count - 1 ? from + HUNDRED - 1 : first + count - 1;
        struct counts sum = {0};
        double began = cpu_s();
        for (uint64_t seed = from; seed <= to; seed++)
            broken += play(
                f, &(struct world_options){.seed = seed, .events = events, .folder = databases},
                &sum);
        write_line(f, from, to, &sum, cpu_s() - began);
        from = to + 1;
    }
    fclose(f);
    return broken != 0;
}
