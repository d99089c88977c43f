/* intent.h - what was promised to Slurm, durably: one small file per group, written before sbatch is asked.
 *
 *     HOME/groups/engram-1a2b3c4d-g1-5e6f7a8b.group
 *         engram group 1
 *         state submitted
 *         since_ms 1767225600000
 *         job 1042
 *
 * The name is the file's. `intended`: sbatch may or may not have been asked; `submitted`: it answered; `given-up`: a group of this name
 * is to end, and is told so if it says hello. Written by file_write: after a kill a file holds the old state or the new one.
 */
#ifndef COORDINATOR_LAUNCH_INTENT_H
#define COORDINATOR_LAUNCH_INTENT_H

#include "coordinator/launch/squeue.h"

enum intent_state { INTENT_INTENDED, INTENT_SUBMITTED, INTENT_GIVEN_UP };

struct intent {
    char name[SQUEUE_NAME];
    int number;
    enum intent_state state;
    int64_t since_ms;                 /* of the intent, wall time */
    char job[SQUEUE_ID];              /* for people; "": not known */
};

enum code intent_write(const char *folder, const struct intent *i, struct err *e);
void intent_remove(const char *folder, const struct intent *i);

/* All of this home into out[most], in no order; *n counts them. A file whose contents are damaged stands for a group that was submitted at
 * time 0. Files of another home's names (this one was moved or copied) are removed: their groups are not ours to end. */
enum code intent_list(const char *folder, uint32_t home, struct intent *out, size_t most, size_t *n, struct err *e);

#endif
