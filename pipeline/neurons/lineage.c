/* lineage.c - W_m from W0 and the chain of commits. */
#include "pipeline/neurons/lineage.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#define COMMIT_BYTES \
    (UINT64_C(1) << 31) /* the largest commit that is read: SD-1.5 with every neuron is 80 MB */

enum code lineage_start(struct lineage *l, const float *w0, size_t n_weights, struct hash base,
                        uint32_t dim, struct err *e)
{
    *l = (struct lineage){.base = base, .n_weights = n_weights, .dim = dim};
    l->kv = mem_alloc(n_weights ? n_weights : 1, sizeof(float));
    if (!l->kv)
        return err_set(e, ERR_NOMEM, "out of memory for %zu key and value weights", n_weights);
    memcpy(l->kv, w0, n_weights * sizeof(float));
    enum code rc = mask_init(&l->used, n_weights, e);
    if (rc) lineage_fini(l);
    return rc;
}

static enum code check(const struct lineage *l, const struct commit *c, struct err *e)
{
    if (!hash_equal(c->base, l->base))
        return err_set(e, ERR_CORRUPT, "commit of %s was made on another base model", c->token);
    if (!hash_equal(c->parent, l->head))
        return err_set(e, ERR_CORRUPT, "commit of %s does not follow the lineage's head", c->token);
    if (c->mask.n_bits != l->n_weights || c->dim != l->dim)
        return err_set(
            e, ERR_CORRUPT,
            "commit of %s is for %zu neurons and rows of %u, the base model has %zu and %u",
            c->token, c->mask.n_bits, c->dim, l->n_weights, l->dim);
    if (c->n_values != mask_count(&c->mask))
        return err_set(e, ERR_CORRUPT, "commit of %s has %zu values for a mask of %zu neurons",
                       c->token, c->n_values, mask_count(&c->mask));
    for (int i = 0; i < l->n; i++)
        if (!strcmp(l->token[i], c->token))
            return err_set(e, ERR_EXISTS, "token %s is already taken in this lineage", c->token);
    return OK;
}

/* Room for one more concept. On failure the lineage is as it was. */
static enum code grow(struct lineage *l, struct err *e)
{
    size_t n = (size_t)l->n, row = l->dim ? l->dim : 1;
    struct mask *mask = mem_grow(l->mask, n, n + 1, sizeof *mask);
    if (mask) l->mask = mask;
    float *rows = mem_grow(l->rows, n * row, (n + 1) * row, sizeof *rows);
    if (rows) l->rows = rows;
    char(*token)[COMMIT_TOKEN] = mem_grow(l->token, n, n + 1, sizeof *token);
    if (token) l->token = token;
    if (!mask || !rows || !token)
        return err_set(e, ERR_NOMEM, "out of memory for a lineage of %d concepts", l->n + 1);
    return OK;
}

enum code lineage_apply(struct lineage *l, const struct commit *c, struct hash name, struct err *e)
{
    enum code rc = check(l, c, e);
    if (!rc) rc = grow(l, e);
    if (!rc) rc = mask_copy(&l->mask[l->n], &c->mask, e);
    if (rc) return rc;
    size_t next = 0;
    for (size_t w = 0; w < c->mask.n_words; w++)
        for (uint64_t bits = c->mask.words[w]; bits; bits &= bits - 1)
            l->kv[w * 64 + (size_t)__builtin_ctzll(bits)] = c->value[next++];
    memcpy(l->rows + (size_t)l->n * l->dim, c->row, l->dim * sizeof(float));
    memcpy(l->token[l->n], c->token, sizeof c->token);
    mask_or(&l->used, &c->mask);
    l->head = name;
    l->n++;
    return OK;
}

static enum code apply_object(struct lineage *l, struct objects *store, struct hash name,
                              struct err *e)
{
    struct bytes b = {0};
    struct commit c = {0};
    enum code rc = objects_get(store, name, COMMIT_BYTES, &b, e);
    if (!rc) rc = commit_decode(b.data, b.n, &c, e);
    if (!rc) rc = lineage_apply(l, &c, name, e);
    commit_fini(&c);
    free(b.data);
    char text[HASH_TEXT];
    return rc ? err_context(e, "commit %.12s", hash_text(name, text)) : OK;
}

enum code lineage_open(struct lineage *l, const float *w0, size_t n_weights, struct hash base,
                       uint32_t dim, struct objects *store, const struct hash *chain, int n,
                       struct err *e)
{
    enum code rc = lineage_start(l, w0, n_weights, base, dim, e);
    for (int i = 0; !rc && i < n; i++) rc = apply_object(l, store, chain[i], e);
    if (rc) lineage_fini(l);
    return rc;
}

void lineage_fini(struct lineage *l)
{
    for (int i = 0; i < l->n; i++) mask_fini(&l->mask[i]);
    free(l->mask);
    free(l->rows);
    free(l->token);
    free(l->kv);
    mask_fini(&l->used);
    *l = (struct lineage){0};
}
