/* source.h - where a tensor of an export comes from: pieces, one after another, and the type they are written in.
 *
 *     struct source s = {.name = "conv_in.bias", .dtype = STORED_F16, .rank = 1, .dim = {320}, .piece = {{.stored = t}}};
 *     s.piece[1] = (struct source_piece){.values = rows, .count = n * dim};          // rows added to a matrix
 *
 * A tensor of the base is one piece in its map, a matrix that was trained one piece in memory; a vocabulary that grew is
 * both, and OpenCLIP's fused projection is three. Nothing is converted before it is written.
 */
#ifndef EXCHANGE_SOURCE_H
#define EXCHANGE_SOURCE_H

#include "base/err.h"
#include "pipeline/model/safetensors.h"

#define SOURCE_PIECES 3

struct source_piece {                      /* one of the two; neither ends the list */
    const struct stored *stored;
    const float *values;
    int64_t count;                         /* of values */
};

struct source {
    const char *name;
    enum stored_dtype dtype;               /* as it is written */
    int rank;
    int64_t dim[STORED_RANK];
    struct source_piece piece[SOURCE_PIECES];
    /* Instead of pieces: bytes of dtype made by somebody else, elements [first, first + n). */
    enum code (*make)(void *self, const struct source *s, int64_t first, int64_t n, void *out, struct err *e);
    void *self;
};

/* Elements [first, first + n) in s->dtype. Same type: the bytes as they are. Else through float32; ERR_INPUT: a finite value
 * that dtype cannot hold. */
enum code source_read(const struct source *s, int64_t first, int64_t n, void *out, struct err *e);

int source_element(enum stored_dtype dtype);       /* bytes of one; not of STORED_OTHER */

/* What t is written as where `wanted` was asked for (STORED_OTHER: nothing was). Only types that hold fractions change. */
enum stored_dtype source_dtype(const struct stored *t, enum stored_dtype wanted);

#endif
