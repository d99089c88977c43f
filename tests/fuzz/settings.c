/* Settings as people and commits write them. The first byte says which: y a YAML file, j canonical JSON, s an assignment
 * on the command line. What is accepted is written as JSON that reads as the same. */
#include "pipeline/method/settings.h"
#include "tests/fuzz/support/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void round_trip(const struct settings *s)
{
    struct text once = {0}, twice = {0};
    struct settings back;
    struct err e = {0};
    settings_default(&back);
    settings_write(s, &once);
    must(text_ok(&once) && !settings_parse(&back, once.s, &e));
    settings_write(&back, &twice);
    must(text_ok(&twice) && !strcmp(once.s, twice.s));
    text_fini(&once);
    text_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct settings s;
    struct problems p = {0};
    struct err e = {0};
    enum code rc;
    if (!n) return 0;
    struct fuzz_part rest = {data + 1, n - 1};
    char *text = fuzz_text(rest);
    settings_default(&s);
    switch (data[0]) {
    case 'y': rc = settings_read(&s, fuzz_file("engram.yaml", rest), &p, &e); break;
    case 'j': rc = settings_parse(&s, text, &e); break;
    case 's': rc = settings_set(&s, text, &e); break;
    default: rc = OK;
    }
    if (rc) fuzz_refused(rc, &e);
    else round_trip(&s);
    problems_fini(&p);
    free(text);
    return 0;
}
