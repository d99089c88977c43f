/* launcher.h - who starts and ends worker groups. A table, because laptops have mpirun and clusters have Slurm.
 *
 *     const struct launcher_table *t = launcher_mpirun();
 *     struct launcher *l;
 *     if (t->open(&l, &options, &e)) ...                 // finds groups that a killed coordinator left behind
 *     each turn: t->poll(l, now_ms, 1, lost, &n_lost);   // starts what is missing, says who has ended
 *     at the end: t->stop(l, now_ms) until t->running(l) == 0; t->close(l);
 *
 * A group is told to leave by the coordinator's `end`; a launcher's stop only makes sure. Groups survive the death of
 * the coordinator (kill -9): the next one finds them by run/<name>.pid and does not start a second.
 */
#ifndef COORDINATOR_LAUNCH_LAUNCHER_H
#define COORDINATOR_LAUNCH_LAUNCHER_H

#include "base/err.h"
#include "base/hash.h"

#include <stdint.h>

struct launcher;

struct launch_options {
    const char *home, *endpoint;      /* the workers' socket; copied */
    int ranks;                        /* of a group */
};

enum { LAUNCH_LOST = 8 };             /* groups reported by one poll, at most */

struct launcher_table {
    const char *name;
    enum code (*open)(struct launcher **l, const struct launch_options *o, struct err *e);
    /* Looks at what runs; with want = 1 starts a group that is missing, after a back-off when the last ones died
     * young. lost: nonces of groups that have ended since. Never blocks. */
    void (*poll)(struct launcher *l, int64_t now_ms, int want, struct hash lost[LAUNCH_LOST], int *n_lost);
    /* Ends groups, gently first: nothing for 3 s (they have been told), then TERM, after 10 s KILL. Call it again and again. */
    void (*stop)(struct launcher *l, int64_t now_ms);
    int (*running)(const struct launcher *l);
    /* One line when something is wrong with starting groups; "" when not. */
    const char *(*trouble)(const struct launcher *l);
    void (*close)(struct launcher *l);                     /* leaves running groups running */
};

const struct launcher_table *launcher_mpirun(void);        /* this machine, with mpirun or, without it, one process */

#endif
