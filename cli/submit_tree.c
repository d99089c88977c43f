/* submit_tree.c - wishes from folders: each that holds images is a concept. Links to folders are not followed, names that
 * begin with a dot are passed over. */
#include "cli/submit.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { DEPTH = 32 };

static int is_image(const char *name)
{
    static const char *const endings[] = {".png", ".jpg", ".jpeg", ".webp"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (!strcasecmp(dot, endings[i])) return 1;
    return 0;
}

static int is_visible(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* "photos/rex" -> "<rex>" where nobody says another: lower case, what no token has becomes "-". */
static const char *token_of(const char *dir, struct arena *a)
{
    const char *slash = strrchr(dir, '/');
    char *token = arena_printf(a, "<%.40s>", slash ? slash + 1 : dir);
    for (char *c = token ? token + 1 : NULL; c && *c && c[1]; c++) {
        if (*c >= 'A' && *c <= 'Z') *c = (char)(*c - 'A' + 'a');
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.", *c)) *c = '-';
    }
    return token;
}

static enum code add_concept(struct submitting *s, const char *dir, struct err *e)
{
    struct wish *w = submit_add(s, dir, e);
    struct stat st;
    char yaml[PATH_MAX];
    if (!w) return ERR_NOMEM;
    w->kind = JOB_LEARN;
    w->lesson.dir = dir;
    snprintf(yaml, sizeof yaml, "%s/concept.yaml", dir);
    if (stat(yaml, &st)) w->lesson.token = token_of(dir, &s->arena);
    return OK;
}

static enum code walk(struct submitting *s, const char *dir, int depth, struct err *e)
{
    struct dirent **entry = NULL;
    int n = scandir(dir, &entry, is_visible, by_bytes), images = 0;
    enum code rc = n < 0 ? err_errno(e, "%s", dir) : OK;
    if (!rc && depth > DEPTH)
        rc = err_set(e, ERR_INPUT, "%s: more than %d folders inside each other", dir, DEPTH);
    for (int i = 0; i < n; i++) images += is_image(entry[i]->d_name);
    if (!rc && images) rc = add_concept(s, dir, e);
    for (int i = 0; !rc && i < n; i++) {
        struct stat st;
        char *path = arena_printf(&s->arena, "%s/%s", dir, entry[i]->d_name);
        if (!path) rc = err_set(e, ERR_NOMEM, "out of memory");
        else if (!lstat(path, &st) && S_ISDIR(st.st_mode)) rc = walk(s, path, depth + 1, e);
    }
    for (int i = 0; i < n; i++) free(entry[i]);
    free(entry);
    return rc;
}

enum code submit_tree(struct submitting *s, const char *path, struct err *e)
{
    char *dir = arena_strdup(&s->arena, path);
    if (!dir) return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t n = strlen(dir); n > 1 && dir[n - 1] == '/'; n--) dir[n - 1] = '\0';
    enum code rc = walk(s, dir, 0, e);
    if (!rc && !s->n)
        rc = err_set(e, ERR_INPUT, "%s: no folder in it holds a PNG, JPEG or WebP image", path);
    return rc;
}
