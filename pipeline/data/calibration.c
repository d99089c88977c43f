/* calibration.c - the model's own prompts, or ours. */
#include "pipeline/data/calibration.h"

#include "base/arena.h"
#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const BUILT_IN[] = {
#define PROMPT(text) text,
#include "pipeline/data/calibration.def"
#undef PROMPT
};
#define N_BUILT_IN (sizeof BUILT_IN / sizeof BUILT_IN[0])

static char *copy(const char *s)
{
    char *c = mem_alloc(strlen(s) + 1, 1);
    if (c) memcpy(c, s, strlen(s));
    return c;
}

static enum code built_in(struct prompts *out, struct err *e)
{
    *out = (struct prompts){.prompt = mem_alloc(N_BUILT_IN, sizeof *out->prompt)};
    int ok = out->prompt != NULL;
    for (size_t i = 0; ok && i < N_BUILT_IN; i++) {
        struct prompt *p = &out->prompt[out->n++];
        p->id = copy("");
        p->concepts = copy("");
        p->text = copy(BUILT_IN[i]);
        ok = p->id && p->concepts && p->text;
    }
    if (ok) return OK;
    prompts_fini(out);
    return err_set(e, ERR_NOMEM, "out of memory for calibration prompts");
}

enum code calibration_read(const char *model_dir, struct prompts *out, struct err *e)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/calibration.txt", model_dir);
    return file_exists(path) ? prompts_read(path, out, e) : built_in(out, e);
}
