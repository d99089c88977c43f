/* How many jobs and stages a second the coordinator takes, durably, beside what disk and sockets do without it.
 *
 *     build/plain/bench/coordinator/throughput [FOLDER [SECONDS [MILLION]]]
 *
 * FOLDER: where the home is made, on the disk that is meant (default: the current one); SECONDS per row (default 5);
 * MILLION: how many jobs wait in the last rows (default 1000000). Bars: docs/speed.md. With a Slurm in the environment
 * (../shared/slurm-local/up) sbatch is measured, too.
 */
#include "bench/coordinator/support/ceilings.h"
#include "bench/coordinator/support/work.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TURNS = 4 };

static void row(const char *what, double rate, const char *against, double ceiling, double bar)
{
    printf("%-44s %10.0f/s  %6.2f of %s (%.0f/s), bar %.2f: %s\n", what, rate, rate / ceiling,
           against, ceiling, bar, rate >= bar * ceiling ? "met" : "MISSED");
    fflush(stdout);
}

/* Stages a second of n groups, while so many jobs wait. */
static double stages(struct office *o, struct backlog *b, int n, long level, double seconds)
{
    struct groups g;
    double rate, busy;

    if (level > b->level) backlog_add(b, level - b->level);
    groups_open(&g, o, n);
    groups_run(&g, b, level, 1.0);
    long before = g.done;
    busy = office_busy(o);
    rate = groups_run(&g, b, level, seconds);
    printf("%d groups, %ld waiting: %.0f us of the coordinator's processor for a stage and its "
           "submission\n",
           n, level, (office_busy(o) - busy) * 1e6 / (double)(g.done - before));
    fflush(stdout);
    groups_close(&g);
    return rate;
}

/* A coordinator with its jobs, beside others. */
struct side {
    struct office office;
    struct backlog jobs;
    double rate;
};

static void side_open(struct side *s, const char *folder, const char *name)
{
    char home[200];

    snprintf(home, sizeof home, "%s/%s", folder, name);
    *s = (struct side){0};
    office_start(&s->office, home);
    backlog_open(&s->jobs, &s->office, 1);
}

/* Two homes of the same age, by turns: what has ended costs, too, and must be the same on both sides. */
static void depth_of_queue(const char *folder, long million, double seconds)
{
    struct side few, many;
    char home[200];
    size_t before;

    side_open(&few, folder, "few");
    side_open(&many, folder, "many");
    before = office_resident(&many.office);
    double took = backlog_add(&many.jobs, million);
    printf("%ld jobs in %.1f s (%.0f/s), %.0f bytes of memory each\n", million, took,
           (double)million / took,
           (double)(office_resident(&many.office) - before) / (double)million);
    for (int i = 0; i < TURNS; i++) {
        few.rate += stages(&few.office, &few.jobs, 64, 1000, seconds / 2) / TURNS;
        many.rate += stages(&many.office, &many.jobs, 64, million, seconds / 2) / TURNS;
    }
    printf("no-op stages, 64 groups, 1000 waiting         %10.0f/s\n", few.rate);
    row("the same with a million waiting", many.rate, "with a thousand", few.rate, 0.95);
    backlog_close(&few.jobs);
    backlog_close(&many.jobs);
    office_stop(&few.office, SIGKILL);
    office_stop(&many.office, SIGKILL);
    snprintf(home, sizeof home, "%s/many", folder);
    double again = office_start(&many.office, home);
    printf("killed and answering again: %.2f s with %ld jobs\n", again, many.jobs.level);
    office_stop(&many.office, SIGKILL);
}

int main(int argc, char **argv)
{
    char where[PATH_MAX], folder[150], home[200], command[260];
    double seconds = argc > 2 ? atof(argv[2]) : 5.0;
    long million = argc > 3 ? atol(argv[3]) : 1000000;
    struct office o;
    struct backlog b;

    if (!realpath(argc > 1 ? argv[1] : ".", where)) die("%s: no such folder", argv[1]);
    snprintf(folder, sizeof folder, "%.80s/bench-coordinator-%d", where, getpid());
    snprintf(home, sizeof home, "%s/home", folder);
    if (mkdir(folder, 0700)) die("%s: cannot be made", folder);
    double syncs = ceiling_syncs(folder, seconds / 2);
    double fan1 = ceiling_fan(folder, 64, 1, seconds), fan4 = ceiling_fan(folder, 64, 4, seconds);
    printf(
        "disk: %.0f fdatasync/s; bare fan of 64 peers, ipc: %.0f units/s at depth 1, %.0f at 4\n",
        syncs, fan1, fan4);
    double sbatch = peer_sbatch(seconds);
    if (sbatch > 0) printf("sbatch, one after the other: %.0f jobs/s\n", sbatch);
    else printf("sbatch: no Slurm in this environment\n");
    office_start(&o, home);
    backlog_open(&b, &o, 64);
    long n = 50000;
    row("submissions, 1000 in a message", (double)n / backlog_add(&b, n), "50,000", 50000, 1.0);
    n = syncs * seconds < 100000 ? (long)(syncs * seconds) : 100000;
    row("submissions, one by one, 64 clients", (double)n / backlog_add_singly(&b, n), "fdatasync",
        syncs, 3.0);
    double few = stages(&o, &b, 64, 20000, seconds);
    row("no-op stages, 64 groups", few, "the fan, depth 1", fan1, 0.4);
    row("no-op stages, 256 groups", stages(&o, &b, 256, 20000, seconds), "the fan, depth 4", fan4,
        0.3);
    backlog_close(&b);
    office_stop(&o, SIGKILL);
    depth_of_queue(folder, million, seconds);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0;
}
