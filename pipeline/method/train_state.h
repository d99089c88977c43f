/* train_state.h - all that training changes, and its checkpoint file (docs/formats.md, "Checkpoint").
 *
 * A checkpoint is valid for one task only: it carries a key, the SHA-256 of everything that training depends on. A file that is
 * absent, torn, or of another task is no error: training starts from the beginning and ends with the same bytes.
 */
#ifndef METHOD_TRAIN_STATE_H
#define METHOD_TRAIN_STATE_H

#include "base/err.h"
#include "base/hash.h"

#include <stdint.h>

struct train_state {
    size_t n;                          /* neurons */
    uint32_t dim;                      /* of the token's row */
    int64_t step, steps;               /* done, in all */
    float *w, *w_m, *w_v;              /* owned, [n]: values and Adam's moments */
    float *row, *row_m, *row_v;        /* owned, [dim] */
    float *loss;                       /* owned, [steps]: instance error of each step */
    double balance_sum;                /* of the regulariser's probe over the first steps */
    int64_t balance_n;
};
enum code train_state_make(struct train_state *s, size_t n, uint32_t dim, int64_t steps, struct err *e);
void train_state_fini(struct train_state *s);

enum code train_state_save(const struct train_state *s, struct hash key, const char *path, struct err *e);
/* OK and *found = 1: s is the checkpoint's. OK and *found = 0: nothing usable there, s is as it was. */
enum code train_state_load(struct train_state *s, struct hash key, const char *path, int *found, struct err *e);

#endif
