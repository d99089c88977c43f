/* cost.c - what a plan says of running the frozen parts and the loss is what running them takes: arenas to the byte. The model is
 * a sketch for the plan, so nothing of it was read, and what it would convert is what is then converted. */
#include "pipeline/model/loss.h"
#include "pipeline/model/runner.h"
#include "tests/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL "tests/golden/classic/model"
enum { SIDE = 32, STEPS = 2 };
static struct err e;

struct bench {
    struct base_model *m;
    struct clip_model *clip;
    float *kv, *row, *room;
    int32_t *ids;
    int length;
};

static void bench_open(struct bench *b, int sketch)
{
    *b = (struct bench){0};
    is_code(base_model_open(&b->m, MODEL, &e), OK, &e, "the model opens");
    is_code(clip_model_open(&b->clip, MODEL "/clip", &e), OK, &e, "its CLIP opens");
    b->length = tokenizer_length(b->m->tokenizer);
    b->kv = calloc(b->m->kv.n_weights, sizeof(float));
    b->row = calloc((size_t)b->m->text.hidden, sizeof(float));
    b->room = calloc(1 << 16, sizeof(float));
    b->ids = calloc((size_t)b->length, sizeof(int32_t));
    base_model_sketch(b->m, sketch);
    weights_sketch(b->clip->weights, sketch);
}

static void bench_close(struct bench *b)
{
    base_model_close(b->m);
    clip_model_close(b->clip);
    free(b->kv);
    free(b->row);
    free(b->room);
    free(b->ids);
}

static enum code moments(struct bench *b, struct cost *c)
{
    static uint8_t rgb[SIDE * SIDE * 3];
    if (c) return image_moments_cost(b->m, kernels_cpu(), SIDE, SIDE, NULL, c, &e);
    return image_moments(b->m, kernels_cpu(), rgb, 1, SIDE, SIDE, b->room, &e);
}

static enum code states(struct bench *b, struct cost *c)
{
    if (c) return text_states_cost(b->m, kernels_cpu(), b->length, 1, NULL, c, &e);
    return text_states(b->m, kernels_cpu(), b->ids, 1, b->length, b->row, 1, b->room, &e);
}

static enum code sample(struct bench *b, struct cost *c, float guidance)
{
    struct sampler *s;
    if (c) return sampler_cost(b->m, kernels_cpu(), SIDE, SIDE, 1, STEPS, guidance, NULL, c, &e);
    enum code rc = sampler_make(&s, b->m, kernels_cpu(), SIDE, SIDE, 1, &e);
    if (rc) return rc;
    struct sample_request r = {.prompt = b->ids,
                               .negative = b->ids,
                               .kv = b->kv,
                               .extra = b->row,
                               .n_extra = 1,
                               .steps = STEPS,
                               .guidance = guidance};
    rc = sampler_run(s, &r, b->room, NULL, NULL, &e);
    sampler_free(s);
    return rc;
}

static enum code guided(struct bench *b, struct cost *c)
{
    return sample(b, c, 5.0f);
}

static enum code unguided(struct bench *b, struct cost *c)
{
    return sample(b, c, 1.0f);
}

static enum code loss(struct bench *b, struct cost *c, int recompute)
{
    struct loss_shape s = {
        .h = SIDE / 2, .w = SIDE / 2, .length = b->length, .n_extra = 1, .recompute = recompute};
    struct loss_graph *l;
    if (c) return loss_cost(b->m, kernels_cpu(), &s, NULL, c, &e);
    enum code rc = loss_make(&l, b->m, kernels_cpu(), &s, b->kv, b->row, &e);
    if (!rc) loss_free(l);
    return rc;
}

static enum code loss_kept(struct bench *b, struct cost *c)
{
    return loss(b, c, 0);
}

static enum code loss_again(struct bench *b, struct cost *c)
{
    return loss(b, c, 1);
}

static enum code clip_image(struct bench *b, struct cost *c)
{
    size_t side = (size_t)b->clip->vision.image_size;
    if (c) return clip_image_cost(b->clip, kernels_cpu(), NULL, c, &e);
    uint8_t *rgb = calloc(side * side, 3);
    enum code rc = clip_image_features(b->clip, kernels_cpu(), rgb, 1, b->room, &e);
    free(rgb);
    return rc;
}

static enum code clip_text(struct bench *b, struct cost *c)
{
    static const char *const text[] = {"a dog"};
    if (c) return clip_text_cost(b->clip, kernels_cpu(), NULL, c, &e);
    return clip_text_features(b->clip, kernels_cpu(), text, 1, b->room, &e);
}

static const struct {
    const char *name;
    enum code (*run)(struct bench *b, struct cost *c); /* c: plan; NULL: run */
} cases[] = {
    {"text states", states},
    {"image moments", moments},
    {"a picture", guided},
    {"a picture without guidance", unguided},
    {"the loss", loss_kept},
    {"the loss, made again", loss_again},
    {"CLIP on an image", clip_image},
    {"CLIP on a text", clip_text},
};
enum { CASES = sizeof cases / sizeof *cases };

static size_t own(const struct bench *b)
{
    return base_model_use(b->m).converted + weights_use(b->clip->weights).converted;
}

int main(void)
{
    struct bench plan, real;
    bench_open(&plan, 1);
    bench_open(&real, 0);
    for (int i = 0; i < CASES; i++) {
        struct cost c = {0};
        is_code(cases[i].run(&plan, &c), OK, &e, "%s is planned", cases[i].name);
        exec_arenas_reset();
        is_code(cases[i].run(&real, NULL), OK, &e, "and run");
        is_int(exec_arenas_most(), c.arena, "%s: arenas as planned", cases[i].name);
        is_int(own(&real), own(&plan), "weights converted as planned");
    }
    bench_close(&plan);
    bench_close(&real);
    struct pace pace = {0};
    struct cost c = {0}, twice = {0};
    bench_open(&plan, 1);
    is_code(sampler_cost(plan.m, kernels_cpu(), SIDE, SIDE, 0, STEPS, 5.0f, &pace, &c, &e), OK, &e,
            "a picture's time is estimated");
    ok(c.seconds > 0 && c.seconds < 60 && pace.seconds[OP_conv] > 0, "and is some time (%g s)",
       c.seconds);
    double spent = pace.spent;
    sampler_cost(plan.m, kernels_cpu(), SIDE, SIDE, 0, 2 * STEPS, 5.0f, &pace, &twice, &e);
    ok(pace.spent == spent && twice.seconds > c.seconds * 1.3,
       "twice the steps, from what was learned");
    bench_close(&plan);
    return done_testing();
}
