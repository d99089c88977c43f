/* single_file_schedule.c - what the UNet of a single file predicts, and the noise it was trained with.
 *
 * Published SD 2.x files do not say whether they predict the noise or v. Asked in this order, and the answer is told by
 * `engram check`: the file's own metadata, a scheduler's file beside the checkpoint, for SD 2.x one of its biases.
 */
#include "base/file.h"
#include "pipeline/model/single_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MOST 4096
#define METADATA "modelspec.prediction_type"
/* The community's rule: this bias deviates by some 0.02 in models that predict the noise and by over 0.1 in those that
 * predict v. */
#define DEVIATION_OF_V 0.09

static const struct schedule_config usual = {.train_steps = 1000,
                                             .beta_start = 0.00085,
                                             .beta_end = 0.012,
                                             .scaled_linear = 1,
                                             .steps_offset = 1,
                                             .prediction = PREDICT_EPSILON};

/* Finds <stem>.config/scheduler/..., <stem>.scheduler_config.json, scheduler/scheduler_config.json; 0: none is there. */
static enum code find_config(const struct single_file *f, char out[PATH_MOST], int *found,
                             struct err *e)
{
    static const char *const tails[] = {".config/scheduler/scheduler_config.json",
                                        ".scheduler_config.json"};
    const char *slash = strrchr(f->path, '/');
    *found = 0;
    for (size_t i = 0; i < 2; i++) {
        enum code rc = single_file_beside(f->path, tails[i], out, PATH_MOST, e);
        if (rc) return rc;
        if ((*found = file_exists(out))) return OK;
    }
    if (snprintf(out, PATH_MOST, "%.*sscheduler/scheduler_config.json",
                 slash ? (int)(slash - f->path) + 1 : 0, f->path) < PATH_MOST)
        *found = file_exists(out);
    return OK;
}

static enum code read_metadata(struct single_file *f, const char *says, struct err *e)
{
    int is_v = !strcmp(says, "v") || !strcmp(says, "v_prediction");
    if (!is_v && strcmp(says, "epsilon") != 0)
        return err_set(e, ERR_INPUT,
                       "%s: " METADATA " is \"%.60s\"; Engram runs epsilon and v_prediction",
                       f->path, says);
    f->schedule.prediction = is_v ? PREDICT_V : PREDICT_EPSILON;
    f->prediction_by = METADATA " of the file";
    return OK;
}

/* Population standard deviation; -1: no such tensor, or no memory to look at it. */
static double deviation(const struct stored *t)
{
    int64_t n = t ? stored_count(t) : 0;
    float *v = n > 0 ? mem_alloc((size_t)n, sizeof *v) : NULL;
    double mean = 0, sum = 0;
    if (!v || stored_to_float(t, v, NULL)) {
        free(v);
        return -1;
    }
    for (int64_t i = 0; i < n; i++) mean += (double)v[i] / (double)n;
    for (int64_t i = 0; i < n; i++) sum += ((double)v[i] - mean) * ((double)v[i] - mean);
    free(v);
    return sqrt(sum / (double)n);
}

static enum code judge(struct single_file *f, struct err *e)
{
    char name[120];
    int last = f->shape.layout.unet_levels * (f->shape.layout.unet_layers + 1) - 1;
    snprintf(name, sizeof name,
             "model.diffusion_model.output_blocks.%d.1.transformer_blocks.0.norm1.bias", last);
    double d = deviation(safetensors_find(f->file, name));
    f->schedule.prediction = d > DEVIATION_OF_V ? PREDICT_V : PREDICT_EPSILON;
    f->prediction_by = arena_printf(
        &f->arena,
        "judged: output_blocks.%d.1.transformer_blocks.0.norm1.bias deviates by %.3g, v is over %g",
        last, d, DEVIATION_OF_V);
    return f->prediction_by ? OK : err_set(e, ERR_NOMEM, "%s: no memory to open it", f->path);
}

enum code single_file_schedule_read(struct single_file *f, struct err *e)
{
    char path[PATH_MOST];
    const char *says = safetensors_metadata(f->file, METADATA);
    int found;
    enum code rc = find_config(f, path, &found, e);
    if (rc) return rc;
    f->schedule = usual;
    if (found) {
        f->prediction_by = arena_strdup(&f->arena, path);
        if (!f->prediction_by) return err_set(e, ERR_NOMEM, "%s: no memory to open it", f->path);
        rc = config_read_schedule(path, &f->schedule, e);
    }
    if (rc) return rc;
    if (says) return read_metadata(f, says, e);
    if (found) return OK;
    if (f->shape.layout.open_clip) return judge(f, e);
    f->prediction_by = "as Stable Diffusion 1.x does";
    return OK;
}
