/* fit.c - texts are counted before anything is submitted. */
#include "cli/fit.h"

#include "base/arena.h"
#include "base/file.h"
#include "cli/cli.h"
#include "pipeline/model/base_model.h"

#include <stdlib.h>
#include <string.h>

int fit_is_elsewhere(const char *path)
{
    return !file_exists(path) && cli_is_far();
}

enum code fit_open(struct tokenizer **out, const char *path, const struct commit_rows *commits,
                   const char *token, struct err *e)
{
    struct tokenizer *t;
    int32_t id;
    *out = NULL;
    if (fit_is_elsewhere(path)) return OK;
    enum code rc = base_model_tokenizer_open(&t, path, e);
    for (size_t i = 0; !rc && i < commits->n; i++)
        rc = tokenizer_add(t, commits->v[i].token, &id, e);
    if (rc) {
        tokenizer_close(t);
        return rc;
    }
    if (token) tokenizer_add(t, token, &id, NULL); /* what is wrong with it is said elsewhere */
    *out = t;
    return OK;
}

enum code fit_check(const struct tokenizer *t, const char *text, const char *what, struct err *e)
{
    struct encoded x = {0};
    if (!t) return OK;
    int length = tokenizer_length(t);
    int32_t *ids = mem_alloc((size_t)length, sizeof *ids);
    enum code rc = ids ? tokenizer_encode(t, text, ids, length, &x, e)
                       : err_set(e, ERR_NOMEM, "out of memory for a text");
    free(ids);
    if (rc) return err_context(e, "%s", what);
    if (x.n_full <= length) return OK;
    size_t kept;
    if ((rc = tokenizer_kept(t, text, &kept, e))) return rc;
    kept += strspn(text + kept, " ");
    return err_set(e, ERR_INPUT,
                   "%s has %d tokens with start and end; the text encoder reads %d, so \"%.160s\" "
                   "would be lost: shorten it",
                   what, x.n_full, length, text + kept);
}
