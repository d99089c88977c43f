/* yaml.c - libfyaml's document tree, flattened. */
#include "pipeline/data/yaml.h"

#include "base/arena.h"
#include "base/file.h"

#include <libfyaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH 4
#define PATH_ROOM 256

struct flatten {
    struct yaml *out;
    const char *name;
    struct err *e;
};

static enum code entry_add(struct flatten *f, const char *path, const char *value, size_t n,
                           const struct fy_mark *at)
{
    struct yaml *y = f->out;
    struct yaml_entry *grown = mem_grow(y->entry, y->n, y->n + 1, sizeof *grown);
    if (!grown) return err_set(f->e, ERR_NOMEM, "%s: out of memory", f->name);
    y->entry = grown;
    struct yaml_entry *new = &y->entry[y->n++];
    new->line = at ? at->line + 1 : 1;
    new->column = at ? at->column + 1 : 1;
    new->path = mem_alloc(strlen(path) + 1, 1);
    new->value = mem_alloc(n + 1, 1);
    if (!new->path || !new->value) return err_set(f->e, ERR_NOMEM, "%s: out of memory", f->name);
    memcpy(new->path, path, strlen(path));
    if (n) memcpy(new->value, value, n);
    return OK;
}

static enum code walk(struct flatten *f, struct fy_node *map, const char *prefix, int depth);

static enum code walk_pair(struct flatten *f, struct fy_node_pair *pair, const char *prefix,
                           int depth)
{
    struct fy_node *key = fy_node_pair_key(pair), *value = fy_node_pair_value(pair);
    size_t n_key = 0, n_value = 0;
    const char *k = key && fy_node_is_scalar(key) ? fy_node_get_scalar(key, &n_key) : NULL;
    if (!k || !n_key) return err_set(f->e, ERR_USAGE, "%s: a key is not a plain word", f->name);
    const struct fy_mark *at = fy_token_start_mark(fy_node_get_scalar_token(key));
    int line = at ? at->line + 1 : 1, column = at ? at->column + 1 : 1;
    char path[PATH_ROOM];
    int n = snprintf(path, sizeof path, "%s%s%.*s", prefix, *prefix ? "." : "", (int)n_key, k);
    if (n >= PATH_ROOM)
        return err_set(f->e, ERR_USAGE, "%s:%d:%d: a key is too long", f->name, line, column);
    for (size_t i = 0; i < f->out->n; i++) {
        const char *had = f->out->entry[i].path;
        if (!strncmp(had, path, (size_t)n) && (!had[n] || had[n] == '.'))
            return err_set(f->e, ERR_USAGE, "%s:%d:%d: %s is given twice, first in line %d",
                           f->name, line, column, path, f->out->entry[i].line);
    }
    if (value && fy_node_is_mapping(value)) {
        if (depth == DEPTH)
            return err_set(f->e, ERR_USAGE, "%s:%d:%d: %s is nested too deep", f->name, line,
                           column, path);
        return walk(f, value, path, depth + 1);
    }
    if (value && !fy_node_is_scalar(value))
        return err_set(f->e, ERR_USAGE, "%s:%d:%d: %s must be one value, not a list", f->name, line,
                       column, path);
    const char *v = value ? fy_node_get_scalar(value, &n_value) : "";
    return entry_add(f, path, v ? v : "", v ? n_value : 0, at);
}

static enum code walk(struct flatten *f, struct fy_node *map, const char *prefix, int depth)
{
    enum code rc = OK;
    void *iter = NULL;
    for (struct fy_node_pair *p; rc == OK && (p = fy_node_mapping_iterate(map, &iter));)
        rc = walk_pair(f, p, prefix, depth);
    return rc;
}

static enum code syntax_error(struct fy_diag *diag, const char *name, struct err *e)
{
    void *iter = NULL;
    struct fy_diag_error *first = fy_diag_errors_iterate(diag, &iter);
    if (!first) return err_set(e, ERR_USAGE, "%s: not a YAML file", name);
    return err_set(e, ERR_USAGE, "%s:%d:%d: %s", name, first->line + 1, first->column + 1,
                   first->msg);
}

enum code yaml_parse(const char *text, size_t bytes, const char *name, struct yaml *out,
                     struct err *e)
{
    *out = (struct yaml){0};
    struct fy_diag_cfg quiet;
    fy_diag_cfg_default(&quiet);
    struct fy_diag *diag = fy_diag_create(&quiet);
    if (!diag) return err_set(e, ERR_NOMEM, "%s: out of memory", name);
    fy_diag_set_collect_errors(diag, true);
    /* The library would refuse a key given twice, but with the place where the mapping ends: walk_pair knows better. */
    struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET | FYPCF_ALLOW_DUPLICATE_KEYS, .diag = diag};
    struct fy_document *doc = fy_document_build_from_string(&cfg, text, bytes);
    struct fy_node *root = doc ? fy_document_root(doc) : NULL;
    struct flatten f = {out, name, e};
    enum code rc = OK;
    if (!doc) rc = bytes ? syntax_error(diag, name, e) : OK;
    else if (root && fy_node_is_mapping(root)) rc = walk(&f, root, "", 1);
    else if (root && !(fy_node_is_scalar(root) && !*fy_node_get_scalar0(root)))
        rc = err_set(e, ERR_USAGE, "%s: expected \"key: value\" lines", name);
    fy_document_destroy(doc);
    fy_diag_destroy(diag);
    if (rc) yaml_fini(out);
    return rc;
}

enum code yaml_read(const char *path, struct yaml *out, struct err *e)
{
    struct bytes b = {0};
    *out = (struct yaml){0};
    enum code rc = file_read(path, YAML_BYTES, &b, e);
    if (!rc) rc = yaml_parse((const char *)b.data, b.n, path, out, e);
    free(b.data);
    return rc;
}

void yaml_fini(struct yaml *y)
{
    for (size_t i = 0; i < y->n; i++) {
        free(y->entry[i].path);
        free(y->entry[i].value);
    }
    free(y->entry);
    *y = (struct yaml){0};
}
