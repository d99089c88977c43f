/* loss.c - the graph of loss.h. Nothing here knows a method: weights of samples, masks and steps are the caller's. */
#include "pipeline/model/loss.h"

#include "base/arena.h"
#include "pipeline/model/networks.h"

#include <assert.h>
#include <stdlib.h>

struct loss_graph {
    const struct base_model *m; /* borrowed */
    struct loss_shape shape;
    struct graph *g; /* owned, like plan and exec */
    struct plan *plan;
    struct exec *exec;
    struct value noisy, target, time, ids, weight, one;
    struct value loss, error;
    struct value *
        gradient; /* owned, [kv.n + 1]: the matrices (if wanted), then the extra rows (if wanted) */
    const float **d_kv; /* owned, [kv.n] */
    float *sinusoid;    /* owned, [channels[0]] */
};

/* ids -> text states -> K, V -> prediction -> loss. wrt gets the leaves whose gradients are wanted, `n` of them. */
static void forward(struct loss_graph *l, const float *kv_data, const float *extra_data,
                    struct value *weight, struct value *kv, struct value *wrt, int *n)
{
    const struct base_model *m = l->m;
    const struct unet_config *c = &m->unet;
    const struct loss_shape *s = &l->shape;
    struct graph *g = l->g;
    l->noisy = graph_input(g, "noisy", DTYPE_F32, SHAPE(1, s->h, s->w, c->in_channels));
    l->target = graph_input(g, "target", DTYPE_F32, SHAPE(1, s->h, s->w, c->out_channels));
    l->time = graph_input(g, "time", DTYPE_F32, SHAPE(1, c->channels[0]));
    l->ids = graph_input(g, "ids", DTYPE_I32, SHAPE(1, s->length));
    l->weight = graph_input(g, "weight", DTYPE_F32, SHAPE(1));
    l->one = graph_input(g, "one", DTYPE_F32, SHAPE(1));

    for (int i = 0; i < m->kv.n; i++) {
        const struct kv_matrix *k = &m->kv.matrix[i];
        weight[i] = graph_trained(g, k->name, SHAPE(k->rows, k->cols),
                                  kv_data ? kv_data + k->offset : NULL);
        if (!s->skip_kv) wrt[(*n)++] = weight[i];
    }
    struct value extra = VALUE_NONE;
    if (s->n_extra) {
        extra = graph_trained(g, "extra", SHAPE(s->n_extra, m->text.hidden), extra_data);
        if (!s->skip_extra) wrt[(*n)++] = extra;
    }

    struct value hidden = clip_text_build(g, &m->text, m->text_weights, l->ids, extra);
    unet_project(g, &m->kv, hidden, weight, VALUE_NONE, s->detach_first, kv);
    struct value prediction = unet_build(g, c, m->unet_weights, l->noisy, l->time, kv);
    l->loss = op_mse(g, prediction, l->target, l->weight);
    l->error = op_mse(g, prediction, l->target, l->one);
    graph_keep(g, l->loss);
    graph_keep(g, l->error);
}

static enum code build(struct loss_graph *l, const float *kv, const float *extra, struct err *e)
{
    size_t n_kv = (size_t)l->m->kv.n;
    struct value *space = mem_alloc(3 * n_kv + 1, sizeof *space);
    if (!space) return err_set(e, ERR_NOMEM, "no memory to build the loss");
    struct value *weight = space, *projected = space + n_kv, *wrt = space + 2 * n_kv;
    int n = 0;
    if (l->shape.recompute) graph_recompute(l->g);
    forward(l, kv, extra, weight, projected, wrt, &n);
    enum code rc = graph_backward(l->g, l->loss, wrt, n, l->gradient, e);
    free(space);
    return rc ? rc : graph_finish(l->g, e);
}

/* The graph, not yet planned. kv may be NULL if it will never run. */
static enum code loss_open(struct loss_graph **out, const struct base_model *m,
                           const struct loss_shape *s, const float *kv, const float *extra,
                           struct err *e)
{
    struct loss_graph *l = *out = mem_alloc(1, sizeof *l);
    if (!l) return err_set(e, ERR_NOMEM, "no memory for the loss");
    l->m = m;
    l->shape = *s;
    l->gradient = mem_alloc((size_t)m->kv.n + 1, sizeof *l->gradient);
    l->d_kv = mem_alloc((size_t)m->kv.n, sizeof *l->d_kv);
    l->sinusoid = mem_alloc((size_t)m->unet.channels[0], sizeof *l->sinusoid);
    if (!l->gradient || !l->d_kv || !l->sinusoid)
        return err_set(e, ERR_NOMEM, "no memory for the loss");
    enum code rc = graph_make(&l->g, e);
    return rc ? rc : build(l, kv, extra, e);
}

enum code loss_make(struct loss_graph **out, const struct base_model *m, const struct kernels *k,
                    const struct loss_shape *s, const float *kv, const float *extra, struct err *e)
{
    struct loss_graph *l;
    enum code rc = loss_open(&l, m, s, kv, extra, e);
    if (!rc) rc = plan_make(&l->plan, l->g, k, e);
    if (!rc) rc = exec_make(&l->exec, l->g, l->plan, e);
    if (rc) loss_free(l);
    *out = rc ? NULL : l;
    return rc;
}

enum code loss_cost(const struct base_model *m, const struct kernels *k, const struct loss_shape *s,
                    struct pace *pace, struct cost *c, struct err *e)
{
    struct loss_graph *l;
    enum code rc = loss_open(&l, m, s, NULL, NULL, e);
    if (!rc) {
        rc = cost_take(c, l->g, k, pace, e);
        l->g = NULL;
    }
    loss_free(l);
    return rc;
}

void loss_free(struct loss_graph *l)
{
    if (!l) return;
    exec_free(l->exec);
    plan_free(l->plan);
    graph_free(l->g);
    free(l->gradient);
    free(l->d_kv);
    free(l->sinusoid);
    free(l);
}

enum code loss_run(struct loss_graph *l, const struct loss_sample *s, struct loss_outputs *out,
                   struct err *e)
{
    static const float one = 1.0f;
    for (int i = 0; i < l->shape.length; i++)
        assert(s->ids[i] >= 0 && s->ids[i] < l->m->text.vocab + l->shape.n_extra);
    unet_time(&l->m->unet, s->t, l->sinusoid);
    exec_bind(l->exec, l->noisy, s->noisy);
    exec_bind(l->exec, l->target, s->target);
    exec_bind(l->exec, l->time, l->sinusoid);
    exec_bind(l->exec, l->ids, s->ids);
    exec_bind(l->exec, l->weight, &s->weight);
    exec_bind(l->exec, l->one, &one);
    enum code rc = exec_run(l->exec, e);
    if (rc) return rc;

    int n = 0;
    *out = (struct loss_outputs){.loss = *exec_data(l->exec, l->loss),
                                 .error = *exec_data(l->exec, l->error)};
    if (!l->shape.skip_kv) {
        for (; n < l->m->kv.n; n++) l->d_kv[n] = exec_data(l->exec, l->gradient[n]);
        out->d_kv = l->d_kv;
    }
    if (l->shape.n_extra && !l->shape.skip_extra) out->d_extra = exec_data(l->exec, l->gradient[n]);
    return OK;
}

size_t loss_peak(const struct loss_graph *l)
{
    return plan_peak(l->plan);
}
double loss_flops(const struct loss_graph *l)
{
    return graph_flops(l->g);
}
