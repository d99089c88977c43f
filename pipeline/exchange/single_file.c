/* single_file.c - a checkpoint with the names of the training code that Stable Diffusion was published with.
 *
 * Names are model/original_names.h's. Three things differ besides: the VAE's attention is made of 1x1 convolutions,
 * OpenCLIP's projections of one layer are one matrix, and there is room for the base's vocabulary only.
 */
#include "pipeline/exchange/parts.h"

#include "pipeline/exchange/modelspec.h"
#include "pipeline/model/original_names.h"

#include <stdio.h>
#include <string.h>

struct single {
    const struct exchange *x;
    struct output *out;
    struct original_layout layout;
    struct source *source; /* in the arena */
    size_t n;
};

static enum code make_layout(const struct exchange *x, struct original_layout *l, struct err *e)
{
    const struct unet_config *u = &x->model->unet;
    for (int i = 1; i < u->levels; i++)
        if (u->layers[i] != u->layers[0])
            return err_set(e, ERR_INPUT,
                           "the UNet has %d layers at one level and %d at another, and names of "
                           "single files cannot say so; leave out single-file",
                           u->layers[0], u->layers[i]);
    *l = (struct original_layout){.unet_levels = u->levels,
                                  .unet_layers = u->layers[0],
                                  .vae_levels = x->model->vae.levels,
                                  .open_clip = x->model->text.act == CLIP_GELU};
    return OK;
}

/* q, k, v of one attention of OpenCLIP, one below the other. name is q's. */
static enum code fuse(const struct parts *p, const char *name, struct source *s, struct err *e)
{
    const char *at = strstr(name, ".q_proj.");
    for (int i = 1; i < 3; i++) {
        char other[WEIGHTS_NAME_MOST];
        snprintf(other, sizeof other, "%.*s.%c_proj.%s", (int)(at - name), name, "qkv"[i],
                 at + strlen(".q_proj."));
        const struct source *more = parts_find(p, other);
        if (!more || more->dtype != s->dtype || more->rank != s->rank ||
            memcmp(more->dim, s->dim, (size_t)s->rank * sizeof *s->dim) != 0)
            return err_set(e, ERR_INPUT, "text_encoder: %.160s is missing or not like %.160s",
                           other, name);
        s->piece[i] = more->piece[0];
    }
    s->dim[0] *= 3;
    return OK;
}

static int is_later_third(const char *name)
{
    return strstr(name, ".k_proj.") || strstr(name, ".v_proj.");
}

static enum code add_part(struct single *f, enum original_component c, const struct parts *p,
                          struct err *e)
{
    int is_fused = c == ORIGINAL_TEXT && f->layout.open_clip;
    enum code rc = OK;
    for (size_t i = 0; !rc && i < p->n; i++) {
        char original[WEIGHTS_NAME_MOST];
        const char *inside = p->source[i].name;
        struct source *s = &f->source[f->n];
        if (is_fused && is_later_third(inside)) continue;
        if (!original_name_write(&f->layout, c, inside, original)) continue;
        *s = p->source[i];
        s->name = arena_strdup(output_arena(f->out), original);
        if (!s->name) return err_set(e, ERR_NOMEM, "no memory to plan a single file");
        if (c == ORIGINAL_VAE && s->rank == 2 && strstr(inside, ".attentions.")) {
            s->rank = 4;
            s->dim[2] = s->dim[3] = 1;
        }
        if (is_fused && strstr(inside, ".q_proj.")) rc = fuse(p, inside, s, e);
        f->n++;
    }
    return rc;
}

enum code single_file_plan(const struct exchange *x, struct output *out, struct err *e)
{
    static enum code (*const part[ORIGINAL_COMPONENTS])(const struct exchange *, struct output *,
                                                        struct parts *, struct err *) = {
        [ORIGINAL_UNET] = parts_unet, [ORIGINAL_VAE] = parts_vae, [ORIGINAL_TEXT] = parts_text};
    struct single f = {.x = x, .out = out};
    struct parts parts[ORIGINAL_COMPONENTS];
    const char *const *metadata;
    char path[160], name[EXCHANGE_NAME];
    size_t total = 0;
    enum code rc = make_layout(x, &f.layout, e);
    for (int c = 0; !rc && c < ORIGINAL_COMPONENTS; c++) {
        rc = part[c](x, out, &parts[c], e);
        if (!rc) total += parts[c].n;
    }
    if (!rc && !(f.source = arena_alloc(output_arena(out), (total + 1) * sizeof *f.source)))
        rc = err_set(e, ERR_NOMEM, "no memory to plan a single file");
    for (int c = 0; !rc && c < ORIGINAL_COMPONENTS; c++)
        rc = add_part(&f, (enum original_component)c, &parts[c], e);
    snprintf(path, sizeof path, "%s.safetensors", exchange_file_name(x->lineage, name));
    if (!rc) rc = modelspec_make(x, MODELSPEC_CHECKPOINT, output_arena(out), &metadata, e);
    return rc ? rc : output_add_tensors(out, path, f.source, f.n, metadata, e);
}
