/* prompts.c - prompt files: one prompt a line, or "id | concepts | text". */
#include "pipeline/data/concept.h"

#include "base/arena.h"
#include "base/file.h"
#include "pipeline/data/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES (4u << 20)
#define PROMPTS 10000
#define PLACE 512 /* "path:line" for errors; a longer path is cut there */

struct line {
    const char *s;
    size_t n;
    int number;
};

struct named {
    const char *id; /* borrowed from the prompt */
    int line;
};
struct reading {
    const char *path;
    struct prompts *out;
    struct named *named; /* owned, [out->n] */
};

static char *copy(const char *s)
{
    size_t n = strlen(s) + 1;
    char *out = mem_alloc(n, 1);
    if (out) memcpy(out, s, n);
    return out;
}

static enum code add(struct reading *r, const char *id, const char *concepts, const char *text,
                     const char *place, int number, struct err *e)
{
    struct prompts *p = r->out;
    if (!*text)
        return err_set(e, ERR_INPUT, "%s: no text; expected \"id | concepts | text\"", place);
    if (!*id) return err_set(e, ERR_INPUT, "%s: no id before the first |", place);
    if (p->n == PROMPTS) return err_set(e, ERR_INPUT, "%s: more than %d prompts", place, PROMPTS);
    struct prompt *grown = mem_grow(p->prompt, (size_t)p->n, (size_t)p->n + 1, sizeof *grown);
    if (!grown) return err_set(e, ERR_NOMEM, "%s: out of memory", place);
    p->prompt = grown;
    struct named *names = mem_grow(r->named, (size_t)p->n, (size_t)p->n + 1, sizeof *names);
    if (!names) return err_set(e, ERR_NOMEM, "%s: out of memory", place);
    r->named = names;
    struct prompt *new = &grown[p->n++];
    *new = (struct prompt){copy(id), copy(concepts), copy(text)};
    if (!new->id || !new->concepts || !new->text)
        return err_set(e, ERR_NOMEM, "%s: out of memory", place);
    names[p->n - 1] = (struct named){new->id, number};
    return OK;
}

static int by_id_and_line(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int c = strcmp(x->id, y->id);
    return c ? c : (x->line > y->line) - (x->line < y->line);
}

/* Each id once. Sorted, for ten thousand ids compared with each other take their time. */
static enum code check_ids(struct reading *r, struct err *e)
{
    const struct named *twice = NULL;
    size_t n = (size_t)r->out->n;
    if (n) qsort(r->named, n, sizeof *r->named, by_id_and_line);
    for (size_t i = 1; i < n; i++)
        if (!strcmp(r->named[i].id, r->named[i - 1].id) &&
            (!twice || r->named[i].line < twice->line))
            twice = &r->named[i];
    if (!twice) return OK;
    return err_set(e, ERR_INPUT, "%s:%d: the id \"%s\" is taken by a line above", r->path,
                   twice->line, twice->id);
}

static enum code add_line(struct reading *r, struct line l, struct err *e)
{
    char place[PLACE], id[CONCEPT_TEXT], concepts[CONCEPT_TEXT], text[CONCEPT_TEXT], number[16];
    snprintf(place, sizeof place, "%s:%d", r->path, l.number);
    const char *bar = memchr(l.s, '|', l.n), *end = l.s + l.n;
    const char *second = bar ? memchr(bar + 1, '|', (size_t)(end - bar - 1)) : NULL;
    enum code rc;
    if (bar && !second)
        return err_set(e, ERR_INPUT,
                       "%s: one |; expected \"id | concepts | text\" or the text alone", place);
    if ((rc = words_clean(second ? second + 1 : l.s, (size_t)(end - (second ? second + 1 : l.s)),
                          place, text, sizeof text, e)))
        return rc;
    if (!second) {
        if (!*text || *text == '#') return OK;
        snprintf(number, sizeof number, "%d", l.number);
        return add(r, number, "", text, place, l.number, e);
    }
    if ((rc = words_clean(l.s, (size_t)(bar - l.s), place, id, sizeof id, e))) return rc;
    if (*id == '#') return OK;
    if ((rc =
             words_clean(bar + 1, (size_t)(second - bar - 1), place, concepts, sizeof concepts, e)))
        return rc;
    return add(r, id, concepts, text, place, l.number, e);
}

static int is_comment(const struct line *l)
{
    size_t i = 0;
    while (i < l->n && (l->s[i] == ' ' || l->s[i] == '\t')) i++;
    return i < l->n && l->s[i] == '#';
}

enum code prompts_read(const char *path, struct prompts *out, struct err *e)
{
    struct bytes b = {0};
    struct reading r = {path, out, NULL};
    *out = (struct prompts){0};
    enum code rc = file_read(path, FILE_BYTES, &b, e);
    const char *s = (const char *)b.data, *end = s + b.n;
    if (!rc && b.n >= 3 && !memcmp(s, "\xef\xbb\xbf", 3)) s += 3;
    for (int number = 1; !rc && s < end; number++) {
        const char *stop = memchr(s, '\n', (size_t)(end - s));
        struct line l = {s, (size_t)((stop ? stop : end) - s), number};
        if (!is_comment(&l)) rc = add_line(&r, l, e);
        s = stop ? stop + 1 : end;
    }
    if (!rc) rc = check_ids(&r, e);
    if (!rc && !out->n) rc = err_set(e, ERR_INPUT, "%s holds no prompt; write one a line", path);
    free(b.data);
    free(r.named);
    if (rc) prompts_fini(out);
    return rc;
}

void prompts_fini(struct prompts *p)
{
    for (int i = 0; i < p->n; i++) {
        free(p->prompt[i].id);
        free(p->prompt[i].concepts);
        free(p->prompt[i].text);
    }
    free(p->prompt);
    *p = (struct prompts){0};
}
