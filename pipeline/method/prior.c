/* prior.c - class images of prior preservation: what the base model draws for the class word. */
#include "pipeline/method/method.h"

#include "base/arena.h"
#include "pipeline/model/runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void class_prompt(const struct settings *s, const char *class_word, const char *kind,
                         char *out, size_t bytes)
{
    prompt_fill(strcmp(kind, "style") ? s->prior_prompt : s->prior_style_prompt, "", class_word,
                out, bytes);
}

struct hash prior_key(struct hash base, const struct settings *s, const char *class_word,
                      const char *kind, uint64_t seed)
{
    char prompt[512], name[HASH_TEXT];
    struct text t = {0};
    class_prompt(s, class_word, kind, prompt, sizeof prompt);
    text_printf(&t,
                "engram prior 1\nbase %s\ncount %lld\nsteps %lld\nguidance %.17g\neta %.17g\nside "
                "%lld\nseed %llu\n"
                "prompt %zu %s\nnegative %zu %s\n",
                hash_text(base, name), (long long)s->prior_count, (long long)s->prior_steps,
                s->prior_guidance, s->prior_eta, (long long)s->sample_side,
                (unsigned long long)seed, strlen(prompt), prompt, strlen(s->sample_negative),
                s->sample_negative);
    struct hash h = hash_bytes(t.s, t.n);
    text_fini(&t);
    return h;
}

static enum code request_make(const struct task *t, int32_t *ids, struct sample_request *r,
                              struct err *e)
{
    const struct tokenizer *k = t->model->tokenizer;
    int length = tokenizer_length(k);
    char prompt[512];
    struct encoded enc;
    class_prompt(&t->settings, t->class_word, t->kind, prompt, sizeof prompt);
    enum code rc = tokenizer_encode(k, prompt, ids, length, &enc, e);
    if (!rc) rc = tokenizer_encode(k, t->settings.sample_negative, ids + length, length, &enc, e);
    *r = (struct sample_request){.prompt = ids,
                                 .negative = ids + length,
                                 .kv = t->w0,
                                 .steps = (int)t->settings.prior_steps,
                                 .guidance = (float)t->settings.prior_guidance,
                                 .eta = (float)t->settings.prior_eta,
                                 .seed = t->seed};
    return rc;
}

/* Pictures rank, rank + size, ... into mine. */
static enum code draw_mine(const struct task *t, int side, int count, uint8_t *mine, struct err *e)
{
    struct sampler *s = NULL;
    struct sample_request r;
    size_t bytes = (size_t)side * (size_t)side * 3;
    int32_t *ids = mem_alloc(2 * (size_t)tokenizer_length(t->model->tokenizer), sizeof *ids);
    enum code rc =
        ids ? request_make(t, ids, &r, e) : err_set(e, ERR_NOMEM, "out of memory for class images");
    if (!rc) rc = sampler_make(&s, t->model, t->kernels, side, side, 0, e);
    for (int i = t->ranks->rank; !rc && i < count; i += t->ranks->size) {
        r.index = (uint32_t)i;
        rc = sampler_run(s, &r, NULL, mine + (size_t)(i / t->ranks->size) * bytes, NULL, e);
        if (!rc && t->ranks->rank == 0 && t->progress &&
            t->progress(t->progress_self, i, count, "class images"))
            rc = err_set(e, ERR_CANCELLED, "stopped at class image %d of %d", i + 1, count);
    }
    sampler_free(s);
    free(ids);
    return rc;
}

enum code prior_make(const struct task *t, uint8_t **rgb, int *side, struct err *e)
{
    int count = (int)t->settings.prior_count, size = t->ranks->size;
    *side = t->settings.sample_side ? (int)t->settings.sample_side
                                    : t->model->unet.sample_size * vae_factor(&t->model->vae);
    size_t bytes = (size_t)*side * (size_t)*side * 3,
           per_rank = ((size_t)count + (size_t)size - 1) / (size_t)size;
    uint8_t *mine = mem_alloc(per_rank * bytes + 1, 1),
            *all = mem_alloc(per_rank * bytes * (size_t)size + 1, 1);
    *rgb = mem_alloc((size_t)count * bytes + 1, 1);
    enum code rc = mine && all && *rgb
                       ? OK
                       : err_set(e, ERR_NOMEM, "out of memory for %d class images", count);
    if (!rc) rc = draw_mine(t, *side, count, mine, e);
    rc = collectives_agree(t->ranks, rc, e);
    if (!rc) rc = t->ranks->gather(t->ranks, mine, per_rank * bytes, all, e);
    for (size_t i = 0; !rc && i < (size_t)count; i++)
        memcpy(*rgb + i * bytes, all + ((i % (size_t)size) * per_rank + i / (size_t)size) * bytes,
               bytes);
    free(mine);
    free(all);
    if (rc) {
        free(*rgb);
        *rgb = NULL;
    }
    return rc;
}
