/* options.c - parsing by table. */
#include "cli/options.h"

#include "base/arena.h"
#include "base/text.h"
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Options of every verb. */
static const struct option_spec COMMON[] = {
    {"home", OPTION_TEXT, &cli.home, "DIR",
     "where Engram keeps everything (default: $ENGRAM_HOME or ~/.local/state/engram)"},
    {"connect", OPTION_TEXT, &cli.connect, "tcp://..",
     "a coordinator elsewhere, with --server-key and --key (docs/users.md)"},
    {"server-key", OPTION_TEXT, &cli.server_key, NULL, NULL},
    {"key", OPTION_TEXT, &cli.key, NULL, NULL},
    {"json", OPTION_FLAG, &cli.json, NULL, "one JSON document on standard output"},
    {"help", OPTION_FLAG, &cli.help, NULL, "this text"},
};
#define N_COMMON (sizeof COMMON / sizeof COMMON[0])

static const struct option_spec *find(const struct option_spec *spec, size_t n, const char *name,
                                      size_t length)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(spec[i].name) == length && !memcmp(spec[i].name, name, length)) return &spec[i];
    return NULL;
}

static void print_option(const struct option_spec *o)
{
    char left[64];
    if (!o->what) return; /* told beside another one */
    snprintf(left, sizeof left, "%s%s%s%s", o->name[1] ? "--" : "-", o->name, o->value ? " " : "",
             o->value ? o->value : "");
    printf("  %-22s %s\n", left, o->what);
}

static void print_help(const struct verb *v, const struct option_spec *spec, size_t n)
{
    printf("engram %s - %s\n\n%s\nusage: %s\n\n", v->name, v->what, v->examples, v->usage);
    for (size_t i = 0; i < n; i++) print_option(&spec[i]);
    for (size_t i = 0; i < N_COMMON; i++) print_option(&COMMON[i]);
    if (v->more) printf("\n%s", v->more);
    printf("\nExit status: 0 done, 1 failed, 2 usage or settings, 3 input refused, 4 environment, "
           "75 try again.\n");
}

static enum code unknown(const struct verb *v, const struct option_spec *spec, size_t n,
                         const char *name, struct err *e)
{
    const char **names = mem_alloc(n + N_COMMON, sizeof *names), *near = NULL;
    for (size_t i = 0; names && i < n; i++) names[i] = spec[i].name;
    for (size_t i = 0; names && i < N_COMMON; i++) names[n + i] = COMMON[i].name;
    if (names) near = text_nearest(name, names, n + N_COMMON);
    enum code rc =
        near ? err_set(e, ERR_USAGE, "unknown option --%s; did you mean %s%s?", name,
                       near[1] ? "--" : "-", near)
             : err_set(e, ERR_USAGE, "unknown option --%s; see engram %s --help", name, v->name);
    free(names);
    return rc;
}

/* Doubled at 1, 2, 4, 8 .. words. */
static enum code words_add(struct words *w, const char *s, struct err *e)
{
    static struct arena lists; /* for the life of the process */
    if (!(w->n & (w->n - 1))) {
        const char **grown = arena_alloc(&lists, (w->n ? 2 * w->n : 1) * sizeof *grown);
        if (!grown) return err_set(e, ERR_NOMEM, "out of memory reading the command line");
        if (w->n) memcpy(grown, w->v, w->n * sizeof *grown);
        w->v = grown;
    }
    w->v[w->n++] = s;
    return OK;
}

static enum code put(const struct option_spec *o, const char *value, struct err *e)
{
    char *end;
    switch (o->kind) {
    case OPTION_FLAG: *(int *)o->into = 1; return OK;
    case OPTION_TEXT: *(const char **)o->into = value; return OK;
    case OPTION_LIST: return words_add(o->into, value, e);
    case OPTION_NUMBER:
        errno = 0;
        *(int64_t *)o->into = strtoll(value, &end, 10);
        if (errno || end == value || *end || *(int64_t *)o->into < 0)
            return err_set(e, ERR_USAGE, "--%s %s: expected a whole number", o->name, value);
        return OK;
    }
    return OK;
}

enum code options_read(const struct verb *v, const struct option_spec *spec, size_t n, int argc,
                       char **argv, struct words *rest, struct err *e)
{
    enum code rc = OK;
    int options = 1;
    *rest = (struct words){0};
    for (int i = 1; !rc && i < argc; i++) {
        const char *arg = argv[i];
        if (options && !strcmp(arg, "--")) options = 0;
        else if (options && !strcmp(arg, "-h")) cli.help = 1;
        else if (options && arg[0] == '-' && arg[1]) {
            const char *name = arg + (arg[1] == '-' ? 2 : 1), *eq = strchr(name, '=');
            size_t length = eq ? (size_t)(eq - name) : strlen(name);
            const struct option_spec *o = find(spec, n, name, length);
            if (!o) o = find(COMMON, N_COMMON, name, length);
            if (!o || (arg[1] != '-' && o->name[1])) rc = unknown(v, spec, n, name, e);
            else if (o->kind == OPTION_FLAG && eq)
                rc = err_set(e, ERR_USAGE, "--%s takes no value", o->name);
            else if (o->kind == OPTION_FLAG || eq) rc = put(o, eq ? eq + 1 : NULL, e);
            else if (i + 1 >= argc)
                rc = err_set(e, ERR_USAGE, "--%s needs a value (%s)", o->name,
                             o->value ? o->value : "KEY");
            else rc = put(o, argv[++i], e);
        } else {
            rc = words_add(rest, arg, e);
        }
    }
    if (cli.help) {
        print_help(v, spec, n);
        exit(0);
    }
    return rc;
}
