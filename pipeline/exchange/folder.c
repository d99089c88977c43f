/* folder.c - small files of the base, and JSON as diffusers prints it. */
#include "pipeline/exchange/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum code folder_read(const char *dir, const char *name, struct bytes *out, struct err *e)
{
    char path[4600];
    *out = (struct bytes){0};
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
        return err_set(e, ERR_INPUT, "path too long: %.200s/%.200s", dir, name);
    return file_exists(path) ? file_read(path, FOLDER_TEXT, out, e) : OK;
}

enum code folder_json(const char *dir, const char *name, json_t **out, struct err *e)
{
    struct bytes b;
    json_error_t why;
    *out = NULL;
    enum code rc = folder_read(dir, name, &b, e);
    if (rc || !b.data) return rc;
    *out = json_loadb((const char *)b.data, b.n, JSON_REJECT_DUPLICATES, &why);
    free(b.data);
    if (json_is_object(*out)) return OK;
    rc = err_set(e, ERR_INPUT, "%.300s/%s: %s", dir, name, *out ? "not a JSON object" : why.text);
    json_decref(*out);
    *out = NULL;
    return rc;
}

enum code folder_add(struct output *out, const char *path, json_t *j, struct err *e)
{
    char *text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
    size_t n = text ? strlen(text) : 0;
    enum code rc = ERR_NOMEM;
    json_decref(j);
    if (text) {
        text[n] = '\n'; /* in place of the NUL, which is not written */
        rc = output_add_text(out, path, text, n + 1, e);
    } else {
        err_set(e, rc, "no memory to plan %s", path);
    }
    free(text);
    return rc;
}
