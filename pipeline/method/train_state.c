/* train_state.c - training state and its checkpoint, version 1. */
#include "pipeline/method/train_state.h"

#include "base/arena.h"
#include "base/blob.h"
#include "base/file.h"

#include <stdlib.h>
#include <string.h>

static const char MAGIC[8] = "engramCK";
#define VERSION 1
#define CHECKPOINT_BYTES (UINT64_C(1) << 32)

enum code train_state_make(struct train_state *s, size_t n, uint32_t dim, int64_t steps,
                           struct err *e)
{
    *s = (struct train_state){.n = n, .dim = dim, .steps = steps};
    float **of_n[] = {&s->w, &s->w_m, &s->w_v}, **of_dim[] = {&s->row, &s->row_m, &s->row_v};
    int ok = (s->loss = mem_alloc((size_t)steps + 1, sizeof(float))) != NULL;
    for (int i = 0; i < 3; i++) {
        ok &= (*of_n[i] = mem_alloc(n + 1, sizeof(float))) != NULL;
        ok &= (*of_dim[i] = mem_alloc((size_t)dim + 1, sizeof(float))) != NULL;
    }
    if (ok) return OK;
    train_state_fini(s);
    return err_set(e, ERR_NOMEM, "out of memory for the optimiser state of %zu neurons", n);
}

void train_state_fini(struct train_state *s)
{
    float *all[] = {s->w, s->w_m, s->w_v, s->row, s->row_m, s->row_v, s->loss};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
    *s = (struct train_state){0};
}

static uint64_t double_bits(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

enum code train_state_save(const struct train_state *s, struct hash key, const char *path,
                           struct err *e)
{
    struct blob b = {0};
    blob_bytes(&b, MAGIC, sizeof MAGIC);
    blob_u32(&b, VERSION);
    blob_u32(&b, s->dim);
    blob_bytes(&b, key.v, HASH_BYTES);
    blob_u64(&b, s->n);
    blob_u64(&b, (uint64_t)s->step);
    blob_u64(&b, (uint64_t)s->steps);
    blob_u64(&b, double_bits(s->balance_sum));
    blob_u64(&b, (uint64_t)s->balance_n);
    const float *of_n[] = {s->w, s->w_m, s->w_v}, *of_dim[] = {s->row, s->row_m, s->row_v};
    for (int i = 0; i < 3; i++) blob_f32(&b, of_n[i], s->n);
    for (int i = 0; i < 3; i++) blob_f32(&b, of_dim[i], s->dim);
    blob_f32(&b, s->loss, (size_t)s->steps);
    blob_seal(&b);
    enum code rc = b.t.failed ? err_set(e, ERR_NOMEM, "out of memory for a checkpoint") : OK;
    if (!rc) rc = file_write(path, b.t.s, b.t.n, e);
    text_fini(&b.t);
    return rc;
}

/* The header must say exactly what this task expects; then the length and the seal decide. */
static int header_fits(struct blob_reader *r, const struct train_state *s, struct hash key,
                       uint64_t n_bytes)
{
    char magic[8];
    struct hash theirs;
    blob_get_bytes(r, magic, sizeof magic);
    int fits = !memcmp(magic, MAGIC, sizeof magic);
    fits &= blob_get_u32(r) == VERSION;
    fits &= blob_get_u32(r) == s->dim;
    blob_get_bytes(r, theirs.v, HASH_BYTES);
    fits &= hash_equal(theirs, key);
    fits &= blob_get_u64(r) == s->n;
    uint64_t step = blob_get_u64(r);
    fits &= step <= (uint64_t)s->steps;
    fits &= blob_get_u64(r) == (uint64_t)s->steps;
    r->at -= 16; /* the body reader takes step and steps again */
    return fits && !r->bad &&
           n_bytes ==
               r->at + 32 + 4 * (3 * s->n + 3 * (uint64_t)s->dim + (uint64_t)s->steps) + HASH_BYTES;
}

static void body_get(struct blob_reader *r, struct train_state *s)
{
    s->step = (int64_t)blob_get_u64(r);
    blob_get_u64(r);
    uint64_t bits = blob_get_u64(r);
    memcpy(&s->balance_sum, &bits, sizeof bits);
    s->balance_n = (int64_t)blob_get_u64(r);
    float *of_n[] = {s->w, s->w_m, s->w_v}, *of_dim[] = {s->row, s->row_m, s->row_v};
    for (int i = 0; i < 3; i++) blob_get_f32(r, of_n[i], s->n);
    for (int i = 0; i < 3; i++) blob_get_f32(r, of_dim[i], s->dim);
    blob_get_f32(r, s->loss, (size_t)s->steps);
}

enum code train_state_load(struct train_state *s, struct hash key, const char *path, int *found,
                           struct err *e)
{
    struct bytes b = {0};
    *found = 0;
    if (!file_exists(path)) return OK;
    enum code rc = file_read(path, CHECKPOINT_BYTES, &b, e);
    if (rc) return rc == ERR_NOT_FOUND ? OK : rc;
    struct blob_reader r = blob_reader(b.data, b.n);
    if (header_fits(&r, s, key, b.n) && blob_sealed(b.data, b.n)) {
        body_get(&r, s);
        *found = 1;
    }
    free(b.data);
    return OK;
}
