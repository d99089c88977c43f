/* stage_task.c - from a learn request to the pipeline's task, and other things that stages share. */
#include "workers/stage.h"

#include "pipeline/model/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRIOR_BYTES (UINT64_C(1) << 33) /* 10000 class images of 512 x 512 */

/* Hashes of images, captions and calibration prompts: part of the commit, so that anyone can check what it was made of. */
static const char *inputs_json(struct group *g, const struct msg_learn *m, struct arena *a)
{
    struct text t = {0};
    char name[HASH_TEXT];
    text_add(&t, "{\"images\":[");
    for (size_t i = 0; i < m->images.n; i++)
        text_printf(&t, "%s\"%s\"", i ? "," : "", hash_text(m->images.v[i], name));
    text_add(&t, "],\"captions\":[");
    for (size_t i = 0; i < m->captions.n; i++)
        text_printf(&t, "%s\"%s\"", i ? "," : "",
                    hash_text(hash_bytes(m->captions.v[i], strlen(m->captions.v[i])), name));
    struct text all = {0};
    for (int i = 0; i < g->calibration.n; i++)
        text_printf(&all, "%s\n", g->calibration.prompt[i].text);
    text_printf(&t, "],\"calibration\":\"%s\"}",
                hash_text(hash_bytes(all.s ? all.s : "", all.n), name));
    text_fini(&all);
    const char *kept = t.s ? arena_strdup(a, t.s) : NULL;
    text_fini(&t);
    return kept;
}

enum code task_from_learn(struct group *g, const struct msg_learn *m, const struct lineage *l,
                          struct arena *a, struct task *out, struct err *e)
{
    *out = (struct task){.model = g->model,
                         .kernels = g->kernels,
                         .w0 = g->w0,
                         .lineage = l,
                         .caption = m->captions.v,
                         .n_captions = (int)m->captions.n,
                         .n_calibration = g->calibration.n,
                         .seed = m->seed,
                         .ranks = g->ranks,
                         .ranks_here = g->ranks_here,
                         .progress = g->progress,
                         .progress_self = g->progress_self};
    const char **calibration = arena_alloc(a, ((size_t)g->calibration.n + 1) * sizeof *calibration);
    out->inputs_json = inputs_json(g, m, a);
    if (!calibration || !out->inputs_json) return err_set(e, ERR_NOMEM, "out of memory for a task");
    for (int i = 0; i < g->calibration.n; i++) calibration[i] = g->calibration.prompt[i].text;
    out->calibration = calibration;
    snprintf(out->token, sizeof out->token, "%s", m->token);
    snprintf(out->class_word, sizeof out->class_word, "%s", m->class_word);
    snprintf(out->kind, sizeof out->kind, "%s", proto_concept_kind(m->kind));
    return settings_parse(&out->settings, m->settings, e);
}

enum code prior_images_put(struct group *g, const uint8_t *rgb, int n, int side, struct hash *out,
                           struct err *e)
{
    struct bytes b = {0};
    struct stored_entry images = {
        .name = "images", .dtype = STORED_U8, .rank = 4, .dim = {n, side, side, 3}, .data = rgb};
    enum code rc = safetensors_encode(&images, 1, NULL, &b, e);
    if (!rc) rc = objects_put(g->objects, b.data, b.n, out, e);
    free(b.data);
    return rc;
}

enum code prior_images_get(struct group *g, struct hash h, struct picture_set *out, uint8_t **owned,
                           struct err *e)
{
    struct bytes b = {0};
    struct safetensors *s = NULL;
    enum code rc = objects_get(g->objects, h, PRIOR_BYTES, &b, e);
    if (!rc) rc = safetensors_parse(&s, b.data, b.n, "class images", e);
    const struct stored *t = rc ? NULL : safetensors_find(s, "images");
    if (!rc &&
        (!t || t->dtype != STORED_U8 || t->rank != 4 || t->dim[1] != t->dim[2] || t->dim[3] != 3))
        rc = err_set(e, ERR_CORRUPT, "class images: not a set of square pictures");
    *owned = rc ? NULL : mem_alloc(t->bytes + 1, 1);
    if (!rc && !*owned) rc = err_set(e, ERR_NOMEM, "out of memory for class images");
    if (!rc) {
        memcpy(*owned, t->data, t->bytes);
        *out = (struct picture_set){.rgb = *owned, .n = (int)t->dim[0], .side = (int)t->dim[1]};
    }
    safetensors_close(s);
    free(b.data);
    return rc;
}

enum code outcome_set(struct outcome *out, struct arena *a, const struct hash *h, size_t n,
                      struct err *e)
{
    out->output = arena_copy(a, h, n * sizeof *h);
    out->n = n;
    return out->output ? OK : err_set(e, ERR_NOMEM, "out of memory for %zu outputs", n);
}
