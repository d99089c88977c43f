/* study.h - a lineage of a golden model, without training: commits of random masks, values and rows, in a store of its own.
 *
 *     struct study s;
 *     study_open(&s, "tests/golden/classic/model", 2, TOKENS);      // 0: the base alone
 *     ... s.x is ready for diffusers_plan and the others ...
 *     study_close(&s);
 */
#ifndef TESTS_EXCHANGE_STUDY_H
#define TESTS_EXCHANGE_STUDY_H

#include "base/philox.h"
#include "pipeline/exchange/exchange.h"
#include "tests/tap.h"

#define STUDY_CONCEPTS 4

struct study {
    struct base_model *model;
    float *w0;
    struct lineage state;
    struct objects *store;
    struct commit commit[STUDY_CONCEPTS];
    struct exchange_concept concept[STUDY_CONCEPTS];
    struct hash image[2];
    struct exchange x;
};

/* <tap folder>/<name>. The text stays until the eighth call from now. */
TAP_FN char *inside(const char *name)
{
    static char path[8][1024];
    static int next;
    next = (next + 1) % 8;
    snprintf(path[next], sizeof path[next], "%s/%s", tap_folder(), name);
    return path[next];
}

/* Every neuron that is hit gets a value that half precision does not have. */
TAP_FN void study_concept(struct study *s, int i, const char *token)
{
    struct philox_key k = philox_key((uint64_t)(100 + i), PHILOX_TEST);
    struct commit *c = &s->commit[i];
    struct bytes b = {0};
    struct hash name;
    struct err e = {0};
    *c = (struct commit){.base = s->model->hash, .parent = s->state.head, .class_word = "dog",
                         .dim = (uint32_t)s->model->text.hidden};
    snprintf(c->token, sizeof c->token, "%s", token);
    snprintf(c->kind, sizeof c->kind, "%s", i == 1 ? "style" : "animal");
    if (mask_init(&c->mask, s->model->kv.n_weights, &e)) exit(99);
    for (size_t n = 0; n < c->mask.n_bits; n++)
        if (!philox_below(k, 1, (uint32_t)n, 20)) mask_set(&c->mask, n);
    c->n_values = mask_count(&c->mask);
    c->value = malloc((c->n_values + 1) * sizeof(float));
    c->row = malloc(c->dim * sizeof(float));
    c->made = strdup("{\"method\":\"cns\",\"seed\":7,\"steps\":20,\"settings\":\"a\\n\\\"b\\\"\"}");
    philox_normal(k, 2, 0, c->value, c->n_values);
    philox_normal(k, 3, 0, c->row, c->dim);
    if (commit_encode(c, &b, &e) || objects_put(s->store, b.data, b.n, &name, &e) ||
        lineage_apply(&s->state, c, name, &e)) {
        printf("# %s\n", e.text);
        exit(99);
    }
    free(b.data);
    s->concept[i] = (struct exchange_concept){.commit = name, .parent = c->parent, .token = c->token,
                                              .class_word = c->class_word, .kind = c->kind, .made = c->made,
                                              .n_neurons = c->n_values, .image = s->image, .n_images = 2};
}

TAP_FN void study_open(struct study *s, const char *model, int n, const char *const *token)
{
    struct err e = {0};
    *s = (struct study){.image = {hash_bytes("a", 1), hash_bytes("b", 1)}};
    if (base_model_open(&s->model, model, &e) || objects_open(&s->store, inside("objects"), &e)) {
        printf("# %s\n", e.text);
        exit(99);
    }
    s->w0 = malloc(s->model->kv.n_weights * sizeof(float));
    if (kv_read(&s->model->kv, s->model->unet_weights, s->w0, &e) ||
        lineage_start(&s->state, s->w0, s->model->kv.n_weights, s->model->hash, (uint32_t)s->model->text.hidden, &e))
        exit(99);
    for (int i = 0; i < n; i++) study_concept(s, i, token[i]);
    s->x = (struct exchange){.lineage = "pets", .base_path = model, .model = s->model, .state = &s->state,
                             .concept = s->concept, .store = s->store, .dtype = STORED_OTHER,
                             .date_ms = n ? 1700000000000 : 0};
}

TAP_FN void study_close(struct study *s)
{
    for (int i = 0; i < s->state.n; i++) commit_fini(&s->commit[i]);
    lineage_fini(&s->state);
    objects_close(s->store);
    free(s->w0);
    base_model_close(s->model);
}

/* Everything that is planned, into <tap folder>/<name>; removes what was there. */
TAP_FN enum code study_export(struct study *s, const char *name,
                              enum code (*plan)(const struct exchange *, struct output *, struct err *), struct err *e)
{
    struct output *o;
    char command[1200];
    snprintf(command, sizeof command, "rm -rf '%s'", inside(name));
    if (system(command)) exit(99);
    enum code rc = output_open(&o, inside(name), e);
    if (!rc) rc = plan(&s->x, o, e);
    if (!rc) rc = card_plan(&s->x, o, e);
    if (!rc) rc = output_write(o, NULL, e);
    output_close(o);
    return rc;
}

/* The line of e holds a text. */
#define says(e, part, ...) \
    do { \
        if (!ok(strstr((e).text, part), __VA_ARGS__)) printf("#   the line is '%s'\n", (e).text); \
    } while (0)

#endif
