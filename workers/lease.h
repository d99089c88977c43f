/* lease.h - rank 0's side of a lease: heartbeats while the stage runs, and the word of the coordinator to stop.
 *
 *     lease_begin(&l, link, stage);
 *     ... group->progress = lease_progress; group->progress_self = &l; ...      // called by the work itself
 *     if (l.lost) throw the result away; else link_call(result)
 *
 * Heartbeats come from the thread that does the work, never from a helper thread: a stuck group must look stuck. At each step,
 * and at the pulse of the work inside a step (base/pulse.h), which may be longer than a term. They cost a non-blocking send;
 * the answer is looked at, not waited for.
 */
#ifndef WORKERS_LEASE_H
#define WORKERS_LEASE_H

#include "base/arena.h"
#include "proto/link.h"

#include <signal.h>
#include <stdint.h>

struct lease {
    struct link *link;                 /* borrowed */
    uint64_t job, stage, epoch;
    int64_t term_ms, heard_ms, told_ms;
    int lost;                          /* the coordinator took it back, or was silent for a whole term */
    int64_t step, of;                  /* last said, for the heartbeats between two steps */
    char line[160];
    struct arena arena;                /* answers */
};

extern volatile sig_atomic_t lease_leaving;        /* set by signal handlers: stop at the next step, keep a checkpoint */

void lease_begin(struct lease *l, struct link *link, const struct msg_stage *s);
void lease_end(struct lease *l);
/* The progress function of pipeline tasks; self is a struct lease. Nonzero: stop. */
int lease_progress(void *self, int64_t step, int64_t of, const char *line);

#endif
