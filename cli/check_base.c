/* check_base.c - what learning and evaluation would refuse of a base model, before anything is spent on it. */
#include "cli/check_base.h"
#include "cli/cli.h"

#include "base/file.h"
#include "pipeline/model/base_model.h"

#include <stdio.h>
#include <stdlib.h>

/* The CLIP that evaluation would take: its hash, and in *found whether there is one. */
static enum code check_clip(const char *base, char path[4200], struct hash *hash, int *found,
                            struct err *e)
{
    const char *named = getenv("ENGRAM_CLIP"); /* it must be there, then */
    struct clip_model *m;
    enum code rc = base_model_clip_path(base, path, 4200, e);
    if (rc || !(*found = (named && *named) || file_exists(path))) return rc;
    if ((rc = clip_model_open(&m, path, e))) return rc;
    if ((rc = clip_model_check(m, e))) err_context(e, "%s", path);
    *hash = m->hash;
    clip_model_close(m);
    return rc;
}

static json_t *base_json(const char *path, const struct base_model *m, int side,
                         const char *predicts)
{
    return json_pack("{s:s,s:o,s:i,s:I,s:i,s:i,s:s,s:s,s:s}", "folder", path, "base",
                     cli_hash_json(m->hash), "side", side, "neurons", (json_int_t)m->kv.n_weights,
                     "text_width", m->text.hidden, "prompt_tokens", tokenizer_length(m->tokenizer),
                     "layout", m->layout, "predicts", predicts, "predicts_by", m->prediction_by);
}

static int report(const char *path, const struct base_model *m, const char *clip_path,
                  struct hash clip, int found)
{
    int side = m->unet.sample_size * vae_factor(&m->vae);
    const char *predicts = m->schedule.config.prediction == PREDICT_V ? "v" : "epsilon";
    char hash[HASH_TEXT];
    if (cli.json) {
        json_t *j = base_json(path, m, side, predicts);
        json_object_set_new(j, "clip", found ? cli_hash_json(clip) : json_null());
        return cli_print(j);
    }
    printf(
        "%s: base model %.12s, %dx%d pictures, %zu neurons in %d matrices, prompts of %d tokens\n",
        path, hash_text(m->hash, hash), side, side, m->kv.n_weights, m->kv.n,
        tokenizer_length(m->tokenizer));
    printf("  %s; predicts %s (%s)\n", m->layout, predicts, m->prediction_by);
    if (found) printf("  %s: evaluation CLIP %.12s\n", clip_path, hash_text(clip, hash));
    else
        printf("  no evaluation CLIP in %s; learning needs none, engram evaluate does\n",
               clip_path);
    return 0;
}

int check_base(const char *path)
{
    struct err e = {0};
    struct base_model *m;
    struct hash clip = {{0}};
    char clip_path[4200];
    int found = 0, status;
    if (base_model_open(&m, path, &e)) return cli_fail(&e);
    enum code rc = base_model_check(m, &e);
    if (rc) err_context(&e, "%s", path);
    else rc = check_clip(path, clip_path, &clip, &found, &e);
    status = rc ? cli_fail(&e) : report(path, m, clip_path, clip, found);
    base_model_close(m);
    return status;
}
