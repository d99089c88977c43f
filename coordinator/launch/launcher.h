/* launcher.h - who starts and ends worker groups. A table, because laptops have mpirun and clusters have Slurm.
 *
 *     const struct launcher_table *t = launcher_mpirun();
 *     struct launcher *l;
 *     if (t->open(&l, &options, &e)) ...                 // finds groups that a killed coordinator left behind
 *     each turn: t->poll(l, now_ms, &want, lost, &n);    // starts what is missing, ends what is idle, says who is lost
 *     at a hello or ready: t->knows(l, name, nonce, now_ms) == 0: answer `end`
 *     at the end: t->stop(l, now_ms), t->poll(l, ...) until t->running(l) == 0; t->close(l);
 *
 * A group has a name, which its launcher gives and may use again, and a nonce, which is one start of it. Leases are held
 * by nonces. A group is told to leave by the coordinator's `end`; a launcher's stop only makes sure. Groups survive the death
 * of the coordinator (kill -9): the next one finds them by files in its home and does not start a second.
 *
 * Nothing here waits: programs are asked as children and looked at again in the next poll.
 */
#ifndef COORDINATOR_LAUNCH_LAUNCHER_H
#define COORDINATOR_LAUNCH_LAUNCHER_H

#include "base/err.h"
#include "base/hash.h"

#include <stddef.h>
#include <stdint.h>

struct launcher;
struct site;

struct launch_options {
    const char *home, *endpoint;      /* the workers' socket; copied */
    int ranks;                        /* of a group */
    int min_groups, max_groups;       /* mpirun: always max_groups. 0 to 0: nothing is started, what is there is looked after */
    int64_t idle_ms;                  /* Slurm: a group without work for so long ends */
    const struct site *site;          /* Slurm only (site.h); borrowed until close */
};

enum { LAUNCH_LOST = 8, LAUNCH_GROUPS = 256 };   /* nonces reported by one poll; groups of one launcher, at most */

/* A group that has said hello, as the coordinator knows it. */
struct launch_seen {
    const char *name;                 /* borrowed for the call */
    struct hash nonce;
    int64_t seen_ms;                  /* its last word */
    int leased;                       /* it runs a stage */
};

/* Why groups are there, and which are. */
struct launch_want {
    size_t ready, leased;             /* stages that a group could begin now; that run */
    int stopping;                     /* nothing is started any more */
    const struct launch_seen *seen;   /* [n_seen], borrowed for the call */
    size_t n_seen;
};

struct launcher_table {
    const char *name;
    int by_backlog;                   /* without work there may be no group, and that is well */
    enum code (*open)(struct launcher **l, const struct launch_options *o, struct err *e);
    /* Looks at what runs, starts and ends groups as wanted, after a back-off when the last ones died young. lost: nonces
     * that are gone since; their leases are free. Never blocks. */
    void (*poll)(struct launcher *l, int64_t now_ms, const struct launch_want *want, struct hash lost[LAUNCH_LOST], int *n_lost);
    /* May this group work? name NULL: it has said hello before and asks for a stage. 0: its name was given up, or a later
     * start has taken its name over. 1: it is wanted, or was started by somebody else. A hello is noted. */
    int (*knows)(struct launcher *l, const char *name, struct hash nonce, int64_t now_ms);
    /* Ends groups, gently first: nothing for 3 s (they have been told), then less so. Call it again and again, and poll beside it. */
    void (*stop)(struct launcher *l, int64_t now_ms);
    int (*running)(const struct launcher *l);              /* groups that are there, or may be */
    /* One line when something is wrong with starting groups; "" when not. */
    const char *(*trouble)(const struct launcher *l);
    void (*close)(struct launcher *l);                     /* leaves running groups running; NULL is fine */
};

const struct launcher_table *launcher_mpirun(void);        /* this machine, with mpirun or, without it, one process */
const struct launcher_table *launcher_slurm(void);         /* sbatch, squeue, scancel; slurm/README.md */

/* engram-worker beside this program, else on PATH. ERR_ENVIRONMENT: neither. */
enum code launch_find_worker(char *out, size_t bytes, struct err *e);

#endif
