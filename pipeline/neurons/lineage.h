/* lineage.h - W_m as a function of W0 and the commits 1..m, and of nothing else (invariant 3).
 *
 *     struct lineage l;
 *     lineage_start(&l, &model->kv, w0, &model_hash, dim, &e);
 *     for each commit, oldest first:  lineage_apply(&l, &commit, &e);      // refuses a broken chain
 *     ... l.kv is W_m, l.used the union of masks, l.rows the token rows ...
 *     lineage_fini(&l);
 *
 * The values a commit stores overwrite W at its mask, exactly: applying twice from W0 gives the same bytes.
 */
#ifndef NEURONS_LINEAGE_H
#define NEURONS_LINEAGE_H

#include "base/err.h"
#include "base/hash.h"
#include "base/objects.h"
#include "pipeline/neurons/commit.h"

struct lineage {
    struct hash base, head;           /* head: zero before the first commit */
    float *kv;                        /* owned, W_m, [n_weights] */
    size_t n_weights;
    struct mask used;                 /* U_m: OR of the masks so far */
    struct mask *mask;                /* owned, [n]: the masks one by one */
    float *rows;                      /* owned, [n][dim]: added-token rows in commit order */
    char (*token)[COMMIT_TOKEN];      /* owned, [n] */
    int n;
    uint32_t dim;
};

enum code lineage_start(struct lineage *l, const float *w0, size_t n_weights, struct hash base, uint32_t dim,
                        struct err *e);
/* name: the commit's own hash, which becomes the head. ERR_CORRUPT: wrong base, parent or size; ERR_EXISTS: token taken. */
enum code lineage_apply(struct lineage *l, const struct commit *c, struct hash name, struct err *e);
/* lineage_start and every commit of chain (oldest first) read from the store. */
enum code lineage_open(struct lineage *l, const float *w0, size_t n_weights, struct hash base, uint32_t dim,
                       struct objects *store, const struct hash *chain, int n, struct err *e);
void lineage_fini(struct lineage *l);

#endif
