/* slurm_group.h - one worker group that Slurm has, or should have: what was promised, what Slurm says of it, what it says itself, and
 * what follows. Pure: no child, no file, no clock.
 *
 * Slurm says untrue things (slurm/README.md has them one by one), so nothing is believed from one side alone:
 *
 *     listed        heard           what it is          what follows
 *     ------------  --------------  ------------------  -------------------------------------------------------------------
 *     no            no              GONE                its leases are free, another may start; its name is never used again
 *     no            yes             WORKS               an orphan, or a Slurm that forgot: it works, and its results count
 *     waiting       no              WAITS               if it had been heard: it was requeued, its leases are free
 *     running       not yet         WAITS, then MISSING the start of mpirun takes time
 *     running       silent          MISSING             it does not count, so another starts; a minute later it is ended
 *     held, ending  no              MISSING             it does not count
 *     anything      by a new start  WORKS               the earlier start has lost the name: it is told to leave, its leases are free
 *
 * Unknown (squeue failed, or is slow) changes nothing: `looked_ms` stands still.
 */
#ifndef COORDINATOR_LAUNCH_SLURM_GROUP_H
#define COORDINATOR_LAUNCH_SLURM_GROUP_H

#include "coordinator/launch/intent.h"

#include "base/hash.h"

enum {
    GROUP_AGE_MS = 10000,             /* a name that is younger may still be on its way into Slurm's list */
    GROUP_TAKEN_MS = 4000,            /* so long, when sbatch has given its number: Slurm lists what it takes at once */
    GROUP_SILENT_MS = 4000,           /* idle groups ask every 2 s, working ones say a word more often */
    GROUP_MISSING_MS = 8000,          /* twice that: on a busy machine a word may be late */
    GROUP_HELLO_MS = 120000,          /* from running to hello */
    GROUP_ENDING_MS = 5000,           /* Slurm's own KillWait in the tests is as long */
    GROUP_GIVE_UP_MS = 60000,         /* of missing, then it is ended */
    GROUP_STARTS = 8                  /* earlier starts of a name that are remembered */
};

enum group_is { GROUP_GONE, GROUP_MISSING, GROUP_WAITS, GROUP_WORKS };

struct slurm_group {
    struct intent intent;
    /* of this life of the launcher */
    int64_t known_ms;                 /* made or found, or sbatch has answered */
    int in_flight;                    /* sbatch has not answered yet */
    int was_listed;                   /* it is on its way no more */
    /* what Slurm says, as of a look that began at looked_ms */
    enum squeue_state state;
    char reason[SQUEUE_REASON];
    int64_t looked_ms, state_ms;      /* 0: never looked; since when it is in this state */
    /* what it says itself */
    int heard, ever_heard, leased;    /* heard: nonce is that of a start that has said hello */
    struct hash nonce, before[GROUP_STARTS];
    int n_before;
    int64_t heard_ms, hello_ms, idle_ms;      /* idle_ms: since when without a stage; 0: at work */
    /* what follows */
    int64_t missing_ms, cancel_ms;    /* since when; given up: when scancel is asked next. 0: not */
    int cancels;                      /* it was asked so often */
};

/* A hello, or a request for a stage by a start that has said one. *old: a nonce that has lost its name by that (if 1 is in *lost).
 * 0: this start is not wanted any more. */
int slurm_group_hello(struct slurm_group *g, struct hash nonce, int64_t now_ms, struct hash *old, int *lost);
void slurm_group_heard(struct slurm_group *g, int64_t seen_ms, int leased, int64_t now_ms);
/* row NULL: not listed. */
void slurm_group_listed(struct slurm_group *g, const struct squeue_row *row, int64_t looked_ms);
/* Is it, or was it, this start of the group? */
int slurm_group_is_now(const struct slurm_group *g, struct hash nonce);
int slurm_group_was(const struct slurm_group *g, struct hash nonce);

enum group_is slurm_group_judge(struct slurm_group *g, int64_t now_ms);
/* From when on a look that says the same as the last one would make it gone, or missing after it was heard; 0: none. */
int64_t slurm_group_decides_ms(const struct slurm_group *g);
int slurm_group_silent(const struct slurm_group *g, int64_t now_ms);
/* Requeued: its nonce has ended with its start. 1, and the nonce is in *old. */
int slurm_group_restarts(struct slurm_group *g, struct hash *old);

#endif
