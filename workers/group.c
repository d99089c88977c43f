/* group.c - models held in memory, and the table of stages. */
#include "workers/group.h"

#include "base/file.h"
#include "base/memory.h"
#include "pipeline/data/calibration.h"
#include "pipeline/data/image.h"
#include "workers/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMAGE_OBJECT_BYTES IMAGE_FILE_BYTES

/* What a group that was killed had half written. Nothing depends on it but room on the disk, so a failure is no error. */
static void sweep(struct group *g)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/checkpoints", g->home);
    file_sweep(path, NULL);
    objects_sweep(g->objects, NULL);
}

enum code group_open(struct group *g, const char *home, struct collectives *ranks, struct err *e)
{
    char path[4200];
    *g = (struct group){.ranks = ranks, .home = home};
    g->kernels = kernels_cuda() ? kernels_cuda() : kernels_cpu();
    snprintf(path, sizeof path, "%s/objects", home);
    enum code rc = objects_open(&g->objects, path, e);
    if (!rc && ranks->rank == 0) sweep(g);
    return rc;
}

static void drop_model(struct group *g)
{
    base_model_close(g->model);
    clip_model_close(g->clip);
    prompts_fini(&g->calibration);
    free(g->w0);
    free(g->model_path);
    g->model = NULL;
    g->clip = NULL;
    g->w0 = NULL;
    g->model_path = NULL;
}

void group_close(struct group *g)
{
    drop_model(g);
    objects_close(g->objects);
    *g = (struct group){0};
}

static enum code load_model(struct group *g, const char *path, struct hash expected, struct err *e)
{
    char want[HASH_TEXT], have[HASH_TEXT];
    enum code rc = base_model_open(&g->model, path, e);
    if (rc) return rc;
    if (!hash_equal(g->model->hash, expected))
        return err_set(e, ERR_CORRUPT,
                       "base model %s has changed: it is %.12s now, its lineage was made on %.12s",
                       path, hash_text(g->model->hash, have), hash_text(expected, want));
    g->model_path = mem_alloc(strlen(path) + 1, 1);
    g->w0 = mem_alloc(g->model->kv.n_weights + 1, sizeof(float));
    if (!g->model_path || !g->w0)
        return err_set(e, ERR_NOMEM, "out of memory for base model %s", path);
    memcpy(g->model_path, path, strlen(path));
    rc = kv_read(&g->model->kv, g->model->unet_weights, g->w0, e);
    return rc ? rc : calibration_read(path, &g->calibration, e);
}

static enum code hold_model(struct group *g, const struct msg_stage *s, struct err *e)
{
    if (g->model && hash_equal(g->model->hash, s->base_hash) &&
        !strcmp(g->model_path, s->base_path))
        return OK;
    drop_model(g);
    enum code rc = collectives_agree(g->ranks, load_model(g, s->base_path, s->base_hash, e), e);
    if (rc) drop_model(g);
    return rc;
}

static stage_fn *const RUNNER[STAGE_KINDS] = {
    [STAGE_PRIOR] = stage_prior,   [STAGE_SCORE] = stage_score,       [STAGE_TRAIN] = stage_train,
    [STAGE_SAMPLE] = stage_sample, [STAGE_EVALUATE] = stage_evaluate,
};

/* The largest of all ranks, into the report's object. */
static enum code report_memory(struct group *g, struct text *report, struct err *e)
{
    uint64_t mine[2] = {exec_arenas_most(), memory_peak()}, top[2] = {0};
    size_t size = (size_t)g->ranks->size;
    uint64_t *all = mem_alloc(size, sizeof mine);
    enum code rc = collectives_agree(
        g->ranks, all ? OK : err_set(e, ERR_NOMEM, "out of memory for a report"), e);
    if (!rc) rc = g->ranks->gather(g->ranks, mine, sizeof mine, all, e);
    for (size_t i = 0; !rc && i < 2 * size; i++)
        if (all[i] > top[i % 2]) top[i % 2] = all[i];
    free(all);
    if (rc || report->n < 2 || report->s[report->n - 1] != '}') return rc;
    report->n--; /* before its closing brace */
    text_printf(report, "%s\"memory\":{\"arena\":%llu,\"rank\":%llu}}",
                report->s[report->n - 1] == '{' ? "" : ",", (unsigned long long)top[0],
                (unsigned long long)top[1]);
    return OK;
}

enum code group_run(struct group *g, const struct msg_stage *s, struct arena *a,
                    struct outcome *out, struct err *e)
{
    struct message request;
    *out = (struct outcome){0};
    if (s->stage >= STAGE_KINDS || !RUNNER[s->stage])
        return err_set(e, ERR_INTERNAL, "this worker does not know stage %llu",
                       (unsigned long long)s->stage);
    exec_arenas_reset();
    memory_peak_reset();
    enum code rc =
        collectives_agree(g->ranks, proto_decode(s->request.data, s->request.n, a, &request, e), e);
    if (!rc) rc = hold_model(g, s, e);
    if (!rc) rc = RUNNER[s->stage](g, s, &request, a, out, e);
    rc = collectives_agree(g->ranks, rc, e);
    return rc ? rc : report_memory(g, &out->report, e);
}

enum code group_lineage(struct group *g, const struct msg_stage *s, struct lineage *out,
                        struct err *e)
{
    return lineage_open(out, g->w0, g->model->kv.n_weights, g->model->hash,
                        (uint32_t)g->model->text.hidden, g->objects, s->chain.v, (int)s->chain.n,
                        e);
}

enum code group_clip(struct group *g, struct err *e)
{
    char path[4200];
    const char *elsewhere = getenv("ENGRAM_CLIP");
    if (g->clip) return OK;
    enum code rc = base_model_clip_path(g->model_path, path, sizeof path, e);
    if (!rc) rc = clip_model_open(&g->clip, elsewhere ? elsewhere : path, e);
    return rc ? err_context(e, "evaluation needs a CLIP model (set ENGRAM_CLIP to its directory)")
              : OK;
}

int group_side(const struct group *g, const struct settings *s)
{
    return s->sample_side ? (int)s->sample_side
                          : g->model->unet.sample_size * vae_factor(&g->model->vae);
}

static enum code one_picture(struct group *g, struct hash h, int side, uint8_t *out, struct err *e)
{
    struct bytes b = {0};
    struct image im = {0};
    char name[HASH_TEXT];
    hash_text(h, name);
    name[12] = '\0';
    enum code rc = objects_get(g->objects, h, IMAGE_OBJECT_BYTES, &b, e);
    if (!rc) rc = image_decode(b.data, b.n, name, &im, NULL, e);
    if (!rc) rc = image_square(&im, side, e);
    if (!rc) memcpy(out, im.rgb, (size_t)side * (size_t)side * 3);
    image_fini(&im);
    free(b.data);
    return rc;
}

enum code group_pictures(struct group *g, const struct hash *image, size_t n, int side,
                         uint8_t **rgb, struct err *e)
{
    size_t bytes = (size_t)side * (size_t)side * 3;
    *rgb = mem_alloc(n * bytes + 1, 1);
    enum code rc = *rgb ? OK : err_set(e, ERR_NOMEM, "out of memory for %zu pictures", n);
    for (size_t i = 0; !rc && i < n; i++) rc = one_picture(g, image[i], side, *rgb + i * bytes, e);
    if (rc) {
        free(*rgb);
        *rgb = NULL;
    }
    return rc;
}
