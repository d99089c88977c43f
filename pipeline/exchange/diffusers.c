/* diffusers.c - a pipeline folder: three files of weights and what stands beside them. */
#include "pipeline/exchange/exchange.h"
#include "pipeline/exchange/folder.h"
#include "pipeline/exchange/parts.h"

/* transformers refuses a file without "format". */
static enum code make_metadata(const struct exchange *x, struct arena *a, const char *const **out,
                               struct err *e)
{
    char base[HASH_TEXT], commit[HASH_TEXT];
    const char **m = arena_alloc(a, 9 * sizeof *m);
    int at = 0;
    hash_text(x->model->hash, base);
    hash_text(x->state->head, commit);
    if (m) {
        m[at++] = "format";
        m[at++] = "pt";
        m[at++] = "engram.base";
        m[at++] = arena_strdup(a, base);
        if (x->state->n) {
            m[at++] = "engram.commit";
            m[at++] = arena_strdup(a, commit);
        }
    }
    *out = m;
    if (m && m[3] && (!x->state->n || m[5])) return OK;
    return err_set(e, ERR_NOMEM, "no memory for an export's metadata");
}

enum code diffusers_plan(const struct exchange *x, struct output *out, struct err *e)
{
    struct parts unet, vae, text;
    const char *const *metadata = NULL;
    enum code rc = make_metadata(x, output_arena(out), &metadata, e);
    if (!rc) rc = folder_configs(x, out, e);
    if (!rc) rc = folder_tokenizer(x, out, e);
    if (!rc) rc = parts_unet(x, out, &unet, e);
    if (!rc) rc = parts_vae(x, out, &vae, e);
    if (!rc) rc = parts_text(x, out, &text, e);
    if (!rc) rc = parts_grow_vocabulary(x, &text, e);
    if (!rc)
        rc = output_add_tensors(out, "diffusers/unet/diffusion_pytorch_model.safetensors",
                                unet.source, unet.n, metadata, e);
    if (!rc)
        rc = output_add_tensors(out, "diffusers/vae/diffusion_pytorch_model.safetensors",
                                vae.source, vae.n, metadata, e);
    if (!rc)
        rc = output_add_tensors(out, "diffusers/text_encoder/model.safetensors", text.source,
                                text.n, metadata, e);
    return rc;
}
