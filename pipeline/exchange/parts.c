/* parts.c - tensors of the base, as they lie in its map, and over them what the lineage changed.
 *
 * A matrix is the lineage's only where a mask has a bit in it; all others are the base's bytes. Checkpoints differ in
 * whether a 1x1 convolution is stored as [O,I] or [O,I,1,1]; what is written is what the reference's classes hold.
 */
#include "pipeline/exchange/parts.h"

#include <stdlib.h>
#include <string.h>

#define VOCABULARY "text_model.embeddings.token_embedding.weight"

static int ends(const char *s, const char *with)
{
    size_t n = strlen(s), m = strlen(with);
    return n >= m && !strcmp(s + n - m, with);
}

static enum code gather(const struct exchange *x, const struct weights *w, struct output *out,
                        struct parts *p, struct err *e)
{
    p->n = weights_count(w);
    p->source = arena_alloc(output_arena(out), (p->n + 1) * sizeof *p->source);
    if (!p->source) return err_set(e, ERR_NOMEM, "no memory to plan %zu tensors", p->n);
    for (size_t i = 0; i < p->n; i++) {
        struct source *s = &p->source[i];
        const struct stored *t = weights_at(w, i, &s->name);
        if (t->dtype == STORED_OTHER)
            return err_set(e, ERR_INPUT, "%.160s has a type that is not exported; save it as F32",
                           s->name);
        s->dtype = source_dtype(t, x->dtype);
        s->rank = t->rank;
        memcpy(s->dim, t->dim, sizeof s->dim);
        s->piece[0].stored = t;
    }
    return OK;
}

struct source *parts_find(const struct parts *p, const char *name)
{
    size_t low = 0, high = p->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(p->source[middle].name, name);
        if (!order) return &p->source[middle];
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

/* [O,I] and [O,I,1,1] are the same bytes. */
static void reshape(struct source *s, int rank)
{
    int is_point = s->rank == 4 && s->dim[2] == 1 && s->dim[3] == 1;
    if (s->rank == rank || (rank == 2 && !is_point) || (rank == 4 && s->rank != 2)) return;
    s->rank = rank;
    s->dim[2] = s->dim[3] = rank == 4;
}

static int has_bits(const struct mask *m, size_t from, size_t n)
{
    for (size_t i = from; i < from + n; i++)
        if (mask_get(m, i)) return 1;
    return 0;
}

enum code parts_unet(const struct exchange *x, struct output *out, struct parts *p, struct err *e)
{
    const struct kv_layout *kv = &x->model->kv;
    enum code rc = gather(x, x->model->unet_weights, out, p, e);
    for (size_t i = 0; !rc && i < p->n; i++)
        if (ends(p->source[i].name, ".proj_in.weight") ||
            ends(p->source[i].name, ".proj_out.weight"))
            reshape(&p->source[i], x->model->unet.linear_projection ? 2 : 4);
    for (int i = 0; !rc && i < kv->n; i++) {
        const struct kv_matrix *m = &kv->matrix[i];
        size_t n = (size_t)(m->rows * m->cols);
        struct source *s = parts_find(p, m->name);
        if (!s) return err_set(e, ERR_INPUT, "unet: %s is missing", m->name);
        if (!has_bits(&x->state->used, m->offset, n)) continue;
        s->dtype = x->dtype == STORED_OTHER ? STORED_F32 : x->dtype;
        s->piece[0] =
            (struct source_piece){.values = x->state->kv + m->offset, .count = (int64_t)n};
    }
    return rc;
}

enum code parts_vae(const struct exchange *x, struct output *out, struct parts *p, struct err *e)
{
    enum code rc = gather(x, x->model->vae_weights, out, p, e);
    for (size_t i = 0; !rc && i < p->n; i++)
        if (strstr(p->source[i].name, ".attentions.")) reshape(&p->source[i], 2);
    return rc;
}

enum code parts_text(const struct exchange *x, struct output *out, struct parts *p, struct err *e)
{
    return gather(x, x->model->text_weights, out, p, e);
}

enum code parts_grow_vocabulary(const struct exchange *x, struct parts *p, struct err *e)
{
    struct source *s = parts_find(p, VOCABULARY);
    int64_t n = x->state->n, D = x->state->dim;
    if (!n) return OK;
    if (!s || s->rank != 2 || s->dim[1] != D)
        return err_set(e, ERR_INPUT, "text_encoder: %s is missing or has another width",
                       VOCABULARY);
    s->dim[0] += n;
    s->dtype = x->dtype == STORED_OTHER ? STORED_F32 : x->dtype;
    s->piece[1] = (struct source_piece){.values = x->state->rows, .count = n * D};
    return OK;
}
