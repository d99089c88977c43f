/* stage_prior.c - class images of prior preservation, from W0: the same for every lineage, so it runs ahead. */
#include "workers/stage.h"

#include <stdlib.h>

enum code stage_prior(struct group *g, const struct msg_stage *s, const struct message *request,
                      struct arena *a, struct outcome *out, struct err *e)
{
    struct task t;
    struct hash h;
    uint8_t *rgb = NULL;
    int side = 0;
    (void)s;
    enum code rc = task_from_learn(g, &request->learn, NULL, a, &t, e);
    rc = collectives_agree(g->ranks, rc, e);
    if (!rc) rc = prior_make(&t, &rgb, &side, e);
    if (!rc) {
        /* Every rank writes the same object: the store makes the second write free. */
        rc = prior_images_put(g, rgb, (int)t.settings.prior_count, side, &h, e);
        if (!rc) rc = outcome_set(out, a, &h, 1, e);
        text_printf(&out->report, "{\"pictures\":%d,\"side\":%d}", (int)t.settings.prior_count,
                    side);
    }
    free(rgb);
    return rc;
}
