/* study.h - a tiny concept on the tiny model of the golden vectors, ready to be scored and trained; for tests of methods and of
 * worker groups. Pictures are smooth noise of a seed, so that two studies differ and each is the same everywhere.
 *
 *     struct study s;
 *     if (study_open(&s, 1)) ...                 // tokens <c1>, seed 1; task ready, no progress, no checkpoint
 *     study_learn(&s.task, &commit, &e);          // score, then train
 *     study_follow(&s, &commit, &e);              // the lineage goes on
 *     study_close(&s);
 */
#ifndef TESTS_METHOD_SUPPORT_STUDY_H
#define TESTS_METHOD_SUPPORT_STUDY_H

#include "base/philox.h"
#include "pipeline/method/method.h"
#include "pipeline/method/cns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STUDY_FN __attribute__((unused)) static
#define STUDY_MODEL "tests/golden/storybook/model"
enum { STUDY_SIDE = 64, STUDY_IMAGES = 3, STUDY_CALIBRATION = 4 };

static const char *const STUDY_CAPTIONS[STUDY_IMAGES] = {
    "a small brown dog in the snow", "a dog asleep on a red sofa", "a brown dog runs on the beach"};
static const char *const STUDY_PROMPTS[STUDY_CALIBRATION] = {
    "a city street at night in the rain", "a bowl of fruit on a table", "two people talk in a park",
    "a mountain lake in autumn"};

struct study {
    struct base_model *model;
    struct collectives ranks;
    struct lineage lineage;
    float *w0;
    uint8_t *instance, *prior;
    struct task task;
};

/* n pictures, each a colour that changes slowly over the square. */
STUDY_FN uint8_t *study_pictures(int n, int side, uint64_t seed)
{
    size_t bytes = (size_t)side * (size_t)side * 3;
    uint8_t *rgb = malloc((size_t)n * bytes);
    for (int i = 0; i < n; i++) {
        float wave[9];
        philox_uniform(philox_key(seed, PHILOX_TEST), 7, (uint32_t)i, wave, 9);
        for (size_t k = 0; k < bytes; k++) {
            size_t c = k % 3, x = k / 3 % (size_t)side, y = k / 3 / (size_t)side;
            double v = wave[c] + wave[3 + c] * (double)x / side + wave[6 + c] * (double)y / side;
            rgb[(size_t)i * bytes + k] = (uint8_t)(v * 85.0);
        }
    }
    return rgb;
}

STUDY_FN enum code study_open(struct study *s, int number, struct err *e)
{
    *s = (struct study){.ranks = collectives_single()};
    enum code rc = base_model_open(&s->model, STUDY_MODEL, e);
    if (rc) return rc;
    size_t n = s->model->kv.n_weights;
    s->w0 = malloc(n * sizeof(float));
    rc = kv_read(&s->model->kv, s->model->unet_weights, s->w0, e);
    if (!rc)
        rc = lineage_start(&s->lineage, s->w0, n, s->model->hash, (uint32_t)s->model->text.hidden, e);
    s->instance = study_pictures(STUDY_IMAGES, STUDY_SIDE, (uint64_t)number);
    s->prior = study_pictures(3, STUDY_SIDE, 1000);
    s->task = (struct task){.model = s->model,
                            .kernels = kernels_cpu(),
                            .w0 = s->w0,
                            .lineage = &s->lineage,
                            .class_word = "dog",
                            .kind = "animal",
                            .caption = STUDY_CAPTIONS,
                            .n_captions = STUDY_IMAGES,
                            .calibration = STUDY_PROMPTS,
                            .n_calibration = STUDY_CALIBRATION,
                            .instance = {s->instance, STUDY_IMAGES, STUDY_SIDE},
                            .prior = {s->prior, 3, STUDY_SIDE},
                            .seed = (uint64_t)number,
                            .inputs_json = "{\"images\":[\"test\"]}",
                            .ranks = &s->ranks};
    snprintf(s->task.token, sizeof s->task.token, "<c%d>", number);
    settings_default(&s->task.settings);
    static const char *const SMALL[] = {"train.steps=12", "prior.count=3", "prior.steps=3",
                                        "train.lr=1e-3",  "train.lr_token=1e-2"};
    for (size_t i = 0; !rc && i < sizeof SMALL / sizeof SMALL[0]; i++)
        rc = settings_set(&s->task.settings, SMALL[i], e);
    return rc;
}

STUDY_FN void study_close(struct study *s)
{
    lineage_fini(&s->lineage);
    base_model_close(s->model);
    free(s->w0);
    free(s->instance);
    free(s->prior);
}

STUDY_FN enum code study_learn(const struct task *t, struct commit *out, struct err *e)
{
    const struct method *m = method_find("cns");
    struct masks masks;
    enum code rc = m->score(t, &masks, e);
    if (rc) return rc;
    rc = m->train(t, &masks, out, e);
    masks_fini(&masks);
    return rc;
}

STUDY_FN struct hash study_name(const struct commit *c)
{
    struct bytes b = {0};
    struct hash h = {{0}};
    if (!commit_encode(c, &b, NULL)) h = hash_bytes(b.data, b.n);
    free(b.data);
    return h;
}

/* Learns, and gives only the name. Zero: it failed. */
STUDY_FN struct hash study_learn_name(const struct task *t, struct err *e)
{
    struct commit c = {0};
    struct hash h = {{0}};
    if (!study_learn(t, &c, e)) h = study_name(&c);
    commit_fini(&c);
    return h;
}

STUDY_FN enum code study_follow(struct study *s, const struct commit *c, struct err *e)
{
    return lineage_apply(&s->lineage, c, study_name(c), e);
}

#endif
