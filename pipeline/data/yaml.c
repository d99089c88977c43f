/* yaml.c - libyaml's events, flattened while they come.
 *
 * The parser is pulled: one event is held at a time, next() lets the former one go. Nothing is built that the file could
 * make large, and what we do not read (lists, anchors, tags, a second document) ends the reading where it stands. */
#include "pipeline/data/yaml.h"

#include "base/arena.h"
#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistr.h>
#include <yaml.h>

#define DEPTH 4
#define PATH_ROOM 256
#define ENTRIES 4096 /* each is compared with all before it */

struct flatten {
    yaml_parser_t parser;
    yaml_event_t event; /* owned; the one that next() fetched */
    struct yaml *out;
    const char *name, *text;
    size_t bytes;
    struct err *e;
};

/* ---- events --------------------------------------------------------------------------------------------------------- */

/* An error where the event in hand begins. */
static enum code refuse(const struct flatten *f, const char *what)
{
    const yaml_mark_t *at = &f->event.start_mark;
    return err_set(f->e, ERR_USAGE, "%s:%zu:%zu: %s", f->name, at->line + 1, at->column + 1, what);
}

/* Bytes that are no characters have no mark, only an offset. */
static enum code refuse_bytes(const struct flatten *f, size_t offset, const char *what)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < offset && i < f->bytes; i++) {
        column = f->text[i] == '\n' ? 1 : column + ((f->text[i] & 0xc0) != 0x80);
        line += f->text[i] == '\n';
    }
    return err_set(f->e, ERR_USAGE, "%s:%zu:%zu: %s", f->name, line, column, what);
}

static enum code no_memory(const struct flatten *f)
{
    return err_set(f->e, ERR_NOMEM, "%s: out of memory", f->name);
}

static enum code syntax_error(const struct flatten *f)
{
    const yaml_parser_t *p = &f->parser;
    const char *why = p->problem ? p->problem : "not YAML";
    if (p->error == YAML_MEMORY_ERROR) return no_memory(f);
    if (p->error == YAML_READER_ERROR) return refuse_bytes(f, p->problem_offset, why);
    return err_set(f->e, ERR_USAGE, "%s:%zu:%zu: %s", f->name, p->problem_mark.line + 1,
                   p->problem_mark.column + 1, why);
}

static enum code next(struct flatten *f)
{
    yaml_event_delete(&f->event);
    return yaml_parser_parse(&f->parser, &f->event) ? OK : syntax_error(f);
}

/* ---- the tree ------------------------------------------------------------------------------------------------------- */

static char *copy(const void *s, size_t n)
{
    char *out = mem_alloc(n + 1, 1);
    if (out && n) memcpy(out, s, n);
    return out;
}

/* The scalar in hand is the value of path, whose key stands at line and column. */
static enum code entry_add(struct flatten *f, const char *path, size_t line, size_t column)
{
    const char *value = (const char *)f->event.data.scalar.value;
    size_t n = f->event.data.scalar.length;
    struct yaml *y = f->out;
    if (f->event.data.scalar.anchor || f->event.data.scalar.tag)
        return refuse(f, "anchors and tags are not read; write the value alone");
    if (memchr(value, 0, n)) return refuse(f, "a value holds a zero byte");
    if (y->n == ENTRIES) return refuse(f, "too many keys for a configuration file");
    struct yaml_entry *grown = mem_grow(y->entry, y->n, y->n + 1, sizeof *grown);
    if (!grown) return no_memory(f);
    y->entry = grown;
    struct yaml_entry *new = &y->entry[y->n++];
    *new = (struct yaml_entry){copy(path, strlen(path)), copy(value, n), (int)line, (int)column};
    return new->path &&new->value ? OK : no_memory(f);
}

/* The scalar in hand is a key below prefix: path becomes its full name, which must be new. */
static enum code key_take(struct flatten *f, const char *prefix, char path[PATH_ROOM])
{
    const char *key = (const char *)f->event.data.scalar.value;
    size_t n_key = f->event.data.scalar.length;
    if (f->event.type != YAML_SCALAR_EVENT || !n_key || strlen(key) != n_key)
        return refuse(f, "a key is not a plain word");
    if (f->event.data.scalar.anchor || f->event.data.scalar.tag)
        return refuse(f, "anchors and tags are not read; write the key alone");
    int n = snprintf(path, PATH_ROOM, "%s%s%s", prefix, *prefix ? "." : "", key);
    if (n >= PATH_ROOM) return refuse(f, "a key is too long");
    for (size_t i = 0; i < f->out->n; i++) {
        const char *had = f->out->entry[i].path;
        char line[PATH_ROOM + 60];
        if (strncmp(had, path, (size_t)n) || (had[n] && had[n] != '.')) continue;
        snprintf(line, sizeof line, "%s is given twice, first in line %d", path,
                 f->out->entry[i].line);
        return refuse(f, line);
    }
    return OK;
}

static enum code map_read(struct flatten *f, const char *prefix, int depth);

/* One "key: value"; the key is in hand. */
static enum code pair_read(struct flatten *f, const char *prefix, int depth)
{
    char path[PATH_ROOM], line[PATH_ROOM + 60];
    size_t at_line = f->event.start_mark.line + 1, at_column = f->event.start_mark.column + 1;
    enum code rc = key_take(f, prefix, path);
    if (!rc) rc = next(f);
    if (rc) return rc;
    switch (f->event.type) {
    case YAML_SCALAR_EVENT: return entry_add(f, path, at_line, at_column);
    case YAML_MAPPING_START_EVENT:
        if (depth < DEPTH) return map_read(f, path, depth + 1);
        snprintf(line, sizeof line, "%s is nested too deep", path);
        return refuse(f, line);
    default:
        snprintf(line, sizeof line, "%s must be one value, not a list or a reference", path);
        return refuse(f, line);
    }
}

/* Up to the end of the mapping whose beginning is in hand. */
static enum code map_read(struct flatten *f, const char *prefix, int depth)
{
    enum code rc;
    if (f->event.data.mapping_start.anchor || f->event.data.mapping_start.tag)
        return refuse(f, "anchors and tags are not read");
    while (!(rc = next(f)) && f->event.type != YAML_MAPPING_END_EVENT)
        if ((rc = pair_read(f, prefix, depth))) break;
    return rc;
}

/* A file without a document is as good as an empty mapping. */
static enum code document_read(struct flatten *f)
{
    enum code rc = next(f); /* the stream begins */
    if (!rc) rc = next(f);
    if (rc || f->event.type == YAML_STREAM_END_EVENT) return rc;
    if ((rc = next(f))) return rc; /* the root */
    if (f->event.type == YAML_MAPPING_START_EVENT) rc = map_read(f, "", 1);
    else if (f->event.type != YAML_SCALAR_EVENT || f->event.data.scalar.length)
        rc = refuse(f, "expected \"key: value\" lines");
    if (!rc) rc = next(f); /* the document ends */
    if (!rc) rc = next(f);
    if (!rc && f->event.type != YAML_STREAM_END_EVENT)
        rc = refuse(f, "a second document; one file is one configuration");
    return rc;
}

/* ---- in and out ----------------------------------------------------------------------------------------------------- */

enum code yaml_parse(const char *text, size_t bytes, const char *name, struct yaml *out,
                     struct err *e)
{
    struct flatten f = {.out = out, .name = name, .text = text, .bytes = bytes, .e = e};
    const uint8_t *bad = bytes ? u8_check((const uint8_t *)text, bytes) : NULL;
    *out = (struct yaml){0};
    if (bad)
        return refuse_bytes(&f, (size_t)((const char *)bad - text),
                            "this is not UTF-8; save the file as UTF-8");
    if (!yaml_parser_initialize(&f.parser)) return no_memory(&f);
    yaml_parser_set_encoding(&f.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&f.parser, (const unsigned char *)text, bytes);
    enum code rc = document_read(&f);
    yaml_event_delete(&f.event);
    yaml_parser_delete(&f.parser);
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
