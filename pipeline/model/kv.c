/* kv.c - the list of cross-attention K and V matrices, in the order in which the UNet uses them. */
#include "pipeline/model/kv.h"
#include "base/arena.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One transformer at a time: place is "down_blocks.0.attentions.1", depth its blocks. With l->matrix NULL only counts. */
static void add_transformer(struct kv_layout *l, const char *place, int depth, int channels,
                            int cross_dim)
{
    for (int d = 0; d < depth; d++) {
        for (int is_v = 0; is_v < 2; is_v++) {
            if (l->matrix) {
                struct kv_matrix *m = &l->matrix[l->n];
                *m = (struct kv_matrix){.layer = l->n / 2,
                                        .is_v = is_v,
                                        .rows = channels,
                                        .cols = cross_dim,
                                        .offset = l->n_weights};
                snprintf(m->name, sizeof m->name, "%s.transformer_blocks.%d.attn2.to_%c.weight",
                         place, d, is_v ? 'v' : 'k');
            }
            l->n++;
            l->n_weights += (size_t)channels * (size_t)cross_dim;
        }
    }
}

static void walk(struct kv_layout *l, const struct unet_config *c)
{
    char place[64];
    int deepest = c->levels - 1;
    l->n = 0;
    l->n_weights = 0;
    for (int b = 0; b < c->levels; b++)
        for (int a = 0; c->down_attention[b] && a < c->layers[b]; a++) {
            snprintf(place, sizeof place, "down_blocks.%d.attentions.%d", b, a);
            add_transformer(l, place, c->depth[b], c->channels[b], c->cross_attention_dim);
        }
    add_transformer(l, "mid_block.attentions.0", c->depth[deepest], c->channels[deepest],
                    c->cross_attention_dim);
    for (int b = 0; b < c->levels; b++) {
        int level = deepest - b; /* up blocks count from the deepest */
        for (int a = 0; c->up_attention[b] && a < c->layers[level] + 1; a++) {
            snprintf(place, sizeof place, "up_blocks.%d.attentions.%d", b, a);
            add_transformer(l, place, c->depth[level], c->channels[level], c->cross_attention_dim);
        }
    }
}

enum code kv_layout_make(struct kv_layout *l, const struct unet_config *c, struct err *e)
{
    *l = (struct kv_layout){0};
    walk(l, c);
    l->matrix = mem_alloc((size_t)l->n, sizeof *l->matrix);
    if (!l->matrix)
        return err_set(e, ERR_NOMEM, "no memory for the list of %d K and V matrices", l->n);
    walk(l, c);
    return OK;
}

void kv_layout_free(struct kv_layout *l)
{
    free(l->matrix);
    *l = (struct kv_layout){0};
}

static enum code read_matrix(const struct kv_matrix *m, const struct weights *unet, float *out,
                             struct err *e)
{
    enum code rc;
    const struct stored *t = weights_find(unet, m->name);
    if (!t)
        return err_set(e, ERR_INPUT, "unet: %s is missing, expected [%" PRId64 ", %" PRId64 "]",
                       m->name, m->rows, m->cols);
    if (t->rank != 2 || t->dim[0] != m->rows || t->dim[1] != m->cols)
        return err_set(e, ERR_INPUT,
                       "unet: %s does not have the shape that config.json asks for, [%" PRId64
                       ", %" PRId64 "]",
                       m->name, m->rows, m->cols);
    if ((rc = stored_to_float(t, out, e))) return rc;
    stored_release(t);
    for (int64_t i = 0; i < m->rows * m->cols; i++)
        if (!isfinite(out[i]))
            return err_set(e, ERR_CORRUPT,
                           "unet: %s holds a NaN or infinity at element %" PRId64
                           "; the checkpoint is damaged",
                           m->name, i);
    return OK;
}

/* Straight from the file: a converted copy of each matrix in `unet` would live as long as the model, for nothing. */
enum code kv_read(const struct kv_layout *l, struct weights *unet, float *out, struct err *e)
{
    enum code rc = OK;
    for (int i = 0; i < l->n && !rc; i++)
        rc = read_matrix(&l->matrix[i], unet, out + l->matrix[i].offset, e);
    return rc;
}
