/* slurm_state.h - what the files of the Slurm launcher share: slurm.c (open, table), slurm_ask.c (sbatch, squeue, scancel),
 * slurm_count.c (how many groups there are and should be). */
#ifndef COORDINATOR_LAUNCH_SLURM_STATE_H
#define COORDINATOR_LAUNCH_SLURM_STATE_H

#include "coordinator/launch/ask.h"
#include "coordinator/launch/launcher.h"
#include "coordinator/launch/site.h"
#include "coordinator/launch/slurm_group.h"

struct launcher {
    struct arena strings;
    const struct site *site;          /* borrowed */
    const char *folder, *log, *worker, *script;
    struct launch_options o;
    uint32_t home;
    struct slurm_group *groups[LAUNCH_GROUPS];      /* owned, [n] */
    size_t n;
    /* programs that are asked */
    struct ask look, submit, cancel;
    struct slurm_group *submitting;   /* borrowed from groups; NULL: none */
    char leftover[SQUEUE_NAME];       /* listed, of our name, and not promised; "": none */
    int64_t look_ms, looked_ms, leftover_ms;        /* last look begun; begun and answered; not before */
    int64_t unknown_ms;               /* since when squeue fails */
    int knows_nothing;                /* the last squeue failed, */
    struct err unknown;               /* and said this */
    /* how many */
    int64_t next_ms, surplus_ms, stop_ms;
    int64_t fails;
    struct hash lost[4 * LAUNCH_LOST];              /* not told yet */
    int n_lost;
    struct err refusal;               /* what sbatch said last; "" when it took the job */
    char trouble[sizeof((struct err *)0)->text];
};

/* ---- slurm.c ---- */

struct slurm_group *slurm_add(struct launcher *l, const struct intent *i);      /* NULL: no room */
/* The name is not used again. cancel_ms: from when on Slurm is asked to end it, if it has not left by itself. */
void slurm_give_up(struct launcher *l, struct slurm_group *g, int64_t cancel_ms, const char *why);
void slurm_drop(struct launcher *l, size_t i);      /* it is gone: its leases are free, its promise is forgotten */
void slurm_lose(struct launcher *l, struct hash nonce);

/* ---- slurm_ask.c: each looks after one program, and starts it when it is time ---- */

void slurm_look(struct launcher *l, int64_t now_ms);
void slurm_read_submitted(struct launcher *l, int64_t now_ms);
void slurm_begin(struct launcher *l, int64_t now_ms);       /* a promise, then sbatch */
void slurm_cancel(struct launcher *l, int64_t now_ms);

/* ---- slurm_count.c ---- */

void slurm_hear(struct launcher *l, const struct launch_want *w, int64_t now_ms);
void slurm_adjust(struct launcher *l, const struct launch_want *w, int64_t now_ms);
void slurm_say_trouble(struct launcher *l, int64_t now_ms);

#endif
