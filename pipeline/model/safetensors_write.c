/* safetensors_write.c - encodes a checkpoint, byte for byte as the reference writer would.
 *
 * Order: widest type first (so that all data is aligned), among the types of one width the reference's own order, then by
 * name. The header is padded with spaces to a multiple of 8.
 */
#include "base/arena.h"
#include "pipeline/model/safetensors.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Indexed by enum stored_dtype. `order` is the reference's: higher is written earlier. */
static const struct {
    const char *name;
    int bytes, order;
} kinds[] = {
    [STORED_F32] = {"F32", 4, 6},    [STORED_F16] = {"F16", 2, 3}, [STORED_BF16] = {"BF16", 2, 4},
    [STORED_F64] = {"F64", 8, 7},    [STORED_I64] = {"I64", 8, 8}, [STORED_I32] = {"I32", 4, 5},
    [STORED_I16] = {"I16", 2, 2},    [STORED_I8] = {"I8", 1, 1},   [STORED_U8] = {"U8", 1, 0},
    [STORED_BOOL] = {"BOOL", 1, -1},
};

static size_t entry_bytes(const struct stored_entry *t)
{
    size_t n = (size_t)kinds[t->dtype].bytes;
    for (int i = 0; i < t->rank; i++) n *= (size_t)t->dim[i];
    return n;
}

static int by_reference(const void *a, const void *b)
{
    const struct stored_entry *const *px = a, *const *py = b;
    const struct stored_entry *x = *px, *y = *py;
    if (x->dtype != y->dtype) return kinds[y->dtype].order - kinds[x->dtype].order;
    return strcmp(x->name, y->name);
}

static int add_metadata(json_t *root, const char *const *metadata)
{
    json_t *object;
    if (!metadata || !metadata[0]) return 0;
    object = json_object();
    for (; metadata[0]; metadata += 2)
        if (json_object_set_new(object, metadata[0], json_string(metadata[1]))) {
            json_decref(object);
            return -1;
        }
    return json_object_set_new(root, "__metadata__", object);
}

static int add_entry(json_t *root, const struct stored_entry *t, size_t begin, size_t end)
{
    json_t *shape = json_array();
    for (int i = 0; i < t->rank; i++) json_array_append_new(shape, json_integer(t->dim[i]));
    return json_object_set_new(root, t->name,
                               json_pack("{s:s, s:o, s:[I,I]}", "dtype", kinds[t->dtype].name,
                                         "shape", shape, "data_offsets", (json_int_t)begin,
                                         (json_int_t)end));
}

/* The header as text; free() it. */
static enum code header_text(const struct stored_entry *const *order, size_t n,
                             const char *const *metadata, char **text, struct err *e)
{
    enum code rc = OK;
    size_t at = 0;
    json_t *root = json_object();
    if (!root || add_metadata(root, metadata)) goto no_memory;
    for (size_t i = 0; i < n; i++) {
        size_t bytes = entry_bytes(order[i]);
        if (!strcmp(order[i]->name, "__metadata__") || json_object_get(root, order[i]->name)) {
            rc = err_set(e, ERR_INPUT, "cannot write two tensors named %.160s", order[i]->name);
            goto free_root;
        }
        if (add_entry(root, order[i], at, at + bytes)) goto no_memory;
        at += bytes;
    }
    if ((*text = json_dumps(root, JSON_COMPACT))) goto free_root;
no_memory:
    rc = err_set(e, ERR_NOMEM, "no memory for a safetensors header, or a name in it is not UTF-8");
free_root:
    json_decref(root);
    return rc;
}

static enum code assemble(const struct stored_entry *const *order, size_t n, const char *header,
                          struct bytes *out, struct err *e)
{
    size_t length = strlen(header), padded = (length + 7) / 8 * 8, total = 8 + padded;
    uint8_t *to;
    for (size_t i = 0; i < n; i++) total += entry_bytes(order[i]);
    out->data = mem_alloc(total, 1);
    if (!out->data) return err_set(e, ERR_NOMEM, "no memory to write %zu bytes of tensors", total);
    out->n = total;
    for (int i = 0; i < 8; i++) out->data[i] = (uint8_t)((uint64_t)padded >> (8 * i));
    memcpy(out->data + 8, header, length);
    memset(out->data + 8 + length, ' ', padded - length);
    to = out->data + 8 + padded;
    for (size_t i = 0; i < n; i++) {
        size_t bytes = entry_bytes(order[i]);
        if (bytes) memcpy(to, order[i]->data, bytes);
        to += bytes;
    }
    return OK;
}

enum code safetensors_encode(const struct stored_entry *entry, size_t n,
                             const char *const *metadata, struct bytes *out, struct err *e)
{
    enum code rc;
    char *header = NULL;
    const struct stored_entry **order = mem_alloc(n + 1, sizeof(void *));
    *out = (struct bytes){0};
    if (!order) return err_set(e, ERR_NOMEM, "no memory to order %zu tensors", n);
    for (size_t i = 0; i < n; i++) {
        assert(entry[i].dtype < STORED_OTHER && entry[i].rank <= STORED_RANK);
        order[i] = &entry[i];
    }
    qsort(order, n, sizeof(void *), by_reference);
    rc = header_text(order, n, metadata, &header, e);
    if (!rc) rc = assemble(order, n, header, out, e);
    free(header);
    free(order);
    return rc;
}

enum code safetensors_write(const char *path, const struct stored_entry *entry, size_t n,
                            const char *const *metadata, struct err *e)
{
    struct bytes b;
    enum code rc = safetensors_encode(entry, n, metadata, &b, e);
    if (rc) return rc;
    rc = file_write(path, b.data, b.n, e);
    free(b.data);
    return rc;
}
