/* stored_check.c - is every value of a stored tensor a finite number? One pass over the map, nothing is kept. */
#include "pipeline/model/safetensors.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>

#define BLOCK 4096

enum code stored_check_finite(const struct stored *t, struct err *e)
{
    float v[BLOCK];
    int64_t n = stored_count(t);
    size_t width = n ? t->bytes / (size_t)n : 0;
    for (int64_t begin = 0; begin < n; begin += BLOCK) {
        int64_t count = n - begin < BLOCK ? n - begin : BLOCK, i = 0;
        struct stored block = {.name = t->name,
                               .dtype = t->dtype,
                               .rank = 1,
                               .dim = {count},
                               .data = t->data + (size_t)begin * width,
                               .bytes = (size_t)count * width};
        enum code rc = stored_to_float(&block, v, e);
        if (rc) return rc;
        int bad = 0;
        for (int64_t k = 0; k < count; k++) bad |= !(fabsf(v[k]) <= FLT_MAX);
        if (!bad) continue;
        while (isfinite(v[i])) i++;
        return err_set(e, ERR_CORRUPT,
                       "%.160s holds %s at element %" PRId64 "; the checkpoint is damaged", t->name,
                       isnan(v[i]) ? "a NaN" : "an infinity", begin + i);
    }
    return OK;
}
