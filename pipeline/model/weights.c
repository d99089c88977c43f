/* weights.c - one component's tensors under one set of names, converted on first use.
 *
 * Names. Published files spell some tensors in two ways; the table holds one, and look-ups are translated the same way:
 *     *.attentions.N.query|key|value|proj_attn.*   ->  to_q | to_k | to_v | to_out.0        (VAE files before 2023)
 *     embeddings.*, encoder.*, final_layer_norm.*  ->  text_model. before them              (text encoders without it)
 *     *.position_ids                               ->  left out: a list of 0, 1, 2 ... that carries nothing
 *
 * Memory. A float32 tensor that is aligned and wanted in file layout is used where it lies in the map, so that the ranks
 * of a host share its pages. All else is converted once into memory owned here and freed by weights_close.
 * A NaN or an infinity in a weight is refused on its first use: it would spread to every picture.
 * Finding the files is in weights_files.c.
 */
#include "pipeline/model/weights.h"
#include "base/arena.h"
#include "pipeline/model/weights_files.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct slot {
    const char *name; /* as look-ups know it */
    const struct stored *stored;
    const float *flat;          /* file layout: in the map, or = own_flat; NULL before first use */
    float *own_flat, *own_hwio; /* owned */
};

struct weights {
    struct arena arena;
    const char *label; /* last component of the folder: "unet" */
    struct weights_files files;
    struct slot *slot; /* sorted by name */
    size_t n;
    int is_bare_text; /* the file has no "text_model." level */
};

/* ---- names ---------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *old, *now;
} vae_names[] = {
    {".query.", ".to_q."},
    {".key.", ".to_k."},
    {".value.", ".to_v."},
    {".proj_attn.", ".to_out.0."},
};
#define TEXT_LEVEL "text_model."
#define NAME_MOST 512

static int begins(const char *s, const char *with)
{
    return !strncmp(s, with, strlen(with));
}

static int is_text_name(const char *s)
{
    return begins(s, "embeddings.") || begins(s, "encoder.layers.") ||
           begins(s, "final_layer_norm.");
}

/* Writes the one spelling of `name`; 0 if it does not fit. */
static int canonical(int is_bare_text, const char *name, char out[NAME_MOST])
{
    const char *level = is_bare_text && is_text_name(name) ? TEXT_LEVEL : "";
    const char *attentions = strstr(name, ".attentions.");
    for (size_t i = 0; attentions && i < sizeof vae_names / sizeof *vae_names; i++) {
        const char *at = strstr(attentions, vae_names[i].old);
        if (!at) continue;
        return snprintf(out, NAME_MOST, "%.*s%s%s", (int)(at - name), name, vae_names[i].now,
                        at + strlen(vae_names[i].old)) < NAME_MOST;
    }
    return snprintf(out, NAME_MOST, "%s%s", level, name) < NAME_MOST;
}

static int by_name(const void *a, const void *b)
{
    const struct slot *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static struct slot *find_exactly(const struct weights *w, const char *name)
{
    struct slot key = {.name = name};
    return bsearch(&key, w->slot, w->n, sizeof *w->slot, by_name);
}

/* A text encoder's tensors are found with and without their level, whichever the file has. */
static struct slot *find(const struct weights *w, const char *name)
{
    char now[NAME_MOST], other[NAME_MOST + sizeof TEXT_LEVEL];
    struct slot *s;
    if (!canonical(0, name, now)) return NULL;
    if ((s = find_exactly(w, now))) return s;
    if (begins(now, TEXT_LEVEL)) return find_exactly(w, now + strlen(TEXT_LEVEL));
    snprintf(other, sizeof other, TEXT_LEVEL "%s", now);
    return is_text_name(now) ? find_exactly(w, other) : NULL;
}

/* ---- opening -------------------------------------------------------------------------------------------------------- */

static enum code add_slot(struct weights *w, const struct stored *t, struct err *e)
{
    char name[NAME_MOST];
    size_t n = strlen(t->name), n_ids = strlen("position_ids");
    if (n >= n_ids && !strcmp(t->name + n - n_ids, "position_ids")) return OK;
    if (!canonical(w->is_bare_text, t->name, name))
        return err_set(e, ERR_INPUT, "%s: tensor name of %zu bytes: %.60s...", w->label, n,
                       t->name);
    w->slot[w->n] = (struct slot){.name = arena_strdup(&w->arena, name), .stored = t};
    if (!w->slot[w->n++].name)
        return err_set(e, ERR_NOMEM, "%s: no memory for the names of its tensors", w->label);
    return OK;
}

static enum code fill_table(struct weights *w, struct err *e)
{
    size_t total = 0;
    int has_level = 0, has_bare = 0;
    enum code rc;
    for (size_t f = 0; f < w->files.n; f++) {
        total += safetensors_count(w->files.file[f]);
        for (size_t i = 0; i < safetensors_count(w->files.file[f]); i++) {
            const char *name = safetensors_at(w->files.file[f], i)->name;
            has_level |= begins(name, TEXT_LEVEL);
            has_bare |= begins(name, "embeddings.token_embedding.");
        }
    }
    w->is_bare_text = has_bare && !has_level;
    w->slot = arena_alloc(&w->arena, (total + 1) * sizeof *w->slot);
    if (!w->slot) return err_set(e, ERR_NOMEM, "%s: no memory for %zu tensors", w->label, total);
    for (size_t f = 0; f < w->files.n; f++)
        for (size_t i = 0; i < safetensors_count(w->files.file[f]); i++)
            if ((rc = add_slot(w, safetensors_at(w->files.file[f], i), e))) return rc;
    qsort(w->slot, w->n, sizeof *w->slot, by_name);
    for (size_t i = 1; i < w->n; i++)
        if (!strcmp(w->slot[i - 1].name, w->slot[i].name))
            return err_set(e, ERR_CORRUPT, "%s: tensor %.160s is there twice", w->label,
                           w->slot[i].name);
    return OK;
}

static const char *last_component(const char *dir, size_t *n)
{
    const char *end = dir + strlen(dir), *begin;
    while (end > dir + 1 && end[-1] == '/') end--;
    for (begin = end; begin > dir && begin[-1] != '/'; begin--) {}
    *n = (size_t)(end - begin);
    return begin;
}

enum code weights_open(struct weights **out, const char *dir, const char *stem, struct err *e)
{
    enum code rc = ERR_NOMEM;
    size_t n_label;
    const char *label = last_component(dir, &n_label);
    struct weights *w = mem_alloc(1, sizeof *w);
    *out = NULL;
    if (!w || !(w->label = arena_printf(&w->arena, "%.*s", (int)n_label, label))) {
        err_set(e, rc, "%s: no memory to open it", dir);
        goto close;
    }
    if ((rc = weights_files_open(&w->files, dir, stem, e))) goto close;
    if ((rc = fill_table(w, e))) goto close;
    *out = w;
    w = NULL;
close:
    weights_close(w);
    return rc;
}

void weights_close(struct weights *w)
{
    if (!w) return;
    for (size_t i = 0; i < w->n; i++) {
        free(w->slot[i].own_flat);
        free(w->slot[i].own_hwio);
    }
    weights_files_close(&w->files);
    arena_fini(&w->arena);
    free(w);
}

const struct stored *weights_find(const struct weights *w, const char *name)
{
    const struct slot *s = find(w, name);
    return s ? s->stored : NULL;
}

/* One line per tensor, in order of names: "name TYPE [2, 3] <sha256 of its bytes>\n"; the hash is that of all lines. */
struct hash weights_hash(const struct weights *w)
{
    static const char *const type[] = {"F32", "F16", "BF16", "F64",  "I64",  "I32",
                                       "I16", "I8",  "U8",   "BOOL", "OTHER"};
    struct hash_stream *all = hash_begin();
    char text[HASH_TEXT], number[32];
    if (!all) return (struct hash){{0}};
    for (size_t i = 0; i < w->n; i++) {
        const struct stored *t = w->slot[i].stored;
        hash_add(all, w->slot[i].name, strlen(w->slot[i].name));
        hash_add(all, " ", 1);
        hash_add(all, type[t->dtype], strlen(type[t->dtype]));
        hash_add(all, " [", 2);
        for (int d = 0; d < t->rank; d++) {
            int n = snprintf(number, sizeof number, "%s%" PRId64, d ? ", " : "", t->dim[d]);
            hash_add(all, number, (size_t)n);
        }
        hash_add(all, "] ", 2);
        hash_add(all, hash_text(hash_bytes(t->data, t->bytes), text), HASH_TEXT - 1);
        hash_add(all, "\n", 1);
    }
    return hash_end(all);
}

/* ---- conversion ----------------------------------------------------------------------------------------------------- */

static enum code check_finite(const struct weights *w, const struct slot *s, const float *data,
                              struct err *e)
{
    int64_t n = stored_count(s->stored);
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(data[i]))
            return err_set(e, ERR_CORRUPT,
                           "%s: %.160s holds a %s at element %" PRId64
                           "; the checkpoint is damaged",
                           w->label, s->name, isnan(data[i]) ? "NaN" : "infinity", i);
    return OK;
}

/* Writes values in file layout to out[count]. */
static enum code convert(const struct weights *w, const struct slot *s, float *out, struct err *e)
{
    enum code rc = stored_to_float(s->stored, out, e);
    if (rc) return err_context(e, "%s", w->label);
    return check_finite(w, s, out, e);
}

static float *float_alloc(const struct weights *w, const struct slot *s, struct err *e)
{
    int64_t n = stored_count(s->stored);
    float *p = mem_alloc((size_t)n + 1, sizeof *p);
    if (!p)
        err_set(e, ERR_NOMEM, "%s: no memory for %.160s (%" PRId64 " floats)", w->label, s->name,
                n);
    return p;
}

/* Where the tensor can be read as floats without a copy; NULL: it must be converted. */
static const float *in_place(const struct stored *t)
{
    if (t->dtype != STORED_F32 || (uintptr_t)t->data % _Alignof(float)) return NULL;
    return (const float *)(const void *)t->data;
}

static enum code make_flat(struct weights *w, struct slot *s, struct err *e)
{
    enum code rc;
    const float *mapped = in_place(s->stored);
    float *own;
    if (s->flat) return OK;
    if (mapped) {
        if ((rc = check_finite(w, s, mapped, e))) return rc;
        s->flat = mapped;
        return OK;
    }
    if (!(own = float_alloc(w, s, e))) return ERR_NOMEM;
    if ((rc = convert(w, s, own, e))) {
        free(own);
        return rc;
    }
    s->flat = s->own_flat = own;
    return OK;
}

/* [O,I,k,k] -> [k,k,I,O], K = k*k. Sixteen outputs at a time: each is read along its own row, together they fill a
 * cache line of the result. */
static void permute(const float *from, float *to, int64_t O, int64_t I, int64_t K)
{
    for (int64_t o0 = 0; o0 < O; o0 += 16) {
        int64_t o1 = o0 + 16 < O ? o0 + 16 : O;
        for (int64_t i = 0; i < I; i++)
            for (int64_t k = 0; k < K; k++)
                for (int64_t o = o0; o < o1; o++)
                    to[(k * I + i) * O + o] = from[(o * I + i) * K + k];
    }
}

static enum code make_hwio(struct weights *w, struct slot *s, int64_t O, int64_t I, int64_t K,
                           struct err *e)
{
    enum code rc = OK;
    const float *from = s->flat ? s->flat : in_place(s->stored);
    float *copy = NULL, *to;
    if (s->own_hwio) return OK;
    if (!(to = float_alloc(w, s, e))) return ERR_NOMEM;
    if (from) {
        rc = check_finite(w, s, from, e);
    } else {
        copy = float_alloc(w, s, e);
        from = copy;
        rc = copy ? convert(w, s, copy, e) : ERR_NOMEM;
    }
    if (rc) goto free_both;
    permute(from, to, O, I, K);
    s->own_hwio = to;
    to = NULL;
free_both:
    free(to);
    free(copy);
    return rc;
}

/* ---- parameters of a graph ------------------------------------------------------------------------------------------ */

static char *stored_shape(const struct stored *t, char out[160])
{
    int at = snprintf(out, 160, "[");
    for (int i = 0; i < t->rank; i++)
        at += snprintf(out + at, 160 - (size_t)at, "%s%" PRId64, i ? ", " : "", t->dim[i]);
    snprintf(out + at, 160 - (size_t)at, "]");
    return out;
}

static int has_shape(const struct stored *t, const int64_t *dim, int rank)
{
    return t->rank == rank && !memcmp(t->dim, dim, (size_t)rank * sizeof *dim);
}

/* The slot of a formatted name if its shape is dim[rank], or dim[other_rank] when other_rank is not -1. NULL: the graph
 * carries the reason. */
static struct slot *expect(struct weights *w, struct graph *g, const int64_t *dim, int rank,
                           int other_rank, const char *fmt, va_list args)
{
    char name[NAME_MOST], got[160], want[160];
    struct stored wanted = {.rank = rank};
    struct slot *s;
    memcpy(wanted.dim, dim, (size_t)rank * sizeof *dim);
    vsnprintf(name, sizeof name, fmt, args);
    s = find(w, name);
    if (!s) {
        graph_fail(g, ERR_INPUT, "%s: %s is missing, expected %s", w->label, name,
                   stored_shape(&wanted, want));
        return NULL;
    }
    if (has_shape(s->stored, dim, rank) ||
        (other_rank >= 0 && has_shape(s->stored, dim, other_rank)))
        return s;
    graph_fail(g, ERR_INPUT, "%s: %s is %s, expected %s", w->label, name,
               stored_shape(s->stored, got), stored_shape(&wanted, want));
    return NULL;
}

static struct value param_flat(struct weights *w, struct graph *g, struct slot *s,
                               struct shape shape)
{
    struct err e = {0};
    if (!s) return VALUE_NONE;
    if (make_flat(w, s, &e)) return graph_fail(g, e.code, "%s", e.text);
    return graph_param(g, s->name, shape, s->flat);
}

struct value weights_param(struct weights *w, struct graph *g, struct shape shape, const char *name,
                           ...)
{
    va_list args;
    struct slot *s;
    va_start(args, name);
    s = expect(w, g, shape.dim, shape.rank, -1, name, args);
    va_end(args);
    return param_flat(w, g, s, shape);
}

struct value weights_linear(struct weights *w, struct graph *g, int64_t in, int64_t out,
                            const char *name, ...)
{
    int64_t dim[4] = {out, in, 1, 1};
    va_list args;
    struct slot *s;
    va_start(args, name);
    s = expect(w, g, dim, 2, 4, name, args);
    va_end(args);
    return param_flat(w, g, s, SHAPE(out, in));
}

struct value weights_conv(struct weights *w, struct graph *g, int64_t in, int64_t out, int k,
                          const char *name, ...)
{
    int64_t dim[4] = {out, in, k, k};
    struct err e = {0};
    va_list args;
    struct slot *s;
    va_start(args, name);
    s = expect(w, g, dim, 4, k == 1 ? 2 : -1, name, args);
    va_end(args);
    if (!s) return VALUE_NONE;
    if (make_hwio(w, s, out, in, (int64_t)k * k, &e)) return graph_fail(g, e.code, "%s", e.text);
    return graph_param(g, s->name, SHAPE(k, k, in, out), s->own_hwio);
}

const float *weights_float(struct weights *w, const char *name, int64_t count, struct err *e)
{
    struct slot *s = find(w, name);
    if (!s) {
        err_set(e, ERR_INPUT, "%s: %.160s is missing", w->label, name);
        return NULL;
    }
    if (stored_count(s->stored) != count) {
        err_set(e, ERR_INPUT, "%s: %.160s holds %" PRId64 " values, expected %" PRId64, w->label,
                name, stored_count(s->stored), count);
        return NULL;
    }
    return make_flat(w, s, e) ? NULL : s->flat;
}
