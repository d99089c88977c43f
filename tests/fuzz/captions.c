/* metadata.jsonl: the captions of a folder in one file. What is used can be shown to people. */
#include "pipeline/data/captions.h"
#include "tests/fuzz/support/fuzz.h"

#include <string.h>

static void is_clean(const char *s)
{
    for (; *s; s++) must((unsigned char)*s >= ' ' && *s != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct captions c = {0};
    struct problems p = {0};
    captions_parse(n ? (const char *)data : "", n, "metadata.jsonl", &c, &p);
    for (size_t i = 0; i < c.n; i++) {
        must(c.caption[i].line > 0 && *c.caption[i].file && !strchr(c.caption[i].file, '/'));
        must(captions_find(&c, c.caption[i].file));
        is_clean(c.caption[i].text);
    }
    for (size_t i = 0; i < p.n; i++) is_clean(p.line[i]);
    problems_fini(&p);
    captions_fini(&c);
    return 0;
}
