/* source.c - pieces of tensors, converted a few thousand elements at a time. */
#include "pipeline/exchange/source.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { STRIDE = 4096 }; /* floats on the stack between two types */

int source_element(enum stored_dtype dtype)
{
    static const int bytes[] = {
        [STORED_F32] = 4, [STORED_F16] = 2, [STORED_BF16] = 2, [STORED_F64] = 8, [STORED_I64] = 8,
        [STORED_I32] = 4, [STORED_I16] = 2, [STORED_I8] = 1,   [STORED_U8] = 1,  [STORED_BOOL] = 1};
    assert(dtype < STORED_OTHER);
    return bytes[dtype];
}

static int is_real(enum stored_dtype dtype)
{
    return dtype == STORED_F32 || dtype == STORED_F16 || dtype == STORED_BF16 ||
           dtype == STORED_F64;
}

enum stored_dtype source_dtype(const struct stored *t, enum stored_dtype wanted)
{
    return wanted == STORED_OTHER || !is_real(t->dtype) ? t->dtype : wanted;
}

static enum code check_range(const struct source *s, const float *v, int64_t n, struct err *e)
{
    if (s->dtype != STORED_F16) return OK;
    for (int64_t i = 0; i < n; i++)
        if (fabsf(v[i]) >= 65520.0f && isfinite(v[i]))
            return err_set(e, ERR_INPUT,
                           "%.160s holds %g, which half precision cannot (65504 at most); export "
                           "with --dtype fp32",
                           s->name, (double)v[i]);
    return OK;
}

/* Elements [first, first + n) of one piece. */
static enum code read_piece(const struct source *s, const struct source_piece *p, int64_t first,
                            int64_t n, uint8_t *out, struct err *e)
{
    float buffer[STRIDE];
    int to_bytes = source_element(s->dtype);
    if (p->stored && p->stored->dtype == s->dtype) {
        memcpy(out, p->stored->data + first * to_bytes, (size_t)(n * to_bytes));
        return OK;
    }
    for (int64_t at = 0; at < n; at += STRIDE) {
        int64_t few = n - at < STRIDE ? n - at : STRIDE;
        const float *from = p->values ? p->values + first + at : buffer;
        if (p->stored) {
            int from_bytes = source_element(p->stored->dtype);
            struct stored part = {.name = p->stored->name,
                                  .dtype = p->stored->dtype,
                                  .rank = 1,
                                  .dim = {few},
                                  .data = p->stored->data + (first + at) * from_bytes,
                                  .bytes = (size_t)(few * from_bytes)};
            enum code rc = stored_to_float(&part, buffer, e);
            if (rc) return rc;
        }
        enum code rc = check_range(s, from, few, e);
        if (rc) return rc;
        stored_from_float(s->dtype, from, few, out + at * to_bytes);
    }
    return OK;
}

enum code source_read(const struct source *s, int64_t first, int64_t n, void *out, struct err *e)
{
    uint8_t *to = out;
    enum code rc = OK;
    if (s->make) return s->make(s->self, s, first, n, out, e);
    for (int i = 0; !rc && n && i < SOURCE_PIECES; i++) {
        const struct source_piece *p = &s->piece[i];
        int64_t count = p->stored ? stored_count(p->stored) : p->values ? p->count : 0;
        int64_t here = count - first < n ? count - first : n;
        if (here > 0) {
            rc = read_piece(s, p, first, here, to, e);
            to += here * source_element(s->dtype);
            n -= here;
            first = 0;
        } else {
            first -= count;
        }
    }
    assert(rc || !n);
    return rc;
}
