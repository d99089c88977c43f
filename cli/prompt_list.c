/* prompt_list.c - lists of prompts, their placeholders, and the same prompts for readers without our tokens. */
#include "cli/prompt_list.h"

#include "base/file.h"
#include "base/text.h"
#include "pipeline/data/words.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES = PROTO_PROMPTS * (PROTO_PROMPT + 2) };

static enum code add(struct prompt_list *l, const char *prompt, struct arena *a, struct err *e)
{
    const char **bigger = arena_alloc(a, (l->n + 1) * sizeof *bigger);
    const char *kept = arena_strdup(a, prompt);
    if (!bigger || !kept) return err_set(e, ERR_NOMEM, "out of memory for prompts");
    if (l->n) memcpy(bigger, l->drawn, l->n * sizeof *bigger);
    bigger[l->n++] = kept;
    l->drawn = bigger;
    return OK;
}

enum code prompt_list_add(struct prompt_list *l, const struct words *given, struct arena *a,
                          struct err *e)
{
    enum code rc = OK;
    for (size_t i = 0; !rc && i < given->n; i++) rc = add(l, given->v[i], a, e);
    return rc;
}

/* A line becomes a prompt, unless it is empty. */
static enum code add_line(struct prompt_list *l, const char *path, int number, const char *line,
                          size_t n, struct arena *a, struct err *e)
{
    char where[4200], prompt[PROTO_PROMPT + 1];
    snprintf(where, sizeof where, "%s:%d", path, number);
    enum code rc = words_clean(line, n, where, prompt, sizeof prompt, e);
    if (rc || !*prompt) return rc;
    if (l->n == PROTO_PROMPTS)
        return err_set(e, ERR_INPUT, "%s: more than %d prompts; draw them in parts", where,
                       PROTO_PROMPTS);
    return add(l, prompt, a, e);
}

enum code prompt_list_read(struct prompt_list *l, const char *path, struct arena *a, struct err *e)
{
    struct bytes b = {0};
    size_t before = l->n, at = 0;
    enum code rc = file_read(path, FILE_BYTES, &b, e);
    for (int number = 1; !rc && at < b.n; number++) {
        const char *line = (const char *)b.data + at;
        const char *end = memchr(line, '\n', b.n - at);
        size_t n = end ? (size_t)(end - line) : b.n - at;
        rc = add_line(l, path, number, line, n, a, e);
        at += n + 1;
    }
    free(b.data);
    if (!rc && l->n == before) rc = err_set(e, ERR_INPUT, "%s: there is no prompt in it", path);
    return rc;
}

/* ---- placeholders ---- */

/* "{}" or "{7}" at s: its length, and the number in it or -1; 0: none. */
static size_t placeholder(const char *s, int *number)
{
    *number = -1;
    if (s[0] != '{') return 0;
    if (s[1] == '}') return 2;
    if (!isdigit((unsigned char)s[1]) || s[2] != '}') return 0;
    *number = s[1] - '0';
    return 3;
}

static int has_placeholder(const struct prompt_list *l)
{
    int number;
    for (size_t i = 0; i < l->n; i++)
        for (const char *s = l->drawn[i]; *s; s++)
            if (placeholder(s, &number)) return 1;
    return 0;
}

static const struct commit_row *row_of(const struct commit_rows *known, const char *token, size_t n)
{
    for (size_t i = 0; i < known->n; i++)
        if (strlen(known->v[i].token) == n && !memcmp(known->v[i].token, token, n))
            return &known->v[i];
    return NULL;
}

static enum code concepts_find(const struct words *tokens, const char *lineage,
                               const struct commit_rows *known, struct arena *a,
                               const struct commit_row ***out, size_t *n, struct err *e)
{
    *n = tokens->n ? tokens->n : 1;
    *out = arena_alloc(a, *n * sizeof **out);
    if (!*out) return err_set(e, ERR_NOMEM, "out of memory for prompts");
    if (!tokens->n && !known->n)
        return err_set(e, ERR_NOT_FOUND, "a prompt has {} in it, but the lineage has no concept");
    if (!tokens->n) (*out)[0] = &known->v[known->n - 1];
    for (size_t i = 0; i < tokens->n; i++)
        if (!((*out)[i] = row_of(known, tokens->v[i], strlen(tokens->v[i]))))
            return err_set(
                e, ERR_NOT_FOUND,
                "--concept %s: the lineage has not learned it; engram log %s lists what it has",
                tokens->v[i], lineage);
    return OK;
}

static enum code fill_one(const char *prompt, const struct commit_row *const *concept, size_t n,
                          struct text *out, struct err *e)
{
    size_t next = 0, length;
    for (const char *s = prompt; *s; s += length) {
        int number;
        length = placeholder(s, &number);
        if (!length) {
            text_add_bytes(out, s, length = 1);
            continue;
        }
        size_t which = number < 0 ? next++ : (size_t)number;
        if (which >= n)
            return err_set(e, ERR_NOT_FOUND,
                           "%.*s in \"%s\" is concept number %zu of %zu; name more by --concept",
                           (int)length, s, prompt, which + 1, n);
        text_printf(out, "%s %s", concept[which] -> token, concept[which] -> class_word);
    }
    return OK;
}

/* "<rex> dog" and "<rex>" become "dog". */
static void plain_add(const char *prompt, const struct commit_rows *known, struct text *out)
{
    for (size_t n; *prompt; prompt += n) {
        const char *end = *prompt == '<' ? strchr(prompt, '>') : NULL;
        const struct commit_row *row =
            end ? row_of(known, prompt, (size_t)(end + 1 - prompt)) : NULL;
        n = row ? (size_t)(end + 1 - prompt) : 1;
        if (!row) {
            text_add_bytes(out, prompt, 1);
            continue;
        }
        size_t words = strlen(row->class_word);
        if (prompt[n] == ' ' && !strncmp(prompt + n + 1, row->class_word, words) &&
            !isalnum((unsigned char)prompt[n + 1 + words]))
            n += 1 + words;
        text_add(out, row->class_word);
    }
}

static enum code keep_take(struct text *t, struct arena *a, const char **out, struct err *e)
{
    *out = text_ok(t) ? arena_strdup(a, t->s ? t->s : "") : NULL;
    text_fini(t);
    return *out ? OK : err_set(e, ERR_NOMEM, "out of memory for prompts");
}

enum code prompt_list_fill(struct prompt_list *l, const struct words *concepts, const char *lineage,
                           const struct commit_rows *known, struct arena *a, struct err *e)
{
    const struct commit_row **concept = NULL;
    size_t n = 0;
    enum code rc = OK;
    if (concepts->n || has_placeholder(l))
        rc = concepts_find(concepts, lineage, known, a, &concept, &n, e);
    l->plain = arena_alloc(a, (l->n + 1) * sizeof *l->plain);
    if (!rc && !l->plain) rc = err_set(e, ERR_NOMEM, "out of memory for prompts");
    for (size_t i = 0; !rc && i < l->n; i++) {
        struct text filled = {0}, plain = {0};
        rc = fill_one(l->drawn[i], concept, n, &filled, e);
        if (rc) text_fini(&filled);
        if (!rc) rc = keep_take(&filled, a, &l->drawn[i], e);
        if (rc) break;
        plain_add(l->drawn[i], known, &plain);
        rc = keep_take(&plain, a, &l->plain[i], e);
    }
    return rc;
}
