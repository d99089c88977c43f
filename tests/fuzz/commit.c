/* A commit without its seal, which is put on here: no fuzzer finds a SHA-256. What is accepted has these bytes only. */
#include "base/blob.h"
#include "pipeline/neurons/commit.h"
#include "tests/fuzz/support/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void decode(const void *data, size_t n)
{
    struct commit c;
    struct bytes again;
    struct err e = {0};
    enum code rc = commit_decode(data, n, &c, &e);
    if (rc) {
        fuzz_refused(rc, &e);
        must(!c.value && !c.row && !c.made);
        return;
    }
    must(mask_count(&c.mask) == c.n_values);
    must(!commit_encode(&c, &again, &e));
    must(again.n == n && !memcmp(again.data, data, n));
    free(again.data);
    commit_fini(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct blob b = {0};
    decode(data, n);
    blob_bytes(&b, data, n);
    blob_seal(&b);
    must(text_ok(&b.t));
    decode(b.t.s, b.t.n);
    text_fini(&b.t);
    return 0;
}
