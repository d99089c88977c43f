/* score.h - which neurons a prompt uses: equation (3) of the paper, and the masks made of it.
 *
 *     v_j       = sqrt(sum over counted tokens s of c[s][j]^2)            c: text states of the prompt [T,D]
 *     S[i][j]   = |W[i][j]| v_j                                           every K and V matrix, [out,in]
 *     M[i][j]   = 1 iff S[i][j] is among the floor(fraction * in) largest of its group (default: its row i);
 *                 ties: the smaller j wins
 *     M_base    = AND over captions        (4)      M_general = AND over calibration prompts   (5)
 *     M_concept = M_base & ~M_general      (6)      M_reg = M_concept & (earlier concepts' union)
 *
 * Pixels never enter: only captions do. All prompts are thresholded in one pass over the weights: a row is read once and
 * stays in cache for every prompt. Exact and independent of ranks and threads.
 */
#ifndef NEURONS_SCORE_H
#define NEURONS_SCORE_H

#include "base/collectives.h"
#include "base/err.h"
#include "pipeline/model/kv.h"
#include "pipeline/neurons/mask.h"

enum score_tokens { SCORE_ALL, SCORE_NO_BOS, SCORE_CONTENT, SCORE_CONTENT_EOS };     /* A2 */
enum score_group { SCORE_ROW, SCORE_MATRIX, SCORE_GLOBAL };                          /* A1 */
struct score_options {
    double fraction;               /* 0.30 */
    enum score_tokens tokens;
    enum score_group group;
    int rownorm;                   /* 1: each token's state is scaled to length 1 first */
};

/* v of one prompt: states [T,D], n = ids before padding (start and end included). out [D]. */
void score_norms(const struct score_options *o, const float *states, int T, int D, int n, double *out);

/* One mask per prompt: norms [P][D] -> mask[p] (initialised by the caller, overwritten). w: flat K/V vector. O(P n). */
enum code score_prompts(const struct kv_layout *l, const float *w, const struct score_options *o, const double *norms,
                        int P, int D, struct mask *mask, struct err *e);

/* AND over prompts, or a vote: ones are the neurons that at least ceil(share * P) prompts select. share 1: the AND.
 * Does not keep P masks: a group's counts live in the scratch of its thread. Prompts are split over ranks when share is 1. */
enum code score_common(const struct kv_layout *l, const float *w, const struct score_options *o, const double *norms,
                       int P, int D, double share, struct collectives *c, struct mask *out, struct err *e);

/* AND density after the first 1, 2, ... P prompts relative to one mask (Fig. 3's curve). out [P]. */
enum code score_curve(const struct kv_layout *l, const float *w, const struct score_options *o, const double *norms,
                      int P, int D, double *out, struct err *e);

#endif
