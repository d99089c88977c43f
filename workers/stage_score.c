/* stage_score.c - which neurons the concept owns: its masks as one object. */
#include "workers/stage.h"

#include <stdlib.h>

static void report(const struct masks *m, struct text *out)
{
    text_printf(out,
                "{\"base\":%.6g,\"general\":%.6g,\"concept\":%.6g,\"reg\":%.6g,\"neurons\":%zu}",
                mask_density(&m->base), mask_density(&m->general), mask_density(&m->concept),
                mask_density(&m->reg), mask_count(&m->concept));
}

enum code stage_score(struct group *g, const struct msg_stage *s, const struct message *request,
                      struct arena *a, struct outcome *out, struct err *e)
{
    struct task t;
    struct lineage l = {0};
    struct masks m = {0};
    struct bytes b = {0};
    struct hash h;
    enum code rc = group_lineage(g, s, &l, e);
    if (!rc) rc = task_from_learn(g, &request->learn, &l, a, &t, e);
    rc = collectives_agree(g->ranks, rc, e);
    if (!rc) rc = method_list()[t.settings.method_name]->score(&t, &m, e);
    if (!rc) rc = masks_encode(&m, &b, e);
    if (!rc) rc = objects_put(g->objects, b.data, b.n, &h, e);
    if (!rc) rc = outcome_set(out, a, &h, 1, e);
    if (!rc) report(&m, &out->report);
    free(b.data);
    masks_fini(&m);
    lineage_fini(&l);
    return rc;
}
