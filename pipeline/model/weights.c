/* weights.c - one component's tensors under one set of names, converted on first use.
 *
 * Memory. A float32 tensor that is aligned and wanted in file layout is used where it lies in the map, so that the ranks
 * of a host share its pages. All else is converted once onto a shelf, from where weights_close takes it, and what it was
 * converted from is given back, so that no tensor counts twice in the memory of a process.
 * A NaN or an infinity in a weight is refused on its first use: it would spread to every picture.
 * Which files there are is in weights_files.c, the two spellings of some names in weights_names.c.
 */
#include "pipeline/model/weights.h"
#include "base/arena.h"
#include "base/parallel.h"
#include "pipeline/model/weights_files.h"
#include "pipeline/model/weights_names.h"

#include <assert.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct slot {
    const char *name; /* as look-ups know it */
    const struct stored *stored;
    const float *flat; /* file layout: in the map, or = made_flat; NULL before first use */
    const void *made_flat, *hwio; /* on the shelf; NULL before first use */
    int flat_wanted, hwio_wanted; /* by a graph of a sketch */
};

struct weights {
    struct arena arena;
    const char *label; /* last component of the folder: "unet" */
    struct weights_files files;
    struct slot *slot; /* sorted by name */
    size_t n;
    int is_bare_text;           /* the file has no "text_model." level */
    int is_sketch;              /* weights_sketch */
    struct shelf alone, *shelf; /* of w itself; where things lie: that, or one that was lent */
    uint64_t first;             /* number of slot 0 there */
};

/* ---- the table ------------------------------------------------------------------------------------------------------- */

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
    char now[WEIGHTS_NAME_MOST], other[WEIGHTS_NAME_MOST + sizeof WEIGHTS_TEXT_LEVEL];
    struct slot *s;
    if (!weights_names_write(0, name, now)) return NULL;
    if ((s = find_exactly(w, now))) return s;
    if (weights_names_has_level(now)) return find_exactly(w, now + strlen(WEIGHTS_TEXT_LEVEL));
    snprintf(other, sizeof other, WEIGHTS_TEXT_LEVEL "%s", now);
    return weights_names_lacks_level(now) ? find_exactly(w, other) : NULL;
}

/* ---- opening -------------------------------------------------------------------------------------------------------- */

static enum code add_slot(struct weights *w, const struct stored *t, struct err *e)
{
    char name[WEIGHTS_NAME_MOST];
    if (weights_names_is_left_out(t->name)) return OK;
    if (!weights_names_write(w->is_bare_text, t->name, name))
        return err_set(e, ERR_INPUT, "%s: tensor name of %zu bytes: %.60s...", w->label,
                       strlen(t->name), t->name);
    w->slot[w->n] = (struct slot){.name = arena_strdup(&w->arena, name), .stored = t};
    if (!w->slot[w->n++].name)
        return err_set(e, ERR_NOMEM, "%s: no memory for the names of its tensors", w->label);
    return OK;
}

/* Sorts, and refuses two tensors of one name. */
static enum code end_table(struct weights *w, struct err *e)
{
    qsort(w->slot, w->n, sizeof *w->slot, by_name);
    for (size_t i = 1; i < w->n; i++)
        if (!strcmp(w->slot[i - 1].name, w->slot[i].name))
            return err_set(e, ERR_CORRUPT, "%s: tensor %.160s is there twice", w->label,
                           w->slot[i].name);
    return OK;
}

static enum code begin_table(struct weights *w, size_t most, struct err *e)
{
    w->slot = arena_alloc(&w->arena, (most + 1) * sizeof *w->slot);
    return w->slot ? OK : err_set(e, ERR_NOMEM, "%s: no memory for %zu tensors", w->label, most);
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
            has_level |= weights_names_has_level(name);
            has_bare |= weights_names_lacks_level(name);
        }
    }
    w->is_bare_text = has_bare && !has_level;
    if ((rc = begin_table(w, total, e))) return rc;
    for (size_t f = 0; f < w->files.n; f++)
        for (size_t i = 0; i < safetensors_count(w->files.file[f]); i++)
            if ((rc = add_slot(w, safetensors_at(w->files.file[f], i), e))) return rc;
    return end_table(w, e);
}

static const char *last_component(const char *dir, size_t *n)
{
    const char *end = dir + strlen(dir), *begin;
    while (end > dir + 1 && end[-1] == '/') end--;
    for (begin = end; begin > dir && begin[-1] != '/'; begin--) {}
    *n = (size_t)(end - begin);
    return begin;
}

static enum code make(struct weights **out, const char *label, size_t n_label, struct err *e)
{
    struct weights *w = *out = mem_alloc(1, sizeof *w);
    if (w) w->alone = shelf_private();
    if (w) w->shelf = &w->alone;
    if (w && (w->label = arena_printf(&w->arena, "%.*s", (int)n_label, label))) return OK;
    return err_set(e, ERR_NOMEM, "%.*s: no memory to open it", (int)n_label, label);
}

enum code weights_open(struct weights **out, const char *dir, const char *stem, struct err *e)
{
    enum code rc;
    size_t n_label;
    const char *label = last_component(dir, &n_label);
    struct weights *w;
    *out = NULL;
    if ((rc = make(&w, label, n_label, e))) goto close;
    if ((rc = weights_files_open(&w->files, dir, stem, e))) goto close;
    if ((rc = fill_table(w, e))) goto close;
    *out = w;
    w = NULL;
close:
    weights_close(w);
    return rc;
}

enum code weights_view(struct weights **out, const char *label, const struct stored *t, size_t n,
                       struct err *e)
{
    enum code rc;
    struct weights *w;
    *out = NULL;
    if ((rc = make(&w, label, strlen(label), e))) goto close;
    if ((rc = begin_table(w, n, e))) goto close;
    for (; w->n < n; w->n++)
        w->slot[w->n] = (struct slot){.name = t[w->n].name, .stored = &t[w->n]};
    if ((rc = end_table(w, e))) goto close;
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
        w->shelf->put(w->shelf, w->slot[i].made_flat);
        w->shelf->put(w->shelf, w->slot[i].hwio);
    }
    weights_files_close(&w->files);
    arena_fini(&w->arena);
    free(w);
}

void weights_shelve(struct weights *w, struct shelf *s, uint64_t first)
{
    for (size_t i = 0; i < w->n; i++) assert(!w->slot[i].made_flat && !w->slot[i].hwio);
    w->shelf = s;
    w->first = first;
}

const struct stored *weights_find(const struct weights *w, const char *name)
{
    const struct slot *s = find(w, name);
    return s ? s->stored : NULL;
}

size_t weights_count(const struct weights *w)
{
    return w->n;
}

const struct stored *weights_at(const struct weights *w, size_t i, const char **name)
{
    *name = w->slot[i].name;
    return w->slot[i].stored;
}

/* ---- the hash ------------------------------------------------------------------------------------------------------- */

static char *stored_shape(const struct stored *t, char out[160])
{
    int at = snprintf(out, 160, "[");
    for (int i = 0; i < t->rank; i++)
        at += snprintf(out + at, 160 - (size_t)at, "%s%" PRId64, i ? ", " : "", t->dim[i]);
    snprintf(out + at, 160 - (size_t)at, "]");
    return out;
}

struct leaves {
    const struct slot *slot;
    struct hash *hash;
};

static void hash_leaf(void *args, long i)
{
    const struct leaves *l = args;
    l->hash[i] = hash_bytes(l->slot[i].stored->data, l->slot[i].stored->bytes);
    stored_release(l->slot[i].stored);
}

static void hash_line(struct hash_stream *all, const struct slot *s, struct hash leaf)
{
    static const char *const type[] = {"F32", "F16", "BF16", "F64",  "I64",  "I32",
                                       "I16", "I8",  "U8",   "BOOL", "OTHER"};
    char shape[160], hex[HASH_TEXT];
    stored_shape(s->stored, shape);
    hash_add(all, s->name, strlen(s->name));
    hash_add(all, " ", 1);
    hash_add(all, type[s->stored->dtype], strlen(type[s->stored->dtype]));
    hash_add(all, " ", 1);
    hash_add(all, shape, strlen(shape));
    hash_add(all, " ", 1);
    hash_add(all, hash_text(leaf, hex), HASH_TEXT - 1);
    hash_add(all, "\n", 1);
}

/* One line per tensor, in order of names: "name TYPE [2, 3] <sha256 of its bytes>\n"; the hash is that of all lines. The
 * threads share the tensors: a checkpoint of 4 GB takes seconds on one. */
struct hash weights_hash(const struct weights *w)
{
    struct hash result = {{0}};
    struct leaves l = {w->slot, mem_alloc(w->n + 1, sizeof *l.hash)};
    struct hash_stream *all = hash_begin();
    if (all && l.hash) {
        parallel_for((long)w->n, hash_leaf, &l);
        for (size_t i = 0; i < w->n; i++) hash_line(all, &w->slot[i], l.hash[i]);
        result = hash_end(all);
        all = NULL;
    }
    hash_end(all);
    free(l.hash);
    return result;
}

/* ---- the check ------------------------------------------------------------------------------------------------------ */

enum code weights_check(const struct weights *w, struct err *e)
{
    enum code rc = OK;
    for (size_t i = 0; i < w->n && !rc; i++)
        if ((rc = stored_check_finite(w->slot[i].stored, e))) err_context(e, "%s", w->label);
    return rc;
}

/* ---- conversion ----------------------------------------------------------------------------------------------------- */

/* Blocks without a branch per value: this reads every weight of the model once. */
static enum code check_finite(const struct weights *w, const struct slot *s, const float *data,
                              struct err *e)
{
    int64_t n = stored_count(s->stored);
    for (int64_t begin = 0; begin < n; begin += 4096) {
        int64_t end = begin + 4096 < n ? begin + 4096 : n, i = begin;
        int bad = 0;
        for (int64_t k = begin; k < end; k++) bad |= !(fabsf(data[k]) <= FLT_MAX);
        if (!bad) continue;
        while (isfinite(data[i])) i++;
        return err_set(e, ERR_CORRUPT,
                       "%s: %.160s holds %s at element %" PRId64 "; the checkpoint is damaged",
                       w->label, s->name, isnan(data[i]) ? "a NaN" : "an infinity", i);
    }
    return OK;
}

/* Writes values in file layout to out[count]. */
static enum code convert(const struct weights *w, const struct slot *s, float *out, struct err *e)
{
    enum code rc = stored_to_float(s->stored, out, e);
    if (rc) return err_context(e, "%s", w->label);
    return check_finite(w, s, out, e);
}

static enum code no_memory(const struct weights *w, const struct slot *s, struct err *e)
{
    return err_set(e, ERR_NOMEM, "%s: no memory for %.160s (%" PRId64 " floats)", w->label, s->name,
                   stored_count(s->stored));
}

/* Where the tensor can be read as floats without a copy; NULL: it must be converted. */
static const float *in_place(const struct stored *t)
{
    if (t->dtype != STORED_F32 || (uintptr_t)t->data % _Alignof(float)) return NULL;
    return (const float *)(const void *)t->data;
}

/* What a shelf asks for: one tensor in one of its two layouts. */
struct making {
    const struct weights *w;
    const struct slot *s;
    int64_t O, I, K; /* of hwio */
};

/* The number tells the layouts of a tensor apart: 0 as in the file, 1 hwio. */
static enum code get(struct making *m, int layout, shelf_make_fn *how, const void **out,
                     struct err *e)
{
    const struct weights *w = m->w;
    struct shelf_item item = {.number =
                                  w->first + 2 * (uint64_t)(m->s - w->slot) + (uint64_t)layout,
                              .bytes = (size_t)stored_count(m->s->stored) * sizeof(float),
                              .make = how,
                              .self = m};
    enum code rc = w->shelf->get(w->shelf, &item, out, e);
    if (!rc) stored_release(m->s->stored);
    return rc == ERR_NOMEM ? no_memory(w, m->s, e) : rc;
}

static enum code make_flat(void *self, void *memory, struct err *e)
{
    struct making *m = self;
    return convert(m->w, m->s, memory, e);
}

static enum code want_flat(struct weights *w, struct slot *s, struct err *e)
{
    enum code rc;
    const float *mapped = in_place(s->stored);
    if (s->flat) return OK;
    if (mapped) {
        if ((rc = check_finite(w, s, mapped, e))) return rc;
        s->flat = mapped;
        return OK;
    }
    struct making m = {.w = w, .s = s};
    if ((rc = get(&m, 0, make_flat, &s->made_flat, e))) return rc;
    s->flat = s->made_flat;
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

static enum code make_hwio(void *self, void *memory, struct err *e)
{
    const struct making *m = self;
    const float *from = m->s->flat ? m->s->flat : in_place(m->s->stored);
    float *copy = NULL;
    enum code rc;
    if (from) {
        rc = check_finite(m->w, m->s, from, e);
    } else {
        from = copy = mem_alloc((size_t)stored_count(m->s->stored) + 1, sizeof *copy);
        rc = copy ? convert(m->w, m->s, copy, e) : no_memory(m->w, m->s, e);
    }
    if (!rc) permute(from, memory, m->O, m->I, m->K);
    free(copy);
    return rc;
}

static enum code want_hwio(struct weights *w, struct slot *s, int64_t O, int64_t I, int64_t K,
                           struct err *e)
{
    struct making m = {.w = w, .s = s, .O = O, .I = I, .K = K};
    return s->hwio ? OK : get(&m, 1, make_hwio, &s->hwio, e);
}

/* ---- parameters of a graph ------------------------------------------------------------------------------------------ */

static int has_shape(const struct stored *t, const int64_t *dim, int rank)
{
    return t->rank == rank && !memcmp(t->dim, dim, (size_t)rank * sizeof *dim);
}

/* The slot of a formatted name if its shape is dim[rank], or dim[other_rank] when other_rank is not -1. NULL: the graph
 * carries the reason. */
__attribute__((format(printf, 6, 0))) static struct slot *expect(struct weights *w, struct graph *g,
                                                                 const int64_t *dim, int rank,
                                                                 int other_rank, const char *fmt,
                                                                 va_list args)
{
    char name[WEIGHTS_NAME_MOST], got[160], want[160];
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
    s->flat_wanted = 1;
    if (w->is_sketch) return graph_param(g, s->name, shape, NULL);
    if (want_flat(w, s, &e)) return graph_fail(g, e.code, "%s", e.text);
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
    s->hwio_wanted = 1;
    if (w->is_sketch) return graph_param(g, s->name, SHAPE(k, k, in, out), NULL);
    if (want_hwio(w, s, out, in, (int64_t)k * k, &e)) return graph_fail(g, e.code, "%s", e.text);
    return graph_param(g, s->name, SHAPE(k, k, in, out), s->hwio);
}

void weights_sketch(struct weights *w, int on)
{
    w->is_sketch = on;
}

struct weights_use weights_use(const struct weights *w)
{
    struct weights_use use = {0};
    for (size_t i = 0; i < w->n; i++) {
        const struct slot *s = &w->slot[i];
        size_t floats = (size_t)stored_count(s->stored) * sizeof(float);
        if ((s->flat || s->flat_wanted) && in_place(s->stored)) use.mapped += s->stored->bytes;
        if (s->made_flat || (s->flat_wanted && !in_place(s->stored))) use.converted += floats;
        if (s->hwio || s->hwio_wanted) use.converted += floats;
    }
    return use;
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
    return want_flat(w, s, e) ? NULL : s->flat;
}
