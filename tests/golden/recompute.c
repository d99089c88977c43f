/* recompute.c - the loss of four whole models with its forward values made again: the same loss, error and gradients to the
 * byte, in less memory. Inputs are random: what is compared is the engine with itself. */
#include "base/philox.h"
#include "pipeline/model/loss.h"
#include "tests/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct trial {
    struct base_model *m;
    float *kv, *row, *noisy, *target;
    int32_t *ids;
    struct loss_shape shape;
};

static float *normal(uint32_t what, size_t n)
{
    float *out = malloc(n * sizeof *out);
    philox_normal(philox_key(5, PHILOX_TEST), 0, what, out, n);
    return out;
}

static int trial_open(struct trial *t, const char *name)
{
    char dir[64];
    struct err e = {0};
    snprintf(dir, sizeof dir, "tests/golden/%s/model", name);
    if (!is_code(base_model_open(&t->m, dir, &e), OK, &e, "%s opens", name)) return 0;
    int length = tokenizer_length(t->m->tokenizer), side = 12;
    t->shape = (struct loss_shape){
        .h = side, .w = side, .length = length, .n_extra = 1, .detach_first = 1};
    size_t n = (size_t)(side * side);
    t->kv = malloc(t->m->kv.n_weights * sizeof *t->kv);
    t->row = normal(1, (size_t)t->m->text.hidden);
    t->noisy = normal(2, n * (size_t)t->m->unet.in_channels);
    t->target = normal(3, n * (size_t)t->m->unet.out_channels);
    t->ids = malloc((size_t)length * sizeof *t->ids);
    for (int i = 0; i < length; i++)
        t->ids[i] = i == 2 ? t->m->text.vocab : (i * 7) % t->m->text.vocab;
    return is_code(kv_read(&t->m->kv, t->m->unet_weights, t->kv, &e), OK, &e, "with its K and V");
}

static void trial_close(struct trial *t)
{
    base_model_close(t->m);
    free(t->kv);
    free(t->row);
    free(t->noisy);
    free(t->target);
    free(t->ids);
}

/* Loss, error, every gradient, one after another; their number of floats. */
static size_t run(const struct trial *t, int recompute, const struct kernels *k, float **out,
                  size_t *peak)
{
    struct loss_graph *l;
    struct loss_outputs o;
    struct err e = {0};
    struct loss_shape shape = t->shape;
    size_t D = (size_t)t->m->text.hidden, n = 2 + t->m->kv.n_weights + D;
    *out = calloc(n, sizeof **out);
    shape.recompute = recompute;
    if (!is_code(loss_make(&l, t->m, k, &shape, t->kv, t->row, &e), OK, &e, "the loss is planned"))
        return 0;
    struct loss_sample s = {t->noisy, t->target, 321, t->ids, 0.5f};
    is_code(loss_run(l, &s, &o, &e), OK, &e, "and runs on %s", recompute ? "less" : "all it wants");
    if (!e.code) {
        (*out)[0] = o.loss;
        (*out)[1] = o.error;
        for (int i = 0; i < t->m->kv.n; i++) {
            const struct kv_matrix *m = &t->m->kv.matrix[i];
            memcpy(*out + 2 + m->offset, o.d_kv[i], (size_t)(m->rows * m->cols) * sizeof **out);
        }
        memcpy(*out + n - D, o.d_extra, D * sizeof **out);
    }
    *peak = loss_peak(l);
    loss_free(l);
    return n;
}

static void compare(const char *name)
{
    struct trial t = {0};
    float *kept, *made, *watched;
    size_t whole, less, red;
    if (trial_open(&t, name)) {
        size_t n = run(&t, 0, kernels_cpu(), &kept, &whole), bytes = n * sizeof *kept;
        run(&t, 1, kernels_cpu(), &made, &less);
        run(&t, 1, kernels_check(), &watched, &red);
        ok(n && kept[0] > 0.0f && !memcmp(kept, made, bytes),
           "%s: loss and all gradients are equal to the byte", name);
        ok(n && !memcmp(kept, watched, bytes), "%s: under watch, too", name);
        ok(less < whole, "%s: %zu bytes instead of %zu", name, less, whole);
        free(kept);
        free(made);
        free(watched);
    }
    trial_close(&t);
}

int main(void)
{
    compare("classic");
    compare("ragged");
    compare("micro");
    compare("storybook");
    return done_testing();
}
