/* A file of masks without its seal, as in commit.c. */
#include "base/blob.h"
#include "pipeline/method/method.h"
#include "tests/fuzz/support/fuzz.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct blob b = {0};
    struct masks m;
    struct bytes again;
    struct err e = {0};
    blob_bytes(&b, data, n);
    blob_seal(&b);
    must(text_ok(&b.t));
    enum code rc = masks_decode(b.t.s, b.t.n, &m, &e);
    if (rc) fuzz_refused(rc, &e);
    else {
        must(!masks_encode(&m, &again, &e));
        must(again.n == b.t.n && !memcmp(again.data, b.t.s, again.n));
        free(again.data);
        masks_fini(&m);
    }
    text_fini(&b.t);
    return 0;
}
