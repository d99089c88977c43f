/* work.h - jobs that cost nothing and worker groups that do nothing, so that what is measured is the coordinator. */
#ifndef BENCH_COORDINATOR_WORK_H
#define BENCH_COORDINATOR_WORK_H

#include "bench/coordinator/support/fleet.h"

/* Who submits: one peer, its lineage, how many jobs it has submitted. */
struct backlog {
    struct fleet users;
    struct arena arena;
    uint64_t submitted;
    long level;                       /* queued and not yet handed out, as far as this side knows */
};
void backlog_open(struct backlog *b, const struct office *o, int clients);
void backlog_close(struct backlog *b);

/* One sample job as its request; the key is fresh. */
struct message backlog_job(struct backlog *b);

/* Submits n jobs in batches of 1000 and waits for the answers. Returns the seconds it took. */
double backlog_add(struct backlog *b, long n);

/* n jobs, one per message, from all clients at once, each with one outstanding. Returns the seconds. */
double backlog_add_singly(struct backlog *b, long n);

/* Worker groups, each with a stage at a time, which they finish at once: result and the next ready go out together. */
struct groups {
    struct fleet peers;
    struct arena arena;
    long done;                        /* results that count */
};
void groups_open(struct groups *g, const struct office *o, int n);
void groups_close(struct groups *g);
/* Runs for so many seconds or until nothing is left to do; keeps the backlog at `level` jobs or more (0: does not add).
 * Returns stages a second. */
double groups_run(struct groups *g, struct backlog *b, long level, double seconds);

#endif
