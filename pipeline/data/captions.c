/* captions.c - metadata.jsonl, line by line. */
#include "pipeline/data/captions.h"

#include "base/arena.h"
#include "base/file.h"
#include "pipeline/data/concept.h"
#include "pipeline/data/words.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct place {
    const char *name;
    int line;
};

static char *copy_of(const char *s)
{
    char *copy = mem_alloc(strlen(s) + 1, 1);
    if (copy) memcpy(copy, s, strlen(s));
    return copy;
}

/* A file_name may only name a neighbour: it is somebody else's text and must not reach into other folders. */
static const char *file_mistake(const char *file)
{
    if (!file || !*file) return "has no \"file_name\"";
    if (strchr(file, '/') || strchr(file, '\\'))
        return "names a file in another folder; only images beside metadata.jsonl are read";
    return NULL;
}

static void take(const json_t *object, struct place at, struct captions *out, struct problems *p)
{
    const char *file = json_string_value(json_object_get(object, "file_name"));
    const char *text = json_string_value(json_object_get(object, "text"));
    const char *mistake = json_is_object(object) ? file_mistake(file) : "is no JSON object";
    char clean[CONCEPT_TEXT], place[600];
    struct err e = {0};
    if (!mistake && !text) mistake = "has no \"text\"";
    if (!mistake && out->n == CAPTIONS_MOST) mistake = "is one too many for a folder of images";
    if (!mistake && captions_find(out, file)) mistake = "names a file that an earlier line has";
    if (mistake) {
        problems_add(p, ERR_INPUT, "%s:%d: the line %s", at.name, at.line, mistake);
        return;
    }
    snprintf(place, sizeof place, "%.500s:%d: \"text\"", at.name, at.line);
    if (words_clean(text, strlen(text), place, clean, sizeof clean, &e)) {
        problems_add(p, e.code, "%s", e.text);
        return;
    }
    if (!*clean) {
        problems_add(p, ERR_INPUT, "%s is empty; write a sentence or remove the line", place);
        return;
    }
    struct caption c = {.file = copy_of(file), .text = copy_of(clean), .line = at.line};
    void *grown = mem_grow(out->caption, out->n, out->n + 1, sizeof *out->caption);
    if (grown) out->caption = grown;
    if (grown && c.file && c.text) out->caption[out->n++] = c;
    else {
        free(c.file);
        free(c.text);
        problems_add(p, ERR_NOMEM, "%s: out of memory", at.name);
    }
}

static int is_blank(const char *s, size_t n)
{
    while (n && strchr(" \t\r", *s) && *s) s++, n--;
    return !n;
}

void captions_parse(const char *text, size_t bytes, const char *name, struct captions *out,
                    struct problems *p)
{
    const char *end = text + bytes;
    struct place at = {.name = name, .line = 1};
    *out = (struct captions){0};
    for (const char *line = text; line < end; at.line++) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t n = (size_t)((stop ? stop : end) - line);
        json_error_t why;
        if (!is_blank(line, n)) {
            json_t *object = json_loadb(line, n, JSON_REJECT_DUPLICATES, &why);
            if (object) take(object, at, out, p);
            else problems_add(p, ERR_INPUT, "%s:%d:%d: %s", name, at.line, why.column, why.text);
            json_decref(object);
        }
        line += n + (stop != NULL);
    }
}

void captions_read(const char *path, struct captions *out, struct problems *p)
{
    struct bytes b = {0};
    struct err e = {0};
    *out = (struct captions){0};
    if (file_read(path, CAPTIONS_BYTES, &b, &e)) problems_add(p, e.code, "%s", e.text);
    else captions_parse((const char *)b.data, b.n, path, out, p);
    free(b.data);
}

const char *captions_find(const struct captions *c, const char *file)
{
    for (size_t i = 0; i < c->n; i++)
        if (!strcmp(c->caption[i].file, file)) return c->caption[i].text;
    return NULL;
}

void captions_fini(struct captions *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free(c->caption[i].file);
        free(c->caption[i].text);
    }
    free(c->caption);
    *c = (struct captions){0};
}
