/* embeddings.c - one file per token, in the two forms that programs read. */
#include "pipeline/exchange/exchange.h"

#include <stdio.h>

/* The one tensor of a file: the token's row under the name that the reader looks for. */
static enum code plan_one(const struct exchange *x, int i, const char *path, const char *key,
                          struct output *out, struct err *e)
{
    static const char *const metadata[] = {"format", "pt", NULL};
    int64_t D = x->state->dim;
    struct source *s = arena_alloc(output_arena(out), sizeof *s);
    if (!s) return err_set(e, ERR_NOMEM, "no memory to plan %s", path);
    *s = (struct source){.name = key, .dtype = STORED_F32, .rank = 2, .dim = {1, D}};
    s->piece[0] = (struct source_piece){.values = x->state->rows + (int64_t)i * D, .count = D};
    return output_add_tensors(out, path, s, 1, metadata, e);
}

enum code embeddings_plan(const struct exchange *x, struct output *out, struct err *e)
{
    enum code rc = OK;
    for (int i = 0; !rc && i < x->state->n; i++) {
        char name[EXCHANGE_NAME], path[200];
        const char *token = x->concept[i].token;
        if (!exchange_is_wanted(x, i)) continue;
        exchange_file_name(token, name);
        snprintf(path, sizeof path, "embeddings/comfyui-a1111/%s.safetensors", name);
        rc = plan_one(x, i, path, "emb_params", out, e);
        snprintf(path, sizeof path, "embeddings/diffusers/%s.safetensors", name);
        if (!rc) rc = plan_one(x, i, path, token, out, e);
    }
    return rc;
}
