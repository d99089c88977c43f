/* picture_text.c - A1111's line of parameters and our JSON. */
#include "pipeline/data/picture_text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* A value that could be taken for the next key is quoted as JSON, as A1111 quotes and unquotes. */
static void value_add(struct text *out, const char *value)
{
    char *quoted = NULL;
    if (strpbrk(value, ",:\n")) {
        json_t *j = json_string(value);
        quoted = json_dumps(j, JSON_ENCODE_ANY);
        json_decref(j);
    }
    text_add(out, quoted ? quoted : value);
    free(quoted);
}

void picture_text_parameters(const struct picture_facts *f, struct text *out)
{
    text_add(out, f->prompt);
    if (*f->negative) text_printf(out, "\nNegative prompt: %s", f->negative);
    text_printf(out, "\nSteps: %" PRId64 ", Sampler: %s, CFG scale: %g, Seed: %" PRIu64, f->steps,
                f->sampler, f->guidance, f->seed);
    if (f->eta > 0) text_printf(out, ", Eta DDIM: %g", f->eta);
    text_printf(out, ", Size: %dx%d, Model hash: %.10s, Model: ", f->w, f->h, f->base);
    value_add(out, f->model);
    text_add(out, ", Version: Engram " ENGRAM_VERSION);
}

enum code picture_text_json(const struct picture_facts *f, struct text *out, struct err *e)
{
    json_t *tokens = json_array(),
           *j = json_pack("{s:s,s:s,s:I,s:I,s:s,s:I,s:f,s:f,s:[i,i],s:s,s:s,s:s,s:s}", "prompt",
                          f->prompt, "negative", f->negative, "seed", (json_int_t)f->seed, "index",
                          (json_int_t)f->index, "sampler", f->setting, "steps",
                          (json_int_t)f->steps, "guidance", f->guidance, "eta", f->eta, "size",
                          f->w, f->h, "base", f->base, "lineage", f->lineage, "commit", f->commit,
                          "version", ENGRAM_VERSION);
    for (int i = 0; i < f->n_tokens; i++) json_array_append_new(tokens, json_string(f->token[i]));
    json_object_set_new(j, "tokens", tokens);
    char *dumped = j ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    if (!dumped)
        return err_set(e, ERR_INPUT,
                       "a picture's prompt or names cannot be written as JSON: not UTF-8");
    text_add(out, dumped);
    free(dumped);
    return OK;
}
