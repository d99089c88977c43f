/* safetensors.c - reads a checkpoint: header first, distrusted in every word, then pointers into the data.
 *
 *     +--------+-------------------------+----------------------------------+
 *     | n (u64)| JSON header, n bytes    | tensor data, no gap, no overlap  |
 *     +--------+-------------------------+----------------------------------+
 *
 * What holds once safetensors_parse has returned OK:
 * 1. Every tensor's [data, data + bytes) lies inside the buffer and bytes = product(dim) * element size.
 * 2. In file order each tensor begins where the one before it ended; the first begins at 0, the last ends the file.
 * 3. Names are unique and are UTF-8.
 * Python pickles (.bin, .ckpt, .pt) are known by their first bytes and never touched further: loading one runs code.
 */
#include "pipeline/model/safetensors.h"
#include "base/arena.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The limit of the reference reader: no real header comes near it, and a lie about it must not cost memory. */
#define HEADER_LIMIT 100000000u

struct safetensors {
    struct file_map map;          /* empty when parsed from the caller's bytes */
    struct arena arena;           /* everything below */
    const char *name;             /* for messages: path or what the caller calls it */
    struct stored *tensor;        /* in file order */
    const struct stored **sorted; /* by name */
    size_t n;
    const char **metadata; /* key, value, key, value ... */
    size_t n_metadata;
};

/* Bits per element of every type the format knows. STORED_OTHER: legal in a file, never converted. */
static const struct {
    const char *name;
    enum stored_dtype dtype;
    int bits;
} dtypes[] = {
    {"F32", STORED_F32, 32},
    {"F16", STORED_F16, 16},
    {"BF16", STORED_BF16, 16},
    {"F64", STORED_F64, 64},
    {"I64", STORED_I64, 64},
    {"I32", STORED_I32, 32},
    {"I16", STORED_I16, 16},
    {"I8", STORED_I8, 8},
    {"U8", STORED_U8, 8},
    {"BOOL", STORED_BOOL, 8},
    {"U16", STORED_OTHER, 16},
    {"U32", STORED_OTHER, 32},
    {"U64", STORED_OTHER, 64},
    {"C64", STORED_OTHER, 64},
    {"F8_E4M3", STORED_OTHER, 8},
    {"F8_E5M2", STORED_OTHER, 8},
    {"F8_E8M0", STORED_OTHER, 8},
    {"F8_E4M3FNUZ", STORED_OTHER, 8},
    {"F8_E5M2FNUZ", STORED_OTHER, 8},
    {"F4", STORED_OTHER, 4},
    {"F6_E2M3", STORED_OTHER, 6},
    {"F6_E3M2", STORED_OTHER, 6},
};
#define N_DTYPES (sizeof dtypes / sizeof *dtypes)

static enum code no_memory(const char *name, struct err *e)
{
    return err_set(e, ERR_NOMEM, "%s: no memory for its header", name);
}

/* A zip archive, a bare pickle or a tar: what torch.save has written over the years. */
static int is_pickle(const uint8_t *d, size_t n)
{
    if (n >= 4 && !memcmp(d, "PK\003\004", 4)) return 1;
    if (n >= 2 && d[0] == 0x80 && d[1] >= 2 && d[1] <= 5) return 1;
    return n >= 262 && !memcmp(d + 257, "ustar", 5);
}

/* Checks the first nine bytes. A pickle can only be told by bytes that make no sense here: "\x80\x02" also begins a
 * sound header of 640 bytes. */
static enum code read_length(const uint8_t *d, size_t n, const char *name, size_t *length,
                             struct err *e)
{
    uint64_t v = 0;
    for (size_t i = 0; i < 8 && i < n; i++) v |= (uint64_t)d[i] << (8 * i);
    int is_lie = n < 8 || v > HEADER_LIMIT || v > n - 8;
    if ((is_lie || v == 0 || d[8] != '{') && is_pickle(d, n))
        return err_set(
            e, ERR_INPUT,
            "%s is a Python pickle, and loading one runs code; convert it with safetensors "
            "(in Python: safetensors.torch.save_file(torch.load(f, weights_only=True), out))",
            name);
    if (n < 8)
        return err_set(
            e, ERR_CORRUPT,
            "%s: %zu bytes are too short for a safetensors file, which begins with an 8-byte "
            "header length",
            name, n);
    if (v > HEADER_LIMIT)
        return err_set(e, ERR_CORRUPT,
                       "%s: header length %" PRIu64 " is over the limit of %u bytes; this is not a "
                       "safetensors file",
                       name, v, HEADER_LIMIT);
    if (v > n - 8)
        return err_set(e, ERR_CORRUPT,
                       "%s: header length %" PRIu64
                       " does not fit in a file of %zu bytes; the file is cut "
                       "short or not safetensors",
                       name, v, n);
    *length = (size_t)v;
    return OK;
}

static enum code parse_header(const uint8_t *d, size_t length, const char *name, json_t **root,
                              struct err *e)
{
    json_error_t why;
    *root = json_loadb((const char *)d, length, JSON_REJECT_DUPLICATES, &why);
    if (!*root) {
        if (!why.text[0])
            return no_memory(name, e); /* jansson says nothing when its first allocations fail */
        switch (json_error_code(&why)) {
        case json_error_out_of_memory: return no_memory(name, e);
        case json_error_invalid_utf8:
            return err_set(e, ERR_CORRUPT, "%s: header is not UTF-8", name);
        case json_error_duplicate_key:
            return err_set(e, ERR_CORRUPT, "%s: header names a tensor or field twice: %s", name,
                           why.text);
        default:
            return err_set(e, ERR_CORRUPT, "%s: header is not JSON: line %d column %d: %s", name,
                           why.line, why.column, why.text);
        }
    }
    if (json_is_object(*root)) return OK;
    json_decref(*root);
    *root = NULL;
    return err_set(e, ERR_CORRUPT, "%s: header is not a JSON object", name);
}

static enum code read_metadata(struct safetensors *s, json_t *object, struct err *e)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return err_set(e, ERR_CORRUPT, "%s: __metadata__ is not an object of strings", s->name);
    s->metadata = arena_alloc(&s->arena, (2 * json_object_size(object) + 1) * sizeof *s->metadata);
    if (!s->metadata) return no_memory(s->name, e);
    json_object_foreach(object, key, value)
    {
        if (!json_is_string(value))
            return err_set(e, ERR_CORRUPT, "%s: __metadata__ %s is not a string", s->name, key);
        const char **pair = &s->metadata[2 * s->n_metadata++];
        pair[0] = arena_strdup(&s->arena, key);
        pair[1] = arena_strdup(&s->arena, json_string_value(value));
        if (!pair[0] || !pair[1]) return no_memory(s->name, e);
    }
    return OK;
}

/* An integer that is one: not negative, not a fraction, not text. */
static int read_count(const json_t *v, int64_t *out)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0) return 0;
    *out = json_integer_value(v);
    return 1;
}

static enum code read_shape(const char *file, const json_t *shape, struct stored *t, struct err *e)
{
    if (!json_is_array(shape))
        return err_set(e, ERR_CORRUPT, "%s: tensor %.160s has no shape array", file, t->name);
    if (json_array_size(shape) > STORED_RANK)
        return err_set(e, ERR_INPUT, "%s: tensor %.160s has %zu dimensions; at most %d are read",
                       file, t->name, json_array_size(shape), STORED_RANK);
    t->rank = (int)json_array_size(shape);
    for (int i = 0; i < t->rank; i++)
        if (!read_count(json_array_get(shape, (size_t)i), &t->dim[i]))
            return err_set(e, ERR_CORRUPT,
                           "%s: tensor %.160s: dimension %d is not a whole number of 0 or more",
                           file, t->name, i);
    return OK;
}

/* bytes = product(dim) * bits / 8, or the reason why not. */
static enum code check_size(const char *file, const struct stored *t, int bits, uint64_t bytes,
                            struct err *e)
{
    uint64_t count = 1, total;
    for (int i = 0; i < t->rank; i++)
        if (__builtin_mul_overflow(count, (uint64_t)t->dim[i], &count)) goto overflow;
    if (__builtin_mul_overflow(count, (uint64_t)bits, &total)) goto overflow;
    if (total % 8)
        return err_set(e, ERR_CORRUPT,
                       "%s: tensor %.160s holds %" PRIu64
                       " elements of %d bits, which do not fill whole "
                       "bytes",
                       file, t->name, count, bits);
    if (total / 8 != bytes)
        return err_set(e, ERR_CORRUPT,
                       "%s: tensor %.160s: its shape needs %" PRIu64
                       " bytes, its data_offsets give %" PRIu64,
                       file, t->name, total / 8, bytes);
    return OK;
overflow:
    return err_set(e, ERR_CORRUPT, "%s: tensor %.160s: its shape overflows", file, t->name);
}

/* A tensor and where it claims to be; a pointer is made of it only when the claim has been checked. */
struct placed {
    struct stored t;
    uint64_t begin;
};

static enum code read_place(const char *file, const json_t *offsets, struct placed *p,
                            struct err *e)
{
    int64_t begin, end;
    if (json_array_size(offsets) != 2 || !read_count(json_array_get(offsets, 0), &begin) ||
        !read_count(json_array_get(offsets, 1), &end))
        return err_set(e, ERR_CORRUPT, "%s: tensor %.160s: data_offsets are not two whole numbers",
                       file, p->t.name);
    if (end < begin)
        return err_set(e, ERR_CORRUPT, "%s: tensor %.160s: data_offsets end before they begin",
                       file, p->t.name);
    p->begin = (uint64_t)begin;
    p->t.bytes = (size_t)(end - begin);
    return OK;
}

static enum code read_tensor(const char *file, const json_t *entry, struct placed *p, struct err *e)
{
    struct stored *t = &p->t;
    size_t d = 0;
    enum code rc;
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    if (!json_is_object(entry))
        return err_set(e, ERR_CORRUPT, "%s: tensor %.160s is not described by an object", file,
                       t->name);
    if (!dtype) return err_set(e, ERR_CORRUPT, "%s: tensor %.160s has no dtype", file, t->name);
    while (d < N_DTYPES && strcmp(dtype, dtypes[d].name) != 0) d++;
    if (d == N_DTYPES)
        return err_set(e, ERR_CORRUPT, "%s: tensor %.160s has unknown dtype %.40s", file, t->name,
                       dtype);
    t->dtype = dtypes[d].dtype;
    if ((rc = read_shape(file, json_object_get(entry, "shape"), t, e))) return rc;
    if ((rc = read_place(file, json_object_get(entry, "data_offsets"), p, e))) return rc;
    return check_size(file, t, dtypes[d].bits, t->bytes, e);
}

static int by_place(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->t.bytes < y->t.bytes ? -1 : x->t.bytes > y->t.bytes;
}

static int by_name(const void *a, const void *b)
{
    const struct stored *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Tensors in order must tile [0, room) exactly. */
static enum code check_layout(const char *file, const struct placed *p, size_t n, size_t room,
                              struct err *e)
{
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i].begin != at)
            return err_set(
                e, ERR_CORRUPT,
                "%s: tensor %.160s begins at byte %" PRIu64 " of the data, but the one before it "
                "ends at %" PRIu64 " (%s)",
                file, p[i].t.name, p[i].begin, at, p[i].begin > at ? "a hole" : "an overlap");
        at += p[i].t.bytes; /* both below 2^63 */
        if (at > room)
            return err_set(e, ERR_CORRUPT,
                           "%s: data is cut short: tensor %.160s ends at byte %" PRIu64
                           ", the file has %zu "
                           "bytes of data",
                           file, p[i].t.name, at, room);
    }
    if (at != room)
        return err_set(e, ERR_CORRUPT, "%s: %zu bytes after the last tensor belong to nothing",
                       file, room - (size_t)at);
    return OK;
}

/* All entries of the header into placed, in the header's order. Names are copied: the JSON will be freed. */
static enum code read_tensors(struct safetensors *s, json_t *root, struct placed *placed,
                              struct err *e)
{
    const char *key;
    json_t *value;
    enum code rc = OK;
    json_object_foreach(root, key, value)
    {
        if (!strcmp(key, "__metadata__")) {
            rc = read_metadata(s, value, e);
        } else {
            struct placed *p = &placed[s->n++];
            p->t.name = arena_strdup(&s->arena, key);
            rc = p->t.name ? read_tensor(s->name, value, p, e) : no_memory(s->name, e);
        }
        if (rc) return rc;
    }
    return OK;
}

static enum code fill(struct safetensors *s, json_t *root, const uint8_t *data, size_t room,
                      struct err *e)
{
    size_t most = json_object_size(root) + 1;
    enum code rc = ERR_NOMEM;
    struct placed *placed = mem_alloc(most, sizeof *placed);
    s->tensor = arena_alloc(&s->arena, most * sizeof *s->tensor);
    s->sorted = arena_alloc(&s->arena, most * sizeof(void *));
    if (!placed || !s->tensor || !s->sorted) {
        rc = no_memory(s->name, e);
        goto free_placed;
    }
    if ((rc = read_tensors(s, root, placed, e))) goto free_placed;
    qsort(placed, s->n, sizeof *placed, by_place);
    if ((rc = check_layout(s->name, placed, s->n, room, e))) goto free_placed;
    for (size_t i = 0; i < s->n; i++) {
        s->tensor[i] = placed[i].t;
        s->tensor[i].data = data + placed[i].begin;
        s->tensor[i].map = &s->map;
        s->sorted[i] = &s->tensor[i];
    }
    qsort(s->sorted, s->n, sizeof(void *), by_name);
free_placed:
    free(placed);
    return rc;
}

enum code safetensors_parse(struct safetensors **out, const uint8_t *data, size_t bytes,
                            const char *name, struct err *e)
{
    size_t length = 0;
    json_t *root = NULL;
    struct safetensors *s = NULL;
    enum code rc = read_length(data, bytes, name, &length, e);
    *out = NULL;
    if (rc || (rc = parse_header(data + 8, length, name, &root, e))) return rc;
    s = mem_alloc(1, sizeof *s);
    if (!s || !(s->name = arena_strdup(&s->arena, name))) {
        rc = no_memory(name, e);
        goto free_s;
    }
    if ((rc = fill(s, root, data + 8 + length, bytes - 8 - length, e))) goto free_s;
    *out = s;
    s = NULL;
free_s:
    safetensors_close(s);
    json_decref(root);
    return rc;
}

enum code safetensors_open(struct safetensors **out, const char *path, struct err *e)
{
    struct file_map map;
    struct safetensors *s = NULL;
    enum code rc = file_map_open(&map, path, e);
    *out = NULL;
    if (rc) return rc;
    rc = safetensors_parse(&s, map.data, map.n, path, e);
    if (s) s->map = map;
    else file_map_close(&map);
    *out = s;
    return rc;
}

void safetensors_close(struct safetensors *s)
{
    if (!s) return;
    if (s->map.data) file_map_close(&s->map);
    arena_fini(&s->arena);
    free(s);
}

size_t safetensors_count(const struct safetensors *s)
{
    return s->n;
}

const struct stored *safetensors_at(const struct safetensors *s, size_t i)
{
    return &s->tensor[i];
}

const struct stored *safetensors_find(const struct safetensors *s, const char *name)
{
    struct stored key = {.name = name};
    const struct stored *pointer = &key;
    const struct stored **found = bsearch(&pointer, s->sorted, s->n, sizeof(void *), by_name);
    return found ? *found : NULL;
}

const char *safetensors_metadata(const struct safetensors *s, const char *key)
{
    for (size_t i = 0; i < s->n_metadata; i++)
        if (!strcmp(s->metadata[2 * i], key)) return s->metadata[2 * i + 1];
    return NULL;
}
