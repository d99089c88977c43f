/* delta.c - plans a sparse delta: of each commit its mask, its values, its row.
 *
 * A commit's values are read from the store when they are written, one commit at a time, so a long lineage costs no more
 * memory than a short one. The store hashes what it gives.
 */
#include "pipeline/exchange/exchange.h"
#include "pipeline/exchange/modelspec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMIT_BYTES (UINT64_C(1) << 31)

struct reading {
    const struct exchange *x;
    int number;           /* of commit; 0: none */
    struct commit commit; /* read last; freed when the output closes */
};

struct values {
    struct reading *reading; /* shared by all concepts */
    int concept;
};

static void forget(void *self)
{
    struct reading *r = self;
    commit_fini(&r->commit);
    r->number = 0;
}

static enum code fetch(struct reading *r, int concept, struct err *e)
{
    struct bytes b = {0};
    if (r->number == concept + 1) return OK;
    forget(r);
    enum code rc = objects_get(r->x->store, r->x->concept[concept].commit, COMMIT_BYTES, &b, e);
    if (!rc) rc = commit_decode(b.data, b.n, &r->commit, e);
    if (!rc) r->number = concept + 1;
    free(b.data);
    return rc;
}

static enum code make_values(void *self, const struct source *s, int64_t first, int64_t n,
                             void *out, struct err *e)
{
    struct values *v = self;
    enum code rc = fetch(v->reading, v->concept, e);
    if (rc) return rc;
    if ((int64_t)v->reading->commit.n_values != s->dim[0])
        return err_set(e, ERR_CORRUPT, "%s has changed while it was exported", s->name);
    memcpy(out, v->reading->commit.value + first, (size_t)n * sizeof(float));
    return OK;
}

static enum code make_mask(void *self, const struct source *s, int64_t first, int64_t n, void *out,
                           struct err *e)
{
    const struct mask *m = self;
    uint8_t *to = out;
    (void)s;
    (void)e;
    for (int64_t i = first; i < first + n; i++)
        to[i - first] = (uint8_t)(m->words[i / 8] >> (i % 8 * 8));
    return OK;
}

/* Three tensors of concept i. */
static int plan_concept(const struct exchange *x, int i, struct reading *r, struct arena *a,
                        struct source *s)
{
    struct mask *m = &x->state->mask[i];
    struct values *v = arena_alloc(a, sizeof *v);
    if (!v) return 0;
    *v = (struct values){r, i};
    s[0] = (struct source){.name = arena_printf(a, "commit.%d.mask", i + 1),
                           .dtype = STORED_U8,
                           .rank = 1,
                           .dim = {(int64_t)m->n_words * 8},
                           .make = make_mask,
                           .self = m};
    s[1] = (struct source){.name = arena_printf(a, "commit.%d.values", i + 1),
                           .dtype = STORED_F32,
                           .rank = 1,
                           .dim = {(int64_t)x->concept[i].n_neurons},
                           .make = make_values,
                           .self = v};
    s[2] = (struct source){.name = arena_printf(a, "commit.%d.row", i + 1),
                           .dtype = STORED_F32,
                           .rank = 1,
                           .dim = {x->state->dim}};
    s[2].piece[0] = (struct source_piece){.values = x->state->rows + (size_t)i * x->state->dim,
                                          .count = x->state->dim};
    return s[0].name && s[1].name && s[2].name;
}

enum code delta_plan(const struct exchange *x, struct output *out, struct err *e)
{
    struct arena *a = output_arena(out);
    const char *const *metadata;
    char path[160], name[EXCHANGE_NAME];
    size_t n = 0;
    struct source *s = arena_alloc(a, ((size_t)x->state->n * 3 + 1) * sizeof *s);
    struct reading *r = arena_alloc(a, sizeof *r);
    enum code rc = s && r ? OK : err_set(e, ERR_NOMEM, "no memory to plan a delta");
    if (!rc) rc = output_finally(out, forget, r, e);
    if (!rc) r->x = x;
    for (int i = 0; !rc && i < x->state->n; i++) {
        if (!exchange_is_wanted(x, i)) continue;
        if (!plan_concept(x, i, r, a, s + n))
            rc = err_set(e, ERR_NOMEM, "no memory to plan a delta");
        n += 3;
    }
    if (!rc) rc = modelspec_make(x, MODELSPEC_DELTA, a, &metadata, e);
    snprintf(path, sizeof path, "%s.engram.safetensors", exchange_file_name(x->lineage, name));
    return rc ? rc : output_add_tensors(out, path, s, n, metadata, e);
}
