/* base_model_beside.c - where the tokenizer and the evaluation CLIP of a base model lie.
 *
 * In a directory they have their places. A single file has neither inside; they are looked for beside it, under its own
 * name first, so that several checkpoints can share one folder.
 */
#include "base/file.h"
#include "pipeline/model/base_model.h"
#include "pipeline/model/single_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MOST 4096

static enum code inside(const char *dir, const char *name, char *out, size_t room, struct err *e)
{
    if ((size_t)snprintf(out, room, "%s/%s", dir, name) < room) return OK;
    return err_set(e, ERR_INPUT, "path too long: %.200s/%s", dir, name);
}

enum code base_model_clip_path(const char *path, char *out, size_t room, struct err *e)
{
    const char *elsewhere = getenv("ENGRAM_CLIP");
    if (elsewhere && *elsewhere) {
        if ((size_t)snprintf(out, room, "%s", elsewhere) < room) return OK;
        return err_set(e, ERR_INPUT, "ENGRAM_CLIP: path too long: %.200s", elsewhere);
    }
    return single_file_is(path) ? single_file_beside(path, ".clip", out, room, e)
                                : inside(path, "clip", out, room, e);
}

/* The first that is there of <stem>.tokenizer/, tokenizer/ beside the file, $ENGRAM_TOKENIZER. */
static enum code find_tokenizer(const char *path, char out[PATH_MOST], struct err *e)
{
    const char *elsewhere = getenv("ENGRAM_TOKENIZER"), *slash = strrchr(path, '/');
    enum code rc = single_file_beside(path, ".tokenizer", out, PATH_MOST, e);
    if (rc || file_exists(out)) return rc;
    if (snprintf(out, PATH_MOST, "%.*stokenizer", slash ? (int)(slash - path) + 1 : 0, path) <
            PATH_MOST &&
        file_exists(out))
        return OK;
    if (elsewhere && *elsewhere) {
        if (snprintf(out, PATH_MOST, "%s", elsewhere) < PATH_MOST && file_exists(out)) return OK;
        return err_set(e, ERR_NOT_FOUND, "ENGRAM_TOKENIZER is %.200s, which does not exist",
                       elsewhere);
    }
    single_file_beside(path, ".tokenizer", out, PATH_MOST, e);
    return err_set(e, ERR_NOT_FOUND,
                   "%s: a single file holds no tokenizer; copy the tokenizer/ folder of any Stable "
                   "Diffusion 1.x or 2.x diffusers directory (its merges.txt is enough) to %s/ or "
                   "name it by ENGRAM_TOKENIZER",
                   path, out);
}

enum code base_model_tokenizer_path(const char *path, char *out, size_t room, struct err *e)
{
    char dir[PATH_MOST];
    if (!single_file_is(path)) return inside(path, "tokenizer", out, room, e);
    enum code rc = find_tokenizer(path, dir, e);
    if (rc) return rc;
    if ((size_t)snprintf(out, room, "%s", dir) < room) return OK;
    return err_set(e, ERR_INPUT, "path too long: %.200s", dir);
}

enum code base_model_tokenizer_open(struct tokenizer **t, const char *path, struct err *e)
{
    char dir[PATH_MOST];
    const char *pad;
    *t = NULL;
    enum code rc = base_model_tokenizer_path(path, dir, sizeof dir, e);
    if (rc) return rc;
    if (!single_file_is(path)) return tokenizer_open(t, dir, e);
    if ((rc = single_file_pad(path, &pad, e))) return rc;
    return tokenizer_open_padded(t, dir, pad, e);
}
