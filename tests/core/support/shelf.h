/* shelf.h - what a store would hold, in memory: rows as they were put, and the jobs of the past that the core asks for.
 *
 *     shelf_keep(&shelf, &actions);                              // after a batch
 *     ev.past = shelf_past(&shelf, core, &message);              // before a step: NULL: none is wanted, or there is none
 *     shelf_load(&shelf, core, now, &e);                         // a core that was restarted
 */
#ifndef TESTS_CORE_SHELF_H
#define TESTS_CORE_SHELF_H

#include "coordinator/core/core.h"

struct shelf_commit { uint32_t lineage; struct core_commit row; };

struct shelf {
    struct core_clock clock;
    struct core_user *users;
    struct core_lineage *lineages;
    struct core_prior *priors;
    struct core_past *jobs;           /* by id - 1 */
    struct shelf_commit *commits;
    size_t n_users, n_lineages, n_priors, n_jobs, n_commits;
};

void shelf_keep(struct shelf *s, const struct core_actions *a, size_t n_puts);
const struct core_past *shelf_past(const struct shelf *s, const struct core *c, const struct message *m);
enum code shelf_load(const struct shelf *s, struct core *c, int64_t now_ms, struct err *e);
void shelf_fini(struct shelf *s);

#endif
