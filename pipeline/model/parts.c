/* parts.c - how a part gets its tensors and gives its results, between files (NCHW, diffusers' names) and graphs (NHWC). */
#include "pipeline/model/parts.h"

#include <assert.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct part *part_find(const struct part_table *const *tables, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < tables[i]->n; j++)
            if (strcmp(tables[i]->part[j].name, name) == 0) return &tables[i]->part[j];
    return NULL;
}

/* ---- options ---- */

static struct part_option *option_find(struct part_option *o, const char *name)
{
    for (int i = 0; i < PART_OPTIONS && o[i].name; i++)
        if (strcmp(o[i].name, name) == 0) return &o[i];
    return NULL;
}

static enum code option_set(struct part_option *o, const char *path, const json_t *value,
                            struct arena *a, struct err *e)
{
    if (!o->n) {
        if (!json_is_string(value))
            return err_set(e, ERR_INPUT, "%s: %s is not a text", path, o->name);
        o->text = arena_strdup(a, json_string_value(value));
        return o->text ? OK : err_set(e, ERR_NOMEM, "%s: out of memory", path);
    }
    int n = json_is_array(value) ? (int)json_array_size(value) : 1;
    if (n != o->n)
        return err_set(e, ERR_INPUT, "%s: %s needs %d number%s", path, o->name, o->n,
                       o->n > 1 ? "s" : "");
    for (int i = 0; i < n; i++) {
        const json_t *v = json_is_array(value) ? json_array_get(value, (size_t)i) : value;
        if (!json_is_number(v))
            return err_set(e, ERR_INPUT, "%s: %s is not a number", path, o->name);
        o->v[i] = json_number_value(v);
    }
    return OK;
}

static enum code options_read(struct part_run *r, const char *part, const char *path, struct err *e)
{
    json_error_t why;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    if (!root) return err_set(e, ERR_INPUT, "%s:%d:%d: %s", path, why.line, why.column, why.text);
    enum code rc = OK;
    const char *name;
    json_t *value;
    if (!json_is_object(root))
        rc = err_set(e, ERR_INPUT, "%s: a JSON object of options is expected", path);
    json_object_foreach(root, name, value)
    {
        struct part_option *o = option_find(r->option, name);
        if (rc) break;
        if (o) rc = option_set(o, path, value, &r->arena, e);
        else rc = err_set(e, ERR_INPUT, "%s: part %s has no option \"%s\"", path, part, name);
    }
    json_decref(root);
    return rc;
}

static const struct part_option *option_of(const struct part_run *r, const char *name)
{
    for (int j = 0; j < PART_OPTIONS && r->option[j].name; j++)
        if (strcmp(r->option[j].name, name) == 0) return &r->option[j];
    assert(!"an option that the part declares");
    return &r->option[0];
}

double part_number(const struct part_run *r, const char *name, int i)
{
    return option_of(r, name)->v[i];
}

const char *part_text(const struct part_run *r, const char *name)
{
    return option_of(r, name)->text;
}

/* ---- life ---- */

enum code part_open(struct part_run *r, const struct part *p, const char *model,
                    const struct kernels *k, const char *in, const char *options, struct err *e)
{
    *r = (struct part_run){.model = model, .in_path = in, .kernels = k};
    memcpy(r->option, p->option, sizeof r->option);
    enum code rc = options ? options_read(r, p->name, options, e) : OK;
    if (!rc) rc = safetensors_open(&r->in, in, e);
    if (!rc) return OK;
    r->in = NULL;
    arena_fini(&r->arena);
    return rc;
}

void part_close(struct part_run *r)
{
    safetensors_close(r->in);
    arena_fini(&r->arena);
    *r = (struct part_run){0};
}

/* ---- in ---- */

static enum code no_memory(const char *name, struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for tensor %s", name);
}

static enum code input_find(const struct part_run *r, const char *name, int rank, int64_t *dim,
                            const struct stored **out, struct err *e)
{
    const struct stored *t = *out = safetensors_find(r->in, name);
    if (!t) return err_set(e, ERR_INPUT, "%s: there is no tensor \"%s\"", r->in_path, name);
    if (t->rank != rank)
        return err_set(e, ERR_INPUT, "%s: %s has %d dimensions, expected %d", r->in_path, name,
                       t->rank, rank);
    for (int i = 0; i < rank; i++) {
        if (t->dim[i] < 1 || (dim[i] >= 0 && dim[i] != t->dim[i]))
            return err_set(e, ERR_INPUT, "%s: dimension %d of %s is %lld, expected %lld",
                           r->in_path, i, name, (long long)t->dim[i],
                           (long long)(dim[i] < 0 ? 1 : dim[i]));
        dim[i] = t->dim[i];
    }
    return OK;
}

enum code part_floats(struct part_run *r, const char *name, int rank, int64_t *dim, float **out,
                      struct err *e)
{
    const struct stored *t;
    enum code rc = input_find(r, name, rank, dim, &t, e);
    if (rc) return rc;
    *out = arena_alloc(&r->arena, (size_t)stored_count(t) * sizeof **out);
    return *out ? stored_to_float(t, *out, e) : no_memory(name, e);
}

enum code part_ints(struct part_run *r, const char *name, int rank, int64_t *dim, int64_t least,
                    int64_t most, int32_t **out, struct err *e)
{
    const struct stored *t;
    enum code rc = input_find(r, name, rank, dim, &t, e);
    if (rc) return rc;
    int64_t n = stored_count(t), *wide = arena_alloc(&r->arena, (size_t)n * sizeof *wide);
    *out = arena_alloc(&r->arena, (size_t)n * sizeof **out);
    if (!wide || !*out) return no_memory(name, e);
    if ((rc = stored_to_int(t, wide, e))) return rc;
    for (int64_t i = 0; i < n; i++) {
        if (wide[i] < least || wide[i] > most)
            return err_set(e, ERR_INPUT, "%s: value %lld of %s is %lld, expected %lld to %lld",
                           r->in_path, (long long)i, name, (long long)wide[i], (long long)least,
                           (long long)most);
        (*out)[i] = (int32_t)wide[i];
    }
    return OK;
}

enum code part_image(struct part_run *r, const char *name, int64_t dim[4], float **out,
                     struct err *e)
{
    float *nchw;
    enum code rc = part_floats(r, name, 4, dim, &nchw, e);
    if (rc) return rc;
    int64_t C = dim[1], HW = dim[2] * dim[3];
    float *nhwc = *out = arena_alloc(&r->arena, (size_t)(dim[0] * C * HW) * sizeof *nhwc);
    if (!nhwc) return no_memory(name, e);
    for (int64_t n = 0; n < dim[0]; n++)
        for (int64_t c = 0; c < C; c++)
            for (int64_t p = 0; p < HW; p++)
                nhwc[(n * HW + p) * C + c] = nchw[(n * C + c) * HW + p];
    return OK;
}

/* ---- out ---- */

static enum code give(struct part_run *r, struct stored_entry entry, struct err *e)
{
    if (r->n_out == r->room_out) {
        size_t room = r->room_out ? 2 * r->room_out : 16;
        struct stored_entry *bigger = arena_alloc(&r->arena, room * sizeof *bigger);
        if (!bigger) return no_memory(entry.name, e);
        if (r->n_out) memcpy(bigger, r->out, r->n_out * sizeof *bigger);
        r->out = bigger;
        r->room_out = room;
    }
    r->out[r->n_out++] = entry;
    return OK;
}

static size_t element_bytes(enum stored_dtype dtype)
{
    assert(dtype == STORED_F32 || dtype == STORED_U8); /* what parts give */
    return dtype == STORED_F32 ? 4 : 1;
}

enum code part_give(struct part_run *r, enum stored_dtype dtype, int rank, const int64_t *dim,
                    const void *data, struct err *e, const char *name, ...)
{
    char text[200];
    va_list args;
    va_start(args, name);
    vsnprintf(text, sizeof text, name, args);
    va_end(args);
    struct stored_entry entry = {
        .dtype = dtype, .rank = rank, .name = arena_strdup(&r->arena, text)};
    size_t bytes = element_bytes(dtype);
    for (int i = 0; i < rank; i++) bytes *= (size_t)(entry.dim[i] = dim[i]);
    entry.data = arena_copy(&r->arena, data, bytes);
    if (!entry.name || !entry.data) return no_memory(text, e);
    return give(r, entry, e);
}

enum code part_give_image(struct part_run *r, const int64_t dim[4], const float *data,
                          struct err *e, const char *name)
{
    int64_t C = dim[1], HW = dim[2] * dim[3];
    float *nchw = arena_alloc(&r->arena, (size_t)(dim[0] * C * HW) * sizeof *nchw);
    if (!nchw) return no_memory(name, e);
    for (int64_t n = 0; n < dim[0]; n++)
        for (int64_t c = 0; c < C; c++)
            for (int64_t p = 0; p < HW; p++)
                nchw[(n * C + c) * HW + p] = data[(n * HW + p) * C + c];
    return part_give(r, STORED_F32, 4, dim, nchw, e, "%s", name);
}
