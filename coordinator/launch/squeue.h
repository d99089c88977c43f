/* squeue.h - what Slurm's programs print, as values. Pure functions of bytes: names of other people's jobs may hold anything,
 * answers may be cut off, and a wrong reading ends somebody's work.
 *
 *     squeue -h -o '%j|%i|%T|%r'           ->  squeue_read
 *     sbatch --parsable                    ->  squeue_read_submitted
 *
 * Only jobs of our own names are kept: engram-<home>-g<number>-<nonce>, home and nonce 8 hex digits each. Numbers of jobs are kept
 * for people to read; nothing is ever decided by one (Slurm gives numbers out again).
 */
#ifndef COORDINATOR_LAUNCH_SQUEUE_H
#define COORDINATOR_LAUNCH_SQUEUE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { SQUEUE_NAME = 40, SQUEUE_ID = 24, SQUEUE_REASON = 64 };

enum squeue_state {                   /* the later, the more alive */
    SQUEUE_ABSENT,
    SQUEUE_ENDING,                    /* completing, or in an end state */
    SQUEUE_HELD,                      /* waits, and will not start by itself */
    SQUEUE_WAITING,                   /* pending, requeued, and every word that is not known here */
    SQUEUE_RUNNING                    /* running, configuring, suspended */
};

struct squeue_row {
    char name[SQUEUE_NAME], id[SQUEUE_ID], reason[SQUEUE_REASON];     /* id and reason are cut to fit */
    enum squeue_state state;
};
struct squeue { struct squeue_row *rows; size_t n; };       /* rows: owned, squeue_fini */

/* Jobs of this home, in the order of the answer. ERR_PROTOCOL: the answer is no whole answer (cut off in a line, zero bytes, a job of ours
 * without its fields); then nothing is known. O(bytes). */
enum code squeue_read(struct squeue *q, const char *text, size_t bytes, uint32_t home, struct err *e);
void squeue_fini(struct squeue *q);

/* The job of that name; the most alive one where Slurm has it twice; NULL: absent. */
const struct squeue_row *squeue_find(const struct squeue *q, const char *name);

/* "1234\n" or "1234;cluster\n". ERR_PROTOCOL: something else. */
enum code squeue_read_submitted(const char *text, size_t bytes, char id[SQUEUE_ID], struct err *e);

/* A name of ours, taken apart; 0: it is none. number: 1 to 999999. */
int squeue_name_read(const char *name, size_t n, uint32_t *home, int *number);
void squeue_name_make(char out[SQUEUE_NAME], uint32_t home, int number, uint32_t nonce);

#endif
