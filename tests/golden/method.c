/* method.c - neurons and one training step against PyTorch: masks bit for bit, new weights to a thousandth of a learning rate. */
#include "pipeline/method/parts_cns.h"
#include "tests/golden/support/golden.h"

/* Largest |got - want| of the tensors whose names begin so; 0 compared: infinite. */
static double largest(const struct part_run *r, const struct safetensors *want, const char *begin)
{
    double most = 0;
    int compared = 0;
    for (size_t i = 0; i < r->n_out; i++) {
        const struct stored *t = safetensors_find(want, r->out[i].name);
        if (strncmp(r->out[i].name, begin, strlen(begin)) || !t) continue;
        int64_t n = stored_count(t);
        float *values = malloc((size_t)n * sizeof *values);
        stored_to_float(t, values, NULL);
        for (int64_t j = 0; j < n; j++)
            most = fmax(most, fabs((double)((const float *)r->out[i].data)[j] - (double)values[j]));
        free(values);
        compared++;
    }
    return compared ? most : INFINITY;
}

/* Weights outside the mask must keep their bits: 0 differ. */
static long moved_outside(const struct part_run *r, struct weights *w)
{
    long moved = 0;
    for (size_t i = 0; i < r->n_out; i++) {
        char name[200];
        if (strncmp(r->out[i].name, "weight.", 7)) continue;
        snprintf(name, sizeof name, "mask.%s", r->out[i].name + 7);
        const struct stored *mask = safetensors_find(r->in, name);
        const float *before = weights_float(w, r->out[i].name + 7, stored_count(mask), NULL),
                    *after = r->out[i].data;
        for (int64_t j = 0; j < stored_count(mask); j++)
            moved += !mask->data[j] && memcmp(&before[j], &after[j], sizeof *before);
    }
    return moved;
}

static void step_agrees(const char *model_case)
{
    const struct part_table *tables[] = {&parts_cns};
    const struct part *p = part_find(tables, 1, "step");
    char model[200], unet[220], in[200], options[200], out[200];
    struct part_run r;
    struct safetensors *want;
    struct weights *w;
    struct err e = {0};
    snprintf(model, sizeof model, "tests/golden/%s/model", model_case);
    snprintf(unet, sizeof unet, "%s/unet", model);
    snprintf(in, sizeof in, "tests/golden/%s/step.in.safetensors", model_case);
    snprintf(options, sizeof options, "tests/golden/%s/step.json", model_case);
    snprintf(out, sizeof out, "tests/golden/%s/step.out.safetensors", model_case);
    if (!is_code(part_open(&r, p, model, kernels_cpu(), in, options, &e), OK, &e, "%s: step opens",
                 model_case))
        return;
    if (is_code(p->run(&r, &e), OK, &e, "%s: step runs", model_case) &&
        is_code(safetensors_open(&want, out, &e), OK, &e, "%s: step has a reference", model_case)) {
        double weight = largest(&r, want, "weight.") / part_number(&r, "lr_neuron", 0);
        double row = largest(&r, want, "token_row") / part_number(&r, "lr_token", 0);
        printf("# %-9s step  weights %.1e  row %.1e of a learning rate\n", model_case, weight, row);
        ok(weight <= 1e-3, "%s: every weight after a step is PyTorch's to a thousandth of the rate",
           model_case);
        ok(row <= 1e-3, "%s: the token's row too", model_case);
        ok(largest(&r, want, "loss") <= 1e-4 * 10 && largest(&r, want, "grad_norm") <= 1e-3,
           "%s: loss and norm agree", model_case);
        safetensors_close(want);
        is_code(weights_open(&w, unet, "diffusion_pytorch_model", &e), OK, &e, "%s: its UNet opens",
                model_case);
        is_int(moved_outside(&r, w), 0, "%s: no weight outside the mask moved by a bit",
               model_case);
        weights_close(w);
    }
    part_close(&r);
}

int main(void)
{
    const char *const cases[] = {"classic", "ragged", "micro", "storybook"};
    for (int i = 0; i < 4; i++) {
        golden_agrees(cases[i], "score", &parts_cns, kernels_cpu());
        step_agrees(cases[i]);
    }
    return done_testing();
}
