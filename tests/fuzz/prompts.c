/* A file of prompts. */
#include "pipeline/data/concept.h"
#include "tests/fuzz/support/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct prompts p;
    struct err e = {0};
    enum code rc = prompts_read(
        fuzz_file("prompts.txt", (struct fuzz_part){data ? data : &(uint8_t){0}, n}), &p, &e);
    if (rc) fuzz_refused(rc, &e);
    else must(p.n > 0);
    for (int i = 0; i < p.n; i++)
        must(*p.prompt[i].id && *p.prompt[i].text && p.prompt[i].concepts);
    prompts_fini(&p);
    return 0;
}
