/* base_model_check.c - what would otherwise be found on first use: missing tensors, wrong shapes, NaN.
 *
 * Shapes are not listed a second time: the graphs of all networks are built over a sketch, whose params have no bytes, and
 * they refuse what does not fit.
 */
#include "pipeline/model/base_model.h"
#include "pipeline/model/runner.h"
#include "pipeline/tensor/kernels.h"

#include <inttypes.h>

static enum code check_kv(const struct base_model *m, struct err *e)
{
    for (int i = 0; i < m->kv.n; i++) {
        const struct kv_matrix *k = &m->kv.matrix[i];
        const struct stored *t = weights_find(m->unet_weights, k->name);
        if (!t) return err_set(e, ERR_INPUT, "unet: %s is missing", k->name);
        if (t->rank != 2 || t->dim[0] != k->rows || t->dim[1] != k->cols)
            return err_set(e, ERR_INPUT, "unet: %s is not [%" PRId64 ", %" PRId64 "] as expected",
                           k->name, k->rows, k->cols);
    }
    return OK;
}

static enum code check_shapes(struct base_model *m, struct err *e)
{
    int side = m->unet.sample_size * vae_factor(&m->vae);
    struct cost ignored = {0};
    enum code rc = check_kv(m, e);
    base_model_sketch(m, 1);
    if (!rc) rc = sampler_cost(m, kernels_cpu(), side, side, 0, 1, 2.0f, NULL, &ignored, e);
    if (!rc) rc = image_moments_cost(m, kernels_cpu(), side, side, NULL, &ignored, e);
    base_model_sketch(m, 0);
    return rc;
}

enum code base_model_check(struct base_model *m, struct err *e)
{
    enum code rc = check_shapes(m, e);
    if (!rc) rc = weights_check(m->unet_weights, e);
    if (!rc) rc = weights_check(m->vae_weights, e);
    return rc ? rc : weights_check(m->text_weights, e);
}

enum code clip_model_check(struct clip_model *m, struct err *e)
{
    struct cost ignored = {0};
    enum code rc;
    weights_sketch(m->weights, 1);
    rc = clip_image_cost(m, kernels_cpu(), NULL, &ignored, e);
    if (!rc) rc = clip_text_cost(m, kernels_cpu(), NULL, &ignored, e);
    weights_sketch(m->weights, 0);
    return rc ? rc : weights_check(m->weights, e);
}
