/* Concepts as other programs list them: a JSON list, whose folders cat and dog are there. Names that are made of it can
 * become names of folders. */
#include "pipeline/data/concept_list.h"
#include "tests/fuzz/support/fuzz.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void folder(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    mkdir(path, 0700);
}

static void is_name(const char *s)
{
    must(*s && *s != '.' && strlen(s) < sizeof((struct listed *)0)->name);
    for (; *s; s++) must((unsigned char)*s > ' ' && *s != '/' && *s != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct concept_list l = {0};
    struct problems p = {0};
    const char *path =
        fuzz_file("list.json", (struct fuzz_part){n ? data : (const uint8_t *)"", n});
    folder("cat");
    folder("dog");
    concept_list_read(path, fuzz_folder(), &l, &p);
    must(l.n <= LISTED_MOST);
    for (size_t i = 0; i < l.n; i++) {
        must(l.concept[i].folder);
        is_name(l.concept[i].name);
        for (size_t k = 0; k < i; k++) must(strcmp(l.concept[i].name, l.concept[k].name) != 0);
    }
    for (size_t i = 0; i < l.n_sets; i++)
        for (size_t k = 0; k < l.set[i].n; k++) must(l.set[i].concept[k] < l.n);
    for (size_t i = 0; i < p.n; i++)
        for (const char *c = p.line[i]; *c; c++) must((unsigned char)*c >= ' ');
    problems_fini(&p);
    concept_list_fini(&l);
    return 0;
}
