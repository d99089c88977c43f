/* How long people wait: from submission to the start at an idle group, and for answers while the coordinator is at work.
 *
 *     build/plain/bench/coordinator/latency [FOLDER [SECONDS [QUEUED]]]
 *
 * FOLDER: where the home is made, on the disk that is meant (default: the current one); SECONDS of load (default 10); QUEUED: jobs
 * that wait meanwhile (default 1000000). Bars: docs/speed.md.
 */
#include "bench/coordinator/support/ceilings.h"
#include "bench/coordinator/support/work.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STARTS = 10000, ASKED_PER_S = 300 };

struct times {
    double *v;
    size_t n, room;
};

static void add(struct times *t, double seconds)
{
    if (t->n == t->room) {
        t->room = t->room ? 2 * t->room : 1024;
        if (!(t->v = realloc(t->v, t->room * sizeof *t->v))) die("out of memory");
    }
    t->v[t->n++] = 1000 * seconds;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void tell(const char *what, struct times *t, double bar50, double bar99)
{
    if (!t->n) die("%s: nothing was measured", what);
    qsort(t->v, t->n, sizeof *t->v, by_size);
    double p50 = t->v[t->n / 2], p99 = t->v[t->n * 99 / 100];
    printf("%-34s p50 %7.2f ms  p90 %7.2f  p99 %7.2f  worst %7.2f  (%zu): %s\n", what, p50,
           t->v[t->n * 9 / 10], p99, t->v[t->n - 1], t->n,
           (!bar50 || p50 < bar50) && p99 < bar99 ? "met" : "MISSED");
    fflush(stdout);
    free(t->v);
    *t = (struct times){0};
}

/* ---- idle ---- */

static double one_start(struct backlog *b, struct groups *g, long i)
{
    struct message m = {.kind = MSG_ready}, answer;
    struct arena a = {0};
    double began;
    int peer;

    if (i == 0) fleet_say(&g->peers, 0, &m);
    nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL); /* the ready is parked */
    m = backlog_job(b);
    began = seconds_now();
    fleet_say(&b->users, 0, &m);
    do {
        if (!fleet_hear(&g->peers, 10000, &peer, &a, &answer)) die("no stage came");
        if (answer.kind == MSG_idle) {
            m = (struct message){.kind = MSG_ready};
            fleet_say(&g->peers, 0, &m);
        }
    } while (answer.kind != MSG_stage);
    began = seconds_now() - began;
    m = (struct message){.kind = MSG_result,
                         .result = {.job = answer.stage.job,
                                    .stage = answer.stage.stage,
                                    .epoch = answer.stage.epoch}};
    fleet_say(&g->peers, 0, &m);
    m = (struct message){.kind = MSG_ready};
    fleet_say(&g->peers, 0, &m);
    if (!fleet_hear(&b->users, 10000, &peer, &a, &answer)) die("not accepted");
    arena_fini(&a);
    return began;
}

static void idle(struct office *o, struct backlog *b)
{
    struct times starts = {0};
    struct groups g;

    groups_open(&g, o, 1);
    for (long i = 0; i < STARTS; i++) add(&starts, one_start(b, &g, i));
    groups_close(&g);
    tell("submit to start, idle", &starts, 1.0, 5.0);
}

/* ---- under load ---- */

static pid_t load(struct office *o, long level, double seconds)
{
    pid_t pid = fork();

    if (pid) return pid;
    struct backlog b;
    struct groups g;
    backlog_open(&b, o, 1);
    b.level = level;
    groups_open(&g, o, 64);
    printf("load: %.0f stages/s while the questions below were asked\n",
           groups_run(&g, &b, level, seconds));
    fflush(stdout);
    _exit(0);
}

static const char *const KINDS[] = {"status of a job", "cancel", "submit"};

static struct message question(struct backlog *b, int kind, uint64_t *id, uint64_t last)
{
    switch (kind) {
    case 0: return (struct message){.kind = MSG_job, .job = {.job = 1 + (uint64_t)rand() % last}};
    case 1: return (struct message){.kind = MSG_cancel, .cancel = {.job = (*id)--}};
    default: return backlog_job(b);
    }
}

/* Open loop: a question has its time, and the answer is late from then on, whenever the question could be sent. */
static void questions(struct backlog *b, uint64_t last, double seconds)
{
    struct times t[3] = {{0}};
    uint64_t id = last;
    double began = seconds_now(), at = began, *asked = calloc((size_t)b->users.n, sizeof *asked);
    int *kind = calloc((size_t)b->users.n, sizeof *kind), next = 0, peer;

    while (at < began + seconds || next > 0) {
        struct message m, answer;
        struct arena a = {0};
        double now = seconds_now();
        if (now >= at && at < began + seconds) {
            int who = -1;
            for (int i = 0; i < b->users.n && who < 0; i++)
                if (!asked[i]) who = i;
            if (who >= 0) {
                kind[who] = rand() % 3;
                asked[who] = at;
                m = question(b, kind[who], &id, last);
                fleet_say(&b->users, who, &m);
                at += 1.0 / ASKED_PER_S;
                next++;
                continue;
            }
        }
        double wait = at < began + seconds ? 1000 * (at - now) : 1000;
        if (fleet_hear(&b->users, wait > 1 ? (int)wait : 1, &peer, &a, &answer) && asked[peer]) {
            add(&t[kind[peer]], seconds_now() - asked[peer]);
            asked[peer] = 0;
            next--;
        }
        arena_fini(&a);
        if (seconds_now() > began + 3 * seconds + 60) die("answers are missing");
    }
    for (int k = 0; k < 3; k++) tell(KINDS[k], &t[k], 0, 20.0);
    free(asked);
    free(kind);
}

int main(int argc, char **argv)
{
    char folder[PATH_MAX], home[160], command[400];
    double seconds = argc > 2 ? atof(argv[2]) : 10.0;
    long queued = argc > 3 ? atol(argv[3]) : 1000000;
    struct office o;
    struct backlog b;

    if (!realpath(argc > 1 ? argv[1] : ".", folder)) die("%s: no such folder", argv[1]);
    snprintf(home, sizeof home, "%.100s/bench-latency-%d", folder, getpid());
    office_start(&o, home);
    printf("disk: %.0f fdatasync/s\n", ceiling_syncs(home, 2));
    backlog_open(&b, &o, 64);
    idle(&o, &b);
    backlog_add(&b, queued);
    pid_t pid = load(&o, queued, seconds + 2);
    nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    questions(&b, b.submitted, seconds);
    waitpid(pid, NULL, 0);
    backlog_close(&b);
    office_stop(&o, SIGKILL);
    snprintf(command, sizeof command, "rm -rf %s %s.log", home, home);
    return system(command) != 0;
}
