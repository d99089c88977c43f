/* jsonfile.c - typed, sticky reading of JSON with jansson. */
#include "pipeline/model/jsonfile.h"
#include "base/file.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* vocab.json of CLIP is 1 MB, an index of a large model as much. */
#define JSONFILE_LIMIT (64u << 20)

enum code jsonfile_open(struct jsonfile *f, const char *path, struct err *e)
{
    struct bytes b;
    json_error_t why;
    *f = (struct jsonfile){.path = path, .where = "", .e = e};
    if ((f->rc = file_read(path, JSONFILE_LIMIT, &b, e))) return f->rc;
    f->root = json_loadb((const char *)b.data, b.n, JSON_REJECT_DUPLICATES, &why);
    free(b.data);
    if (!f->root && (!why.text[0] || json_error_code(&why) == json_error_out_of_memory))
        return f->rc = err_set(e, ERR_NOMEM, "%s: no memory to read it", path);
    if (!f->root)
        return f->rc = err_set(e, ERR_INPUT, "%s:%d:%d: %s", path, why.line, why.column, why.text);
    f->at = f->root;
    if (!json_is_object(f->root)) jsonfile_fail(f, "not a JSON object");
    return f->rc;
}

enum code jsonfile_close(struct jsonfile *f)
{
    json_decref(f->root);
    f->root = f->at = NULL;
    return f->rc;
}

void jsonfile_enter(struct jsonfile *f, const char *key, const char *where)
{
    if (f->rc) return;
    f->at = key ? json_object_get(f->root, key) : f->root;
    f->where = key ? where : "";
    if (json_is_object(f->at)) return;
    f->at = f->root;
    f->where = "";
    jsonfile_fail(f, "%s is missing or not an object", key);
}

enum code jsonfile_fail(struct jsonfile *f, const char *fmt, ...)
{
    char line[400];
    va_list args;
    if (f->rc) return f->rc;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    return f->rc = err_set(f->e, ERR_INPUT, "%s: %s", f->path, line);
}

static json_t *value_of(const struct jsonfile *f, const char *key)
{
    return f->rc ? NULL : json_object_get(f->at, key);
}

int jsonfile_has(const struct jsonfile *f, const char *key)
{
    json_t *v = value_of(f, key);
    return v && !json_is_null(v);
}

static int read_int(struct jsonfile *f, const char *key, const json_t *v, int least, int most)
{
    if (!json_is_integer(v) || json_integer_value(v) < least || json_integer_value(v) > most) {
        jsonfile_fail(f, "%s%s must be a whole number from %d to %d", f->where, key, least, most);
        return least;
    }
    return (int)json_integer_value(v);
}

int jsonfile_int(struct jsonfile *f, const char *key, int otherwise, int least, int most)
{
    json_t *v = value_of(f, key);
    return v ? read_int(f, key, v, least, most) : otherwise;
}

double jsonfile_real(struct jsonfile *f, const char *key, double otherwise)
{
    json_t *v = value_of(f, key);
    if (!v) return otherwise;
    if (json_is_number(v) && isfinite(json_number_value(v))) return json_number_value(v);
    jsonfile_fail(f, "%s%s must be a number", f->where, key);
    return otherwise;
}

int jsonfile_flag(struct jsonfile *f, const char *key, int otherwise)
{
    json_t *v = value_of(f, key);
    if (!v) return otherwise;
    if (!json_is_boolean(v)) jsonfile_fail(f, "%s%s must be true or false", f->where, key);
    return json_is_true(v);
}

const char *jsonfile_text(struct jsonfile *f, const char *key, const char *otherwise)
{
    json_t *v = value_of(f, key);
    if (!v) return otherwise;
    if (json_is_string(v)) return json_string_value(v);
    jsonfile_fail(f, "%s%s must be a text", f->where, key);
    return otherwise;
}

void jsonfile_ints(struct jsonfile *f, const char *key, int otherwise, int least, int most,
                   int *out, int n)
{
    json_t *v = value_of(f, key);
    for (int i = 0; i < n; i++) out[i] = otherwise;
    if (v && json_is_array(v) && json_array_size(v) != (size_t)n) {
        jsonfile_fail(f, "%s%s lists %zu numbers for %d levels", f->where, key, json_array_size(v),
                      n);
        return;
    }
    for (int i = 0; v && i < n && !f->rc; i++)
        out[i] = read_int(f, key, json_is_array(v) ? json_array_get(v, (size_t)i) : v, least, most);
}

size_t jsonfile_length(const struct jsonfile *f, const char *key)
{
    return json_array_size(value_of(f, key));
}

static void refuse(struct jsonfile *f, const char *key, const json_t *v, const char *wanted)
{
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
    jsonfile_fail(f, "%s%s is %.60s, which Engram does not compute (it needs %s)", f->where, key,
                  text ? text : "set", wanted);
    free(text);
}

void jsonfile_refuse_set(struct jsonfile *f, const char *key)
{
    if (jsonfile_has(f, key)) refuse(f, key, value_of(f, key), "null");
}

void jsonfile_refuse_true(struct jsonfile *f, const char *key)
{
    json_t *v = value_of(f, key);
    int is_off = !v || json_is_null(v) || json_is_false(v);
    if (v && json_is_array(v)) { /* per level */
        is_off = 1;
        for (size_t i = 0; i < json_array_size(v); i++)
            is_off &= json_is_false(json_array_get(v, i));
    }
    if (!is_off) refuse(f, key, v, "false");
}

void jsonfile_refuse_not(struct jsonfile *f, const char *key, const char *wanted)
{
    json_t *v = value_of(f, key);
    if (v && (!json_is_string(v) || strcmp(json_string_value(v), wanted) != 0))
        refuse(f, key, v, wanted);
}

void jsonfile_refuse_not_number(struct jsonfile *f, const char *key, double wanted)
{
    json_t *v = value_of(f, key);
    char text[40];
    snprintf(text, sizeof text, "%g", wanted);
    if (v && (!json_is_number(v) || json_number_value(v) != wanted)) refuse(f, key, v, text);
}
