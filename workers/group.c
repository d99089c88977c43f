/* group.c - models held in memory, and the table of stages. */
#include "workers/group.h"

#include "base/file.h"
#include "base/memory.h"
#include "pipeline/data/calibration.h"
#include "pipeline/data/image.h"
#include "workers/shelf_host.h"
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
    if (g->w0) g->shelf.put(&g->shelf, g->w0);
    base_model_close(g->model);
    clip_model_close(g->clip);
    shelf_host_close(&g->shelf);
    prompts_fini(&g->calibration);
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

static enum code open_model(struct group *g, const char *path, struct hash expected, struct err *e)
{
    char want[HASH_TEXT], have[HASH_TEXT];
    enum code rc = base_model_open(&g->model, path, e);
    if (rc) return rc;
    if (!hash_equal(g->model->hash, expected))
        return err_set(e, ERR_CORRUPT,
                       "base model %s has changed: it is %.12s now, its lineage was made on %.12s",
                       path, hash_text(g->model->hash, have), hash_text(expected, want));
    g->model_path = mem_alloc(strlen(path) + 1, 1);
    if (!g->model_path) return err_set(e, ERR_NOMEM, "out of memory for base model %s", path);
    memcpy(g->model_path, path, strlen(path));
    return calibration_read(path, &g->calibration, e);
}

static enum code make_w0(void *self, void *memory, struct err *e)
{
    const struct base_model *m = self;
    return kv_read(&m->kv, m->unet_weights, memory, e);
}

/* Every rank has the same model now, so the same numbers name the same bytes. */
static enum code shelve_model(struct group *g, struct err *e)
{
    struct shelf_item w0 = {.number = SHELF_W0,
                            .bytes = g->model->kv.n_weights * sizeof *g->w0,
                            .make = make_w0,
                            .self = g->model};
    struct shelf_host_where where = {g->ranks_here, g->lowest_here};
    const void *made = NULL;
    enum code rc = shelf_host_open(&g->shelf, SHELF_NUMBERS, where, g->ranks, e);
    if (rc) return rc;
    base_model_shelve(g->model, &g->shelf);
    rc = g->shelf.get(&g->shelf, &w0, &made, e);
    g->w0 = made;
    return collectives_agree(g->ranks, rc, e);
}

/* Where a base model of the coordinator's lies on this machine. */
static void find_base(const struct group *g, const char *path, char *out, size_t bytes)
{
    for (int i = 0; i < g->n_places; i++) {
        const char *from = g->place[i].from;
        size_t n = strlen(from);
        if (strncmp(path, from, n) || (path[n] && path[n] != '/')) continue;
        snprintf(out, bytes, "%s%s", g->place[i].to, path + n);
        return;
    }
    snprintf(out, bytes, "%s", path);
}

static enum code hold_model(struct group *g, const struct msg_stage *s, struct err *e)
{
    char path[2 * PROTO_PATH];
    find_base(g, s->base_path, path, sizeof path);
    if (g->model && hash_equal(g->model->hash, s->base_hash) && !strcmp(g->model_path, path))
        return OK;
    drop_model(g);
    enum code rc = collectives_agree(g->ranks, open_model(g, path, s->base_hash, e), e);
    if (!rc) rc = shelve_model(g, e);
    if (rc) drop_model(g);
    return rc;
}

static stage_fn *const RUNNER[STAGE_KINDS] = {
    [STAGE_PRIOR] = stage_prior,   [STAGE_SCORE] = stage_score,       [STAGE_TRAIN] = stage_train,
    [STAGE_SAMPLE] = stage_sample, [STAGE_EVALUATE] = stage_evaluate,
};

/* What one rank took. */
struct taken {
    uint64_t arena, rank,
        shared;      /* the most of the stage; of rank what others have, too, as it is now */
    uint64_t lowest; /* stands for the host */
};

/* All ranks of the host of rank r. */
static uint64_t taken_by_host(const struct taken *all, size_t n, size_t r)
{
    uint64_t own = 0, shared = 0;
    for (size_t i = 0; i < n; i++) {
        if (all[i].lowest != all[r].lowest) continue;
        own += all[i].rank > all[i].shared ? all[i].rank - all[i].shared : 0;
        if (all[i].shared > shared) shared = all[i].shared;
    }
    return own + shared;
}

static void at_least(uint64_t *top, uint64_t value)
{
    if (value > *top) *top = value;
}

/* The most of all ranks and hosts, into the report's object. */
static enum code report_memory(struct group *g, struct text *report, struct err *e)
{
    struct taken mine = {exec_arenas_most(), memory_peak(), memory_shared(),
                         (uint64_t)g->lowest_here};
    uint64_t arena = 0, rank = 0, host = 0;
    size_t size = (size_t)g->ranks->size;
    struct taken *all = mem_alloc(size, sizeof mine);
    enum code rc = collectives_agree(
        g->ranks, all ? OK : err_set(e, ERR_NOMEM, "out of memory for a report"), e);
    if (!rc) rc = g->ranks->gather(g->ranks, &mine, sizeof mine, all, e);
    for (size_t i = 0; !rc && i < size; i++) {
        at_least(&arena, all[i].arena);
        at_least(&rank, all[i].rank);
        at_least(&host, taken_by_host(all, size, i));
    }
    free(all);
    if (rc || report->n < 2 || report->s[report->n - 1] != '}') return rc;
    report->n--; /* before its closing brace */
    text_printf(report, "%s\"memory\":{\"arena\":%llu,\"rank\":%llu,\"host\":%llu}}",
                report->s[report->n - 1] == '{' ? "" : ",", (unsigned long long)arena,
                (unsigned long long)rank, (unsigned long long)host);
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
    if (g->clip) return OK;
    enum code rc = base_model_clip_path(g->model_path, path, sizeof path, e);
    if (!rc) rc = clip_model_open(&g->clip, path, e);
    if (!rc) clip_model_shelve(g->clip, &g->shelf);
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
