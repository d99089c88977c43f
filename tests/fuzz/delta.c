/* An exported delta. Every commit in it is put together again and hashed, so what is accepted is what somebody exported; the
 * way there must be safe. */
#include "pipeline/exchange/delta.h"
#include "tests/fuzz/support/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct delta *d;
    struct err e = {0};
    struct fuzz_part whole = {n ? data : (const uint8_t *)"", n};
    enum code rc = delta_open(&d, fuzz_file("a.engram.safetensors", whole), &e);
    if (rc) {
        fuzz_refused(rc, &e);
        return 0;
    }
    must(delta_count(d) > 0 && *delta_lineage(d));
    for (int i = 0; i < delta_count(d); i++) {
        const struct delta_concept *c = delta_at(d, i);
        must(c->n_neurons <= delta_neurons(d) && *c->token && *c->class_word && *c->kind);
    }
    delta_close(d);
    return 0;
}
