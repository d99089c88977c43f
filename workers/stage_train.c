/* stage_train.c - the commit: new values of the concept's neurons and the token's row, as one object. */
#include "workers/stage.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MASKS_BYTES (UINT64_C(1) << 31)

static enum code masks_get(struct group *g, const struct msg_stage *s, struct masks *out,
                           struct err *e)
{
    struct bytes b = {0};
    if (s->masks.n != 1)
        return err_set(e, ERR_INTERNAL, "stage train came with %zu masks objects, expected one",
                       s->masks.n);
    enum code rc = objects_get(g->objects, s->masks.v[0], MASKS_BYTES, &b, e);
    if (!rc) rc = masks_decode(b.data, b.n, out, e);
    free(b.data);
    return rc;
}

/* The checkpoint is named by the job, not by the lease: whoever runs the stage next goes on from it. A zombie of an older lease
 * may write there too; that is harmless, because the state after a step is the same whoever computed it. */
static void checkpoint_path(const struct group *g, const struct msg_stage *s, char *out,
                            size_t bytes)
{
    snprintf(out, bytes, "%s/checkpoints/job-%llu-train", g->home, (unsigned long long)s->job);
}

static enum code commit_put(struct group *g, const struct commit *c, struct arena *a,
                            struct outcome *out, struct err *e)
{
    struct bytes b = {0};
    struct hash h;
    enum code rc = commit_encode(c, &b, e);
    if (!rc) rc = objects_put(g->objects, b.data, b.n, &h, e);
    if (!rc) rc = outcome_set(out, a, &h, 1, e);
    if (!rc) text_add(&out->report, c->made);
    free(b.data);
    return rc;
}

enum code stage_train(struct group *g, const struct msg_stage *s, const struct message *request,
                      struct arena *a, struct outcome *out, struct err *e)
{
    const struct msg_learn *learn = &request->learn;
    struct task t;
    struct lineage l = {0};
    struct masks m = {0};
    struct commit c = {0};
    uint8_t *images = NULL, *prior = NULL;
    char path[4200];
    enum code rc = group_lineage(g, s, &l, e);
    if (!rc) rc = task_from_learn(g, learn, &l, a, &t, e);
    if (!rc) rc = masks_get(g, s, &m, e);
    int side = rc ? 0 : group_side(g, &t.settings);
    if (!rc) rc = group_pictures(g, learn->images.v, learn->images.n, side, &images, e);
    if (!rc && s->prior.n) rc = prior_images_get(g, s->prior.v[0], &t.prior, &prior, e);
    rc = collectives_agree(g->ranks, rc, e);
    if (!rc) {
        t.instance = (struct picture_set){.rgb = images, .n = (int)learn->images.n, .side = side};
        checkpoint_path(g, s, path, sizeof path);
        t.checkpoint_path = path;
        rc = method_list()[t.settings.method_name]->train(&t, &m, &c, e);
    }
    if (!rc) rc = commit_put(g, &c, a, out, e);
    rc = collectives_agree(g->ranks, rc, e);
    if (!rc && g->ranks->rank == 0)
        unlink(path); /* the commit is durable; the checkpoint has done its work */
    commit_fini(&c);
    masks_fini(&m);
    lineage_fini(&l);
    free(images);
    free(prior);
    return rc;
}
