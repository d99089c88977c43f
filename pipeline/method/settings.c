/* settings.c - one table from settings.def; everything else walks it. */
#include "pipeline/method/settings.h"

#include "pipeline/data/yaml.h"
#include "pipeline/model/solver.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum type { TYPE_REAL, TYPE_INT, TYPE_ENUM, TYPE_TEXT };

struct setting {
    const char *group, *name, *path;
    enum type type;
    size_t offset;              /* in struct settings */
    double least, most, number; /* range and default of numbers */
    const char *choices, *text; /* "a|b|c"; default of texts and enums */
    const char *what;
    int unrecorded; /* SETTING_HOW */
};

static const struct setting TABLE[] = {
#define SETTING_REAL(g, n, def, lo, hi, doc)       \
    {.group = #g,                                  \
     .name = #n,                                   \
     .path = #g "." #n,                            \
     .type = TYPE_REAL,                            \
     .offset = offsetof(struct settings, g##_##n), \
     .number = def,                                \
     .least = lo,                                  \
     .most = hi,                                   \
     .what = doc},
#define SETTING_INT(g, n, def, lo, hi, doc)        \
    {.group = #g,                                  \
     .name = #n,                                   \
     .path = #g "." #n,                            \
     .type = TYPE_INT,                             \
     .offset = offsetof(struct settings, g##_##n), \
     .number = def,                                \
     .least = lo,                                  \
     .most = (double)hi,                           \
     .what = doc},
#define SETTING_ENUM(g, n, def, list, doc)         \
    {.group = #g,                                  \
     .name = #n,                                   \
     .path = #g "." #n,                            \
     .type = TYPE_ENUM,                            \
     .offset = offsetof(struct settings, g##_##n), \
     .text = def,                                  \
     .choices = list,                              \
     .what = doc},
#define SETTING_HOW(g, n, def, list, doc)          \
    {.group = #g,                                  \
     .name = #n,                                   \
     .path = #g "." #n,                            \
     .type = TYPE_ENUM,                            \
     .offset = offsetof(struct settings, g##_##n), \
     .text = def,                                  \
     .choices = list,                              \
     .what = doc,                                  \
     .unrecorded = 1},
#define SETTING_TEXT(g, n, def, doc)               \
    {.group = #g,                                  \
     .name = #n,                                   \
     .path = #g "." #n,                            \
     .type = TYPE_TEXT,                            \
     .offset = offsetof(struct settings, g##_##n), \
     .text = def,                                  \
     .what = doc},
#include "pipeline/method/settings.def"
#undef SETTING_REAL
#undef SETTING_INT
#undef SETTING_ENUM
#undef SETTING_HOW
#undef SETTING_TEXT
};
#define N_SETTINGS (sizeof TABLE / sizeof TABLE[0])

static void *field(struct settings *s, const struct setting *t)
{
    return (char *)s + t->offset;
}

static const struct setting *find(const char *path)
{
    for (size_t i = 0; i < N_SETTINGS; i++)
        if (!strcmp(TABLE[i].path, path)) return &TABLE[i];
    return NULL;
}

static enum code unknown(const char *path, struct err *e)
{
    const char *names[N_SETTINGS];
    for (size_t i = 0; i < N_SETTINGS; i++) names[i] = TABLE[i].path;
    const char *near = text_nearest(path, names, N_SETTINGS);
    if (near) return err_set(e, ERR_USAGE, "unknown setting %s; did you mean %s?", path, near);
    return err_set(e, ERR_USAGE, "unknown setting %s; \"engram learn --help-settings\" lists them",
                   path);
}

/* Index of value in "a|b|c", or -1. */
static int choice(const char *choices, const char *value)
{
    size_t n = strlen(value);
    int i = 0;
    for (const char *c = choices; *c; i++) {
        size_t len = strcspn(c, "|");
        if (len == n && !memcmp(c, value, n)) return i;
        c += len + (c[len] == '|');
    }
    return -1;
}

static void choice_name(const char *choices, int index, char *out, size_t room)
{
    while (index--) choices += strcspn(choices, "|") + 1;
    snprintf(out, room, "%.*s", (int)strcspn(choices, "|"), choices);
}

static enum code put_number(struct settings *s, const struct setting *t, double v, struct err *e)
{
    if (!isfinite(v) || v < t->least || v > t->most)
        return err_set(e, ERR_USAGE, "%s = %g is outside %g to %g", t->path, v, t->least, t->most);
    if (t->type == TYPE_REAL)
        *(double *)field(s, t) = v + 0.0; /* -0 becomes 0: one number, one text */
    else *(int64_t *)field(s, t) = (int64_t)v;
    return OK;
}

static enum code put(struct settings *s, const struct setting *t, const char *value, struct err *e)
{
    if (t->type == TYPE_ENUM) {
        int i = choice(t->choices, value);
        if (i < 0)
            return err_set(e, ERR_USAGE, "%s = %s: expected one of %s", t->path, value, t->choices);
        *(int *)field(s, t) = i;
        return OK;
    }
    if (t->type == TYPE_TEXT) {
        if (strlen(value) >= SETTING_TEXT_BYTES)
            return err_set(e, ERR_USAGE, "%s is longer than %d bytes", t->path,
                           SETTING_TEXT_BYTES - 1);
        json_t *utf8 = json_string(value);
        json_decref(utf8);
        if (!utf8) return err_set(e, ERR_USAGE, "%s is not UTF-8", t->path);
        memset(field(s, t), 0, SETTING_TEXT_BYTES);
        memcpy(field(s, t), value, strlen(value));
        return OK;
    }
    char *end;
    errno = 0;
    double v = strtod(value, &end);
    if (end == value || *end || errno == ERANGE || (t->type == TYPE_INT && v != floor(v)))
        return err_set(e, ERR_USAGE, "%s = %s: expected a %s", t->path, value,
                       t->type == TYPE_INT ? "whole number" : "number");
    return put_number(s, t, v, e);
}

void settings_default(struct settings *s)
{
    memset(s, 0, sizeof *s);
    for (size_t i = 0; i < N_SETTINGS; i++) {
        const struct setting *t = &TABLE[i];
        if (t->type == TYPE_REAL || t->type == TYPE_INT) put_number(s, t, t->number, NULL);
        else put(s, t, t->text, NULL);
    }
}

enum code settings_set(struct settings *s, const char *assignment, struct err *e)
{
    char path[128];
    const char *eq = strchr(assignment, '=');
    if (!eq || eq == assignment || (size_t)(eq - assignment) >= sizeof path)
        return err_set(e, ERR_USAGE,
                       "\"%s\": expected group.name=value, for example train.steps=300",
                       assignment);
    snprintf(path, sizeof path, "%.*s", (int)(eq - assignment), assignment);
    const struct setting *t = find(path);
    return t ? put(s, t, eq + 1, e) : unknown(path, e);
}

enum code settings_read(struct settings *s, const char *path, struct problems *p, struct err *e)
{
    struct yaml y;
    enum code rc = yaml_read(path, &y, e);
    if (rc) {
        problems_add(p, rc, "%s", e ? e->text : path);
        return rc;
    }
    for (size_t i = 0; i < y.n; i++) {
        struct err why;
        const struct setting *t = find(y.entry[i].path);
        enum code one = t ? put(s, t, y.entry[i].value, &why) : unknown(y.entry[i].path, &why);
        if (!one) continue;
        problems_add(p, one, "%s:%d:%d: %s", path, y.entry[i].line, y.entry[i].column, why.text);
        rc = err_set(e, one, "%s:%d:%d: %s", path, y.entry[i].line, y.entry[i].column, why.text);
    }
    yaml_fini(&y);
    return rc;
}

static enum code put_json(struct settings *s, const struct setting *t, const json_t *v,
                          struct err *e)
{
    if (json_is_string(v) && (t->type == TYPE_ENUM || t->type == TYPE_TEXT))
        return put(s, t, json_string_value(v), e);
    if (json_is_number(v) && (t->type == TYPE_REAL || t->type == TYPE_INT)) {
        double d = json_number_value(v);
        if (t->type == TYPE_INT && d != floor(d))
            return err_set(e, ERR_USAGE, "%s = %g: expected a whole number", t->path, d);
        return put_number(s, t, d, e);
    }
    return err_set(e, ERR_USAGE, "%s has a value of the wrong type", t->path);
}

enum code settings_parse(struct settings *s, const char *json, struct err *e)
{
    json_error_t why;
    json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        return err_set(e, ERR_USAGE, "settings: line %d, column %d: %s", why.line, why.column,
                       why.text);
    settings_default(s);
    enum code rc =
        json_is_object(root) ? OK : err_set(e, ERR_USAGE, "settings: expected a JSON object");
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        const struct setting *t = find(key);
        if (!rc) rc = t ? put_json(s, t, value, e) : unknown(key, e);
    }
    json_decref(root);
    return rc;
}

enum code settings_check(const struct settings *s, struct err *e)
{
    const struct solver_kind *k = solver_kind_at(s->sample_sampler);
    if (s->sample_eta > 0 && !k->takes_eta)
        return err_set(
            e, ERR_USAGE,
            "sample.eta = %g with sample.sampler = %s: only ddim has an eta; leave it at 0",
            s->sample_eta, k->name);
    return OK;
}

/* Shortest decimal that reads back as the same double: the canonical form must not depend on who wrote it. */
static void number_add(struct text *out, double v)
{
    char s[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(s, sizeof s, "%.*g", digits, v);
        if (strtod(s, NULL) == v) break;
    }
    text_add(out, s);
}

static void string_add(struct text *out, const char *s)
{
    json_t *j = json_string(s);
    char *quoted = j ? json_dumps(j, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    if (quoted) text_add(out, quoted);
    else out->failed = 1;
    free(quoted);
    json_decref(j);
}

static void value_add(struct text *out, const struct settings *s, const struct setting *t)
{
    const char *at = (const char *)s + t->offset;
    char name[64];
    switch (t->type) {
    case TYPE_REAL: number_add(out, *(const double *)(const void *)at); break;
    case TYPE_INT: text_printf(out, "%" PRId64, *(const int64_t *)(const void *)at); break;
    case TYPE_TEXT: string_add(out, at); break;
    case TYPE_ENUM:
        choice_name(t->choices, *(const int *)(const void *)at, name, sizeof name);
        string_add(out, name);
        break;
    }
}

static void write_those(const struct settings *s, int with_unrecorded, struct text *out)
{
    const char *before = "{";
    for (size_t i = 0; i < N_SETTINGS; i++) {
        if (TABLE[i].unrecorded && !with_unrecorded) continue;
        text_printf(out, "%s\"%s\":", before, TABLE[i].path);
        value_add(out, s, &TABLE[i]);
        before = ",";
    }
    text_add(out, "}");
}

void settings_write(const struct settings *s, struct text *out)
{
    write_those(s, 1, out);
}

void settings_record(const struct settings *s, struct text *out)
{
    write_those(s, 0, out);
}

void settings_help(struct text *out)
{
    struct settings s;
    settings_default(&s);
    const char *group = "";
    for (size_t i = 0; i < N_SETTINGS; i++) {
        const struct setting *t = &TABLE[i];
        if (strcmp(group, t->group)) text_printf(out, "%s%s:\n", i ? "\n" : "", t->group);
        group = t->group;
        struct text value = {0};
        value_add(&value, &s, t);
        text_printf(out, "  %-16s %-28s %s", t->name, value.s ? value.s : "", t->what);
        if (t->choices) text_printf(out, " (%s)", t->choices);
        text_add(out, "\n");
        text_fini(&value);
    }
}
