/* A concept folder with one sound picture. Parts: concept.yaml, its caption, and what the command line gives: token,
 * class, kind. What is accepted can be shown to people: UTF-8, one line, no control character. */
#include "pipeline/data/concept.h"
#include "tests/fuzz/support/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { YAML, CAPTION, TOKEN, CLASS, KIND, PARTS };

static void picture(void)
{
    struct image im = {calloc(4 * 4, 3), 4, 4};
    char path[512];
    for (int i = 0; i < 4 * 4 * 3; i++) im.rgb[i] = (uint8_t)(i * 37);
    snprintf(path, sizeof path, "%s/a.png", fuzz_folder());
    must(!image_write_png(path, &im, NULL, NULL));
    image_fini(&im);
}

static void is_clean(const char *s)
{
    for (; *s; s++) must((unsigned char)*s >= ' ' && *s != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static int painted;
    struct fuzz_part part[PARTS];
    struct concept c;
    struct problems p = {0};
    struct err e = {0};
    char *given[PARTS];
    if (!painted++) picture();
    fuzz_split(data, n, part, PARTS);
    fuzz_file("concept.yaml", part[YAML]);
    fuzz_file("a.txt", part[CAPTION]);
    for (int i = TOKEN; i < PARTS; i++) given[i] = part[i].n ? fuzz_text(part[i]) : NULL;
    struct concept_options o = {
        .token = given[TOKEN], .class_word = given[CLASS], .kind = given[KIND]};
    enum code rc = concept_read(fuzz_folder(), &o, &c, &p, &e);
    if (rc) {
        fuzz_refused(rc, &e);
        must(p.n && !c.image);
    } else {
        must(c.n == 1 && !p.n && !concept_token_check(c.token, NULL) &&
             !concept_kind_check(c.kind, NULL));
        must(*c.class_word && *c.image[0].caption);
        is_clean(c.class_word);
        is_clean(c.image[0].caption);
    }
    for (size_t i = 0; i < p.n; i++) is_clean(p.line[i]);
    for (int i = TOKEN; i < PARTS; i++) free(given[i]);
    problems_fini(&p);
    concept_fini(&c);
    return 0;
}
