/* weights_files.c - one file, its half-precision variant, or the shards that an index lists.
 *
 * An index is somebody else's text that names files: a name with a separator or a parent reference is refused before it
 * meets the file system.
 */
#include "pipeline/model/weights_files.h"
#include "base/arena.h"
#include "pipeline/model/jsonfile.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MOST 4096
/* No published model has more than a few dozen; the limit keeps a hostile index from opening every file of a disk. */
#define SHARDS_MOST 1024

static enum code join(char path[PATH_MOST], const char *dir, const char *stem, const char *tail,
                      struct err *e)
{
    if (snprintf(path, PATH_MOST, "%s/%s%s", dir, stem, tail) < PATH_MOST) return OK;
    return err_set(e, ERR_INPUT, "path too long: %.200s/%.100s%s", dir, stem, tail);
}

static enum code open_one(struct weights_files *f, const char *path, struct err *e)
{
    struct safetensors **grown = mem_grow(f->file, f->n, f->n + 1, sizeof(void *));
    if (!grown) return err_set(e, ERR_NOMEM, "%s: no memory to open it", path);
    f->file = grown;
    enum code rc = safetensors_open(&f->file[f->n], path, e);
    if (!rc) f->n++;
    return rc;
}

/* ---- shards --------------------------------------------------------------------------------------------------------- */

static int is_plain_name(const char *s)
{
    return s && *s && !strchr(s, '/') && !strchr(s, '\\') && !strstr(s, "..");
}

/* Collects the distinct shard names of the index into name[], borrowed from the JSON. */
static size_t shard_names(struct jsonfile *f, const char **name)
{
    size_t n = 0;
    const char *tensor;
    json_t *value;
    jsonfile_enter(f, "weight_map", "weight_map.");
    if (f->rc) return 0;
    json_object_foreach(f->at, tensor, value)
    {
        const char *shard = json_string_value(value);
        size_t i = 0;
        if (!is_plain_name(shard)) {
            jsonfile_fail(f,
                          "weight_map puts %.100s into the file %.100s; only a file name beside "
                          "the index is allowed",
                          tensor, shard ? shard : "(no text)");
            return 0;
        }
        while (i < n && strcmp(name[i], shard) != 0) i++;
        if (i < n) continue;
        if (n == SHARDS_MOST) {
            jsonfile_fail(f, "weight_map names more than %d files", SHARDS_MOST);
            return 0;
        }
        name[n++] = shard;
    }
    if (!n) jsonfile_fail(f, "weight_map is empty");
    return n;
}

/* Every tensor the index promises is in one of the opened shards. */
static void check_promises(struct jsonfile *f, const struct weights_files *files)
{
    const char *tensor;
    json_t *value;
    if (f->rc) return;
    json_object_foreach(f->at, tensor, value)
    {
        size_t i = 0;
        while (i < files->n && !safetensors_find(files->file[i], tensor)) i++;
        if (i < files->n) continue;
        jsonfile_fail(f, "weight_map puts %.120s into %.120s, which does not hold it", tensor,
                      json_string_value(value));
        return;
    }
}

static enum code open_shards(struct weights_files *files, const char *dir, const char *index,
                             struct err *e)
{
    char path[PATH_MOST];
    const char **name = mem_alloc(SHARDS_MOST, sizeof *name);
    struct jsonfile f;
    size_t n;
    if (!name) return err_set(e, ERR_NOMEM, "%s: no memory to read it", index);
    jsonfile_open(&f, index, e);
    n = shard_names(&f, name);
    for (size_t i = 0; i < n && !f.rc; i++) {
        if ((f.rc = join(path, dir, name[i], "", e))) break;
        if (!file_exists(path)) {
            jsonfile_fail(&f, "shard %.160s is missing: %zu of %zu files that the index lists",
                          name[i], i + 1, n);
            break;
        }
        f.rc = open_one(files, path, e);
    }
    check_promises(&f, files);
    free(name);
    return jsonfile_close(&f);
}

/* ---- which ---------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *tail;
    int is_index;
} spellings[] = {
    {".safetensors", 0},
    {".safetensors.index.json", 1},
    {".fp16.safetensors", 0},
    {".safetensors.index.fp16.json", 1},
    {".fp16.safetensors.index.json", 1},
};
static const struct {
    const char *stem, *tail;
} pickles[] = {
    {NULL, ".bin"},     {NULL, ".fp16.bin"},       {NULL, ".ckpt"},
    {NULL, ".pt"},      {"pytorch_model", ".bin"}, {"pytorch_model", ".fp16.bin"},
    {NULL, ".msgpack"},
};

/* The name of a file <stem>.<variant>.safetensors, "" if there is none. */
static void find_variant(const char *dir, const char *stem, char out[NAME_MAX + 1])
{
    static const char suffix[] = ".safetensors";
    DIR *d = opendir(dir);
    size_t n_stem = strlen(stem), n_suffix = sizeof suffix - 1;
    *out = 0;
    for (struct dirent *x; d && (x = readdir(d));) {
        size_t n = strlen(x->d_name);
        if (n <= n_stem + n_suffix + 1 || strncmp(x->d_name, stem, n_stem) != 0 ||
            x->d_name[n_stem] != '.' || strcmp(x->d_name + n - n_suffix, suffix) != 0)
            continue;
        if (!*out || strcmp(x->d_name, out) < 0) memcpy(out, x->d_name, n + 1);
    }
    if (d) closedir(d);
}

static enum code refuse(const char *dir, const char *stem, struct err *e)
{
    char path[PATH_MOST], variant[NAME_MAX + 1];
    find_variant(dir, stem, variant);
    if (*variant)
        return err_set(
            e, ERR_NOT_FOUND,
            "%s: only %.100s, a variant with other values than pictures are made with; if it is "
            "the one you want, copy it to %s.safetensors",
            dir, variant, stem);
    for (size_t i = 0; i < sizeof pickles / sizeof *pickles; i++) {
        enum code rc =
            join(path, dir, pickles[i].stem ? pickles[i].stem : stem, pickles[i].tail, e);
        if (rc) return rc;
        if (file_exists(path))
            return err_set(e, ERR_INPUT,
                           "%s is a pickle or Flax file, which Engram never loads; convert it with "
                           "safetensors "
                           "and save it as %s.safetensors",
                           path, stem);
    }
    return err_set(
        e, ERR_NOT_FOUND,
        "%s: no weights; expected %s.safetensors (or its .fp16 variant, or %s.safetensors.index."
        "json with its shards)",
        dir, stem, stem);
}

enum code weights_files_open(struct weights_files *f, const char *dir, const char *stem,
                             struct err *e)
{
    char path[PATH_MOST];
    enum code rc;
    *f = (struct weights_files){0};
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        if ((rc = join(path, dir, stem, spellings[i].tail, e))) return rc;
        if (!file_exists(path)) continue;
        rc = spellings[i].is_index ? open_shards(f, dir, path, e) : open_one(f, path, e);
        if (rc) weights_files_close(f);
        return rc;
    }
    return refuse(dir, stem, e);
}

void weights_files_close(struct weights_files *f)
{
    for (size_t i = 0; i < f->n; i++) safetensors_close(f->file[i]);
    free(f->file);
    *f = (struct weights_files){0};
}
