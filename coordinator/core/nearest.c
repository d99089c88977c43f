/* nearest.c - "did you mean": the lineage whose name is nearest to one that is not there. */
#include "coordinator/core/state.h"

#include "base/text.h"

#include <stdlib.h>

enum { LOOKED_AT = 10000 }; /* names; a slip among more is not worth the time of everybody else */

const char *core_nearest_lineage(const struct core *c, const char *name)
{
    size_t n = c->n_lineages < LOOKED_AT ? c->n_lineages : LOOKED_AT;
    const char **names = mem_alloc(n + 1, sizeof *names);
    const char *best = NULL;

    for (size_t i = 0; names && i < n; i++) names[i] = c->lineages[i]->row.name;
    if (names) best = text_nearest(name, names, n);
    free(names);
    return best;
}
