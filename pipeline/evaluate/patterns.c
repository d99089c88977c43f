/* patterns.c - {concept} filled in, and the prompts of an evaluation that was given none. */
#include "pipeline/evaluate/patterns.h"

#include "pipeline/data/concept.h"
#include "pipeline/evaluate/evaluate.h"

#include <stdio.h>
#include <string.h>

#define HOLE "{concept}"
#define NAMES 160 /* room for a token and a class word in place of each hole */

/* Two each: one close to what training said, one that puts the concept where its photos did not show it. Few words, so that a
 * model of a small world knows them. */
static const char *const own_patterns[] = {
    "a photo of a " HOLE,
    "a " HOLE " in the forest",
    "scene: a photo of a " HOLE,
    "scene: a dog in the " HOLE,
    "style: a dog in " HOLE " style",
    "style: a house in " HOLE " style",
    NULL,
};

const char *const *evaluate_patterns(void)
{
    return own_patterns;
}

/* The text behind "style:", or NULL if the pattern is for every kind. kind receives the prefix. */
static const char *behind_kind(const char *pattern, char kind[16])
{
    const char *colon = strchr(pattern, ':');
    if (!colon || colon - pattern > 15) return NULL;
    snprintf(kind, 16, "%.*s", (int)(colon - pattern), pattern);
    if (concept_kind_check(kind, NULL)) return NULL;
    return colon + 1 + strspn(colon + 1, " ");
}

int patterns_choose(const char *kind, const char *const *pattern, int n, const char **out, int room)
{
    int own = 0, found = 0;
    char of[16];
    for (int i = 0; i < n; i++) own |= behind_kind(pattern[i], of) && !strcmp(of, kind);
    for (int i = 0; i < n; i++) {
        const char *text = behind_kind(pattern[i], of);
        if (own ? !text || strcmp(of, kind) != 0 : text != NULL) continue;
        if (found == room) return -1;
        out[found++] = own ? text : pattern[i];
    }
    return found;
}

enum code patterns_check(const char *const *pattern, int n, struct err *e)
{
    for (int i = 0; i < n; i++) {
        size_t holes = 0, length = strlen(pattern[i]);
        for (const char *at = pattern[i]; (at = strstr(at, HOLE)); at++) holes++;
        if (!holes)
            return err_set(e, ERR_USAGE,
                           "evaluation prompt \"%s\" has no " HOLE
                           "; write it where the concept goes",
                           pattern[i]);
        if (length + holes * NAMES >= PATTERN_TEXT)
            return err_set(e, ERR_USAGE, "evaluation prompt %d has %zu bytes; shorten it", i + 1,
                           length);
    }
    return OK;
}

void pattern_fill(const char *pattern, const char *kind, const char *token, const char *class_word,
                  char out[PATTERN_TEXT])
{
    char name[NAMES];
    int style = !strcmp(kind, "style");
    if (!token || !*token) snprintf(name, sizeof name, "%s", class_word);
    else if (style) snprintf(name, sizeof name, "%s", token);
    else snprintf(name, sizeof name, "%s %s", token, class_word);
    size_t n = 0;
    for (const char *hole; (hole = strstr(pattern, HOLE)); pattern = hole + strlen(HOLE)) {
        n += (size_t)snprintf(out + n, PATTERN_TEXT - n, "%.*s%s", (int)(hole - pattern), pattern,
                              name);
        if (n >= PATTERN_TEXT) return;
    }
    snprintf(out + n, PATTERN_TEXT - n, "%s", pattern);
}
