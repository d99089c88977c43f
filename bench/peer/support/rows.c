/* rows.c - what all kinds of rows share, and their list. */
#include "bench/peer/support/rows.h"

#include <string.h>

void *row_alloc(struct row *r, size_t n, size_t size, struct err *e)
{
    void *p = arena_alloc(&r->part.arena, n * size + 1);
    if (p) memset(p, 0, n * size + 1);
    else err_set(e, ERR_NOMEM, "no memory for a row");
    return p;
}

float *row_kv(struct row *r, struct err *e)
{
    float *kv = row_alloc(r, r->m->kv.n_weights, sizeof *kv, e);
    return kv && !kv_read(&r->m->kv, r->m->unet_weights, kv, e) ? kv : NULL;
}

enum code row_open(struct row *r, const struct row_kind *kind, const char *model, const char *in,
                   const char *options, struct err *e)
{
    memset(r, 0, sizeof *r);
    enum code rc = part_open(&r->part, &kind->part, model, kernels_cpu(), in, options, e);
    if (rc) return rc;
    rc = base_model_open(&r->m, model, e);
    if (!rc) rc = kind->open(r, e);
    if (rc) row_close(r, kind);
    return rc;
}

void row_close(struct row *r, const struct row_kind *kind)
{
    if (r->state) kind->close(r);
    base_model_close(r->m);
    part_close(&r->part);
    memset(r, 0, sizeof *r);
}

static const struct row_kind *const KINDS[] = {&row_unet, &row_decode, &row_sample, &row_score,
                                               &row_step};

const struct row_kind *row_find(const char *name)
{
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++)
        if (!strcmp(KINDS[i]->part.name, name)) return KINDS[i];
    return NULL;
}
