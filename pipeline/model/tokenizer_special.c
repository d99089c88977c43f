/* tokenizer_special.c - start, end, unknown and pad token, and how many ids the model takes.
 *
 * The two files contradict each other in published models (SD 2.x: pad is "!" in one, the end token in the other), and the
 * models were trained with what special_tokens_map.json says. Newer writers leave that file out.
 */
#include "base/file.h"
#include "pipeline/model/jsonfile.h"
#include "pipeline/model/tokenizer_tables.h"

#include <stdio.h>
#include <string.h>

#define PATH_MOST 4096
#define LENGTH_MOST \
    77 /* a larger model_max_length is a placeholder of the library, not of the model */

static const struct {
    const char *key, *usual;
} specials[SPECIALS] = {
    [SPECIAL_START] = {"bos_token", "<|startoftext|>"},
    [SPECIAL_END] = {"eos_token", "<|endoftext|>"},
    [SPECIAL_UNKNOWN] = {"unk_token", "<|endoftext|>"},
    [SPECIAL_PAD] = {"pad_token", "<|endoftext|>"},
};

/* A token is a text or an object with its content. */
static void read_token(struct tokenizer_tables *t, struct jsonfile *f, enum special which)
{
    json_t *v = json_object_get(f->at, specials[which].key);
    const char *text = json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
    if (f->rc || !v || json_is_null(v)) return;
    t->special[which] = text ? tokenizer_tables_id(t, text) : -1;
    if (t->special[which] < 0)
        jsonfile_fail(f, "%s is \"%.60s\", which vocab.json does not have", specials[which].key,
                      text ? text : "(no text)");
}

static void read_length(struct tokenizer_tables *t, struct jsonfile *f)
{
    double length = jsonfile_real(f, "model_max_length", LENGTH_MOST);
    if (!f->rc && !(length >= 3)) jsonfile_fail(f, "model_max_length must be 3 or more");
    if (!f->rc) t->length = length < LENGTH_MOST ? (int)length : LENGTH_MOST;
}

static void check_class(struct jsonfile *f)
{
    const char *name = jsonfile_text(f, "tokenizer_class", "CLIPTokenizer");
    if (!f->rc && strcmp(name, "CLIPTokenizer") != 0 && strcmp(name, "CLIPTokenizerFast") != 0)
        jsonfile_fail(f, "tokenizer_class is %.60s; Engram needs a CLIPTokenizer", name);
}

/* Tokens beyond vocab.json would take the ids that concepts get. */
static void refuse_added(const struct tokenizer_tables *t, struct jsonfile *f)
{
    const char *key;
    json_t *value;
    if (f->rc) return;
    json_object_foreach(f->at, key, value)
    {
        if (json_is_integer(value) && json_integer_value(value) >= t->n_pieces) {
            jsonfile_fail(f,
                          "adds the token \"%.60s\" to the vocabulary; Engram needs a base model "
                          "without added tokens",
                          key);
            return;
        }
    }
}

enum code tokenizer_special_read(struct tokenizer_tables *t, const char *dir, const char *pad,
                                 struct err *e)
{
    /* In order of growing authority. */
    static const char *const files[] = {"added_tokens.json", "tokenizer_config.json",
                                        "special_tokens_map.json"};
    char path[PATH_MOST];
    for (int i = 0; i < SPECIALS; i++) t->special[i] = tokenizer_tables_id(t, specials[i].usual);
    t->length = LENGTH_MOST;
    for (int i = 0; i < 3; i++) {
        struct jsonfile f;
        enum code rc;
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        if (!file_exists(path)) continue;
        jsonfile_open(&f, path, e);
        if (i == 0) refuse_added(t, &f);
        for (int k = 0; i > 0 && k < SPECIALS; k++) read_token(t, &f, (enum special)k);
        if (i == 1) {
            read_length(t, &f);
            check_class(&f);
        }
        if ((rc = jsonfile_close(&f))) return rc;
    }
    if (pad) t->special[SPECIAL_PAD] = tokenizer_tables_id(t, pad);
    for (int i = 0; i < SPECIALS; i++)
        if (t->special[i] < 0)
            return err_set(e, ERR_INPUT,
                           "%s: no %s: the vocabulary does not have \"%s\" and "
                           "special_tokens_map.json names no other",
                           dir, specials[i].key, i == SPECIAL_PAD && pad ? pad : specials[i].usual);
    return OK;
}
