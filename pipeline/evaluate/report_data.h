/* report_data.h - what a report is made of, read once from the store. Internal to evaluate/.
 *
 *     chapters_read(&c, report, &e);       // one per commit
 *     score_at(&c, i, k)                   // concept k as commit i was evaluated, or NULL
 *     chapters_fini(&c);
 */
#ifndef EVALUATE_REPORT_DATA_H
#define EVALUATE_REPORT_DATA_H

#include "pipeline/evaluate/report.h"

#include <stdint.h>

struct made {                              /* a commit's own record, as far as it speaks */
    double density[4];                     /* base, general, concept, reg: shares of K/V; NaN: not said */
    double *loss;                          /* owned; means over equal stretches of steps */
    int n_losses;
    int64_t steps;                         /* 0: not said */
    char method[32];
};
struct chapter {
    const struct report_commit *c;         /* borrowed */
    struct evaluation evaluation;          /* n 0: none */
    struct made made;
};
struct chapters { const struct report *r; struct chapter *v; int n; };

enum code chapters_read(struct chapters *out, const struct report *r, struct err *e);
void chapters_fini(struct chapters *c);

const struct concept_score *score_at(const struct chapters *c, int commit, int concept);
/* The newest evaluation that knows concept k, and that of its own commit; NULL: none. */
const struct concept_score *score_now(const struct chapters *c, int concept);
const struct concept_score *score_then(const struct chapters *c, int concept);

/* Means over the concepts that have a successor: what forgetting is. n 0: there are none. */
struct forgetting { int n; double then_i, now_i, drift; };
struct forgetting forgetting_of(const struct chapters *c);

#endif
