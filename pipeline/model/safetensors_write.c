/* safetensors_write.c - encodes a checkpoint, byte for byte as the reference writer would.
 *
 * Order: widest type first (so that all data is aligned), among the types of one width the reference's own order, then by
 * name. The header is padded with spaces to a multiple of 8.
 */
#include "base/arena.h"
#include "base/hash.h"
#include "pipeline/model/safetensors.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define PIECE ((size_t)1 << 20) /* made at once; a multiple of every type */

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

/* Everything but the tensors' own bytes. */
struct layout {
    const struct stored_entry **order; /* owned */
    size_t n, head_bytes;
    uint8_t *head;  /* owned: length, JSON, padding */
    size_t hash_at; /* of the digits of SAFETENSORS_HASH in head; 0: nobody asked */
    uint64_t total;
};

static void layout_fini(struct layout *l)
{
    free(l->order);
    free(l->head);
    *l = (struct layout){0};
}

static enum code frame_header(struct layout *l, const char *text, struct err *e)
{
    size_t length = strlen(text), padded = (length + 7) / 8 * 8;
    l->head_bytes = 8 + padded;
    l->head = mem_alloc(l->head_bytes, 1);
    if (!l->head) return err_set(e, ERR_NOMEM, "no memory for a safetensors header");
    for (int i = 0; i < 8; i++) l->head[i] = (uint8_t)((uint64_t)padded >> (8 * i));
    memcpy(l->head + 8, text, length);
    memset(l->head + 8 + length, ' ', padded - length);
    return OK;
}

/* Metadata stand before tensors, so the first that looks like it is it. */
static void find_hash(struct layout *l, const char *const *metadata, const char *text)
{
    int asked = 0;
    for (; metadata && metadata[0]; metadata += 2) asked |= !strcmp(metadata[1], SAFETENSORS_HASH);
    if (asked) l->hash_at = 8 + (size_t)(strstr(text, SAFETENSORS_HASH) - text) + strlen("0x");
}

static void put_hash(struct layout *l, struct hash h)
{
    char digits[HASH_TEXT];
    memcpy(l->head + l->hash_at, hash_text(h, digits), HASH_TEXT - 1);
}

static enum code layout_make(struct layout *l, const struct stored_entry *entry, size_t n,
                             const char *const *metadata, struct err *e)
{
    char *text = NULL;
    *l = (struct layout){.n = n, .order = mem_alloc(n + 1, sizeof(void *))};
    if (!l->order) return err_set(e, ERR_NOMEM, "no memory to order %zu tensors", n);
    for (size_t i = 0; i < n; i++) {
        assert(entry[i].dtype < STORED_OTHER && entry[i].rank <= STORED_RANK);
        l->order[i] = &entry[i];
    }
    qsort(l->order, n, sizeof(void *), by_reference);
    enum code rc = header_text(l->order, n, metadata, &text, e);
    if (!rc) rc = frame_header(l, text, e);
    if (!rc) find_hash(l, metadata, text);
    l->total = l->head_bytes;
    for (size_t i = 0; i < n; i++) l->total += entry_bytes(&entry[i]);
    free(text);
    if (rc) layout_fini(l);
    return rc;
}

enum code safetensors_bytes(const struct stored_entry *entry, size_t n, const char *const *metadata,
                            uint64_t *bytes, struct err *e)
{
    struct layout l;
    enum code rc = layout_make(&l, entry, n, metadata, e);
    if (rc) return rc;
    *bytes = l.total;
    layout_fini(&l);
    return OK;
}

enum code safetensors_encode(const struct stored_entry *entry, size_t n,
                             const char *const *metadata, struct bytes *out, struct err *e)
{
    struct layout l;
    *out = (struct bytes){0};
    enum code rc = layout_make(&l, entry, n, metadata, e);
    if (rc) return rc;
    uint8_t *all = mem_alloc((size_t)l.total, 1), *to = all + l.head_bytes;
    if (!all)
        rc = err_set(e, ERR_NOMEM, "no memory to write %zu bytes of tensors", (size_t)l.total);
    for (size_t i = 0; !rc && i < n; i++) {
        size_t bytes = entry_bytes(l.order[i]);
        if (bytes) memcpy(to, l.order[i]->data, bytes);
        to += bytes;
    }
    if (!rc) {
        if (l.hash_at) put_hash(&l, hash_bytes(all + l.head_bytes, (size_t)l.total - l.head_bytes));
        memcpy(all, l.head, l.head_bytes);
        *out = (struct bytes){all, (size_t)l.total};
    }
    layout_fini(&l);
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

/* ---- tensors made on the way ---------------------------------------------------------------------------------------- */

/* hash: of what is added; NULL: nobody asked. */
static enum code stream_tensor(struct file_new *f, const struct stored_entry *t,
                               const struct stored_maker *maker, struct hash_stream *hash,
                               uint8_t *piece, struct err *e)
{
    size_t each = (size_t)kinds[t->dtype].bytes;
    int64_t count = (int64_t)(entry_bytes(t) / each), most = (int64_t)(PIECE / each), n;
    enum code rc = OK;
    for (int64_t at = 0; !rc && at < count; at += n) {
        n = count - at < most ? count - at : most;
        rc = maker->make(maker->self, t, at, n, piece, e);
        if (!rc && hash) hash_add(hash, piece, (size_t)n * each);
        if (!rc) rc = file_add(f, piece, (size_t)n * each, e);
    }
    return rc;
}

static enum code stream_tensors(struct file_new *f, struct layout *l,
                                const struct stored_maker *maker, uint8_t *piece, struct err *e)
{
    struct hash_stream *hash = l->hash_at ? hash_begin() : NULL;
    enum code rc = OK;
    if (l->hash_at && !hash) return err_set(e, ERR_NOMEM, "no memory for the hash of a file");
    for (size_t i = 0; !rc && i < l->n; i++)
        rc = stream_tensor(f, l->order[i], maker, hash, piece, e);
    if (!hash) return rc;
    put_hash(l, hash_end(hash));
    return rc ? rc : file_mend(f, 0, l->head, l->head_bytes, e);
}

static enum code stream_layout(const char *path, struct layout *l, const struct stored_maker *maker,
                               uint8_t *piece, struct err *e)
{
    struct file_new f;
    enum code rc = file_begin(&f, path, e);
    if (rc) return rc;
    rc = file_add(&f, l->head, l->head_bytes, e);
    if (!rc) rc = stream_tensors(&f, l, maker, piece, e);
    if (!rc) rc = file_commit(&f, path, e);
    file_abandon(&f);
    return rc;
}

enum code safetensors_stream(const char *path, const struct stored_entry *entry, size_t n,
                             const char *const *metadata, const struct stored_maker *maker,
                             struct err *e)
{
    struct layout l;
    enum code rc = layout_make(&l, entry, n, metadata, e);
    if (rc) return rc;
    uint8_t *piece = mem_alloc(PIECE, 1);
    rc = piece ? stream_layout(path, &l, maker, piece, e)
               : err_set(e, ERR_NOMEM, "no memory to write %s", path);
    free(piece);
    layout_fini(&l);
    return rc;
}
