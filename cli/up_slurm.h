/* up_slurm.h - the options of `engram up` that are Slurm's, and the words that the coordinator gets for them.
 *
 *     n += up_slurm_options(&u, table + n);  options_read(..., n, ...);
 *     up_slurm_words(&u, words, &n_words, &e);
 */
#ifndef CLI_UP_SLURM_H
#define CLI_UP_SLURM_H

#include "cli/options.h"

struct up_slurm {                         /* zero-initialise */
    int on, print;
    const char *partition, *account, *qos, *time, *gres, *constraint, *site;
    int64_t least, most, idle;            /* -1: not said */
    struct words sbatch;
};

enum { UP_SLURM_OPTIONS = 13, UP_SLURM_WORDS = 200 };

size_t up_slurm_options(struct up_slurm *u, struct option_spec rows[UP_SLURM_OPTIONS]);
/* Behind words[*n]; room for UP_SLURM_WORDS more. Words live as long as the process. ERR_USAGE: without --slurm; too many. */
enum code up_slurm_words(const struct up_slurm *u, const char **words, size_t *n, struct err *e);

#endif
