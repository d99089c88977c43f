#include "coordinator/launch/site.h"

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* slurm/engram-worker.sbatch, in the program */
extern const char _binary_slurm_engram_worker_sbatch_start[];
extern const char _binary_slurm_engram_worker_sbatch_end[];

static enum code nomem(struct err *e)
{
    return err_set(e, ERR_NOMEM, "out of memory");
}

/* ---- keys ---- */

enum kind { TEXT, WORDS, NUMBER };

struct key {
    const char *name;
    enum kind kind;
    size_t at;
    int64_t least, most; /* NUMBER */
};

#define AT(field) offsetof(struct site, field)
static const struct key keys[] = {
    {"sbatch", WORDS, AT(sbatch), 0, 0},
    {"setup", WORDS, AT(setup), 0, 0},
    {"mpirun", WORDS, AT(mpirun), 0, 0},
    {"export", WORDS, AT(exported), 0, 0},
    {"time", TEXT, AT(time), 0, 0},
    {"worker", TEXT, AT(worker), 0, 0},
    {"connect", TEXT, AT(connect), 0, 0},
    {"log", TEXT, AT(log), 0, 0},
    {"nodes", NUMBER, AT(nodes), 1, 4096},
    {"threads", NUMBER, AT(threads), 1, 1024},
    {"warn_seconds", NUMBER, AT(warn_seconds), 10, 3600},
    {"min_groups", NUMBER, AT(min_groups), 0, 128},
    {"max_groups", NUMBER, AT(max_groups), 0, 128},
    {"idle_minutes", NUMBER, AT(idle_minutes), 0, 100000},
};
enum { KEYS = sizeof keys / sizeof *keys };

/* ---- words ---- */

/* One line without control characters: it goes into a script, or to a program as one word. */
static enum code keep(struct site *s, const char **to, const char *from, const char *what,
                      struct err *e)
{
    for (const char *c = from; *c; c++)
        if ((unsigned char)*c < ' ' && *c != '\t')
            return err_set(e, ERR_USAGE, "%s: a control character in \"%s\"", what, from);
    return (*to = arena_strdup(&s->strings, from)) ? OK : nomem(e);
}

static enum code add(struct site *s, struct site_words *w, const char *word, const char *what,
                     struct err *e)
{
    if (w->n == SITE_WORDS)
        return err_set(e, ERR_USAGE, "%s: more than %d words", what, SITE_WORDS);
    return keep(s, &w->v[w->n++], word, what, e);
}

enum code site_add_sbatch(struct site *s, const char *word, struct err *e)
{
    return add(s, &s->sbatch, word, "sbatch option", e);
}

enum code site_defaults(struct site *s, struct err *e)
{
    static const char *const names[] = {"PATH",
                                        "HOME",
                                        "USER",
                                        "LANG",
                                        "LD_LIBRARY_PATH",
                                        "ENGRAM_CLIP",
                                        "ENGRAM_LOG",
                                        "ENGRAM_SERVER_KEY",
                                        "ENGRAM_KEY",
                                        "ENGRAM_CACHE"};
    enum code rc = OK;

    *s = (struct site){.time = "8:00:00",
                       .nodes = 1,
                       .threads = 1,
                       .warn_seconds = 120,
                       .max_groups = 4,
                       .idle_minutes = 10};
    for (size_t i = 0; !rc && i < sizeof names / sizeof *names; i++)
        rc = add(s, &s->exported, names[i], "export", e);
    return rc;
}

void site_fini(struct site *s)
{
    arena_fini(&s->strings);
    *s = (struct site){0};
}

/* ---- the file ---- */

static enum code read_words(struct site *s, struct site_words *w, const json_t *v, const char *what,
                            struct err *e)
{
    enum code rc = OK;

    if (!json_is_array(v)) return err_set(e, ERR_USAGE, "%s: expected a list of strings", what);
    w->n = 0;
    for (size_t i = 0; !rc && i < json_array_size(v); i++) {
        const char *word = json_string_value(json_array_get(v, i));
        rc = word ? add(s, w, word, what, e)
                  : err_set(e, ERR_USAGE, "%s: word %zu is no string", what, i + 1);
    }
    return rc;
}

static enum code read_key(struct site *s, const struct key *k, const json_t *v, const char *what,
                          struct err *e)
{
    char *at = (char *)s + k->at;

    switch (k->kind) {
    case WORDS: return read_words(s, (struct site_words *)(void *)at, v, what, e);
    case TEXT:
        if (!json_is_string(v) || !json_string_length(v))
            return err_set(e, ERR_USAGE, "%s: expected a string", what);
        return keep(s, (const char **)(void *)at, json_string_value(v), what, e);
    case NUMBER:
        if (!json_is_integer(v) || json_integer_value(v) < k->least ||
            json_integer_value(v) > k->most)
            return err_set(e, ERR_USAGE, "%s: expected a whole number from %lld to %lld", what,
                           (long long)k->least, (long long)k->most);
        *(int64_t *)(void *)at = json_integer_value(v);
        return OK;
    }
    return OK;
}

static enum code unknown(const char *path, const char *name, struct err *e)
{
    const char *names[KEYS], *near;

    for (size_t i = 0; i < KEYS; i++) names[i] = keys[i].name;
    near = text_nearest(name, names, KEYS);
    return near
               ? err_set(e, ERR_USAGE, "%s: there is no \"%s\"; did you mean \"%s\"?", path, name,
                         near)
               : err_set(e, ERR_USAGE,
                         "%s: there is no \"%s\"; slurm/README.md lists what there is", path, name);
}

enum code site_read(struct site *s, const char *path, struct err *e)
{
    json_error_t why;
    json_t *file = json_load_file(path, JSON_REJECT_DUPLICATES, &why), *v;
    const char *name;
    char what[200];
    enum code rc = OK;

    if (!file) return err_set(e, ERR_USAGE, "%s:%d:%d: %s", path, why.line, why.column, why.text);
    if (!json_is_object(file)) rc = err_set(e, ERR_USAGE, "%s: expected one object, {...}", path);
    if (!rc) json_object_foreach(file, name, v)
        {
            const struct key *k = NULL;
            for (size_t i = 0; i < KEYS; i++)
                if (!strcmp(keys[i].name, name)) k = &keys[i];
            snprintf(what, sizeof what, "%s: %s", path, name);
            if ((rc = k ? read_key(s, k, v, what, e) : unknown(path, name, e))) break;
        }
    json_decref(file);
    return rc;
}

enum code site_check(const struct site *s, struct err *e)
{
    if (s->min_groups > s->max_groups)
        return err_set(e, ERR_USAGE, "at least %lld worker groups and at most %lld: which?",
                       (long long)s->min_groups, (long long)s->max_groups);
    if (s->connect && strncmp(s->connect, "ipc://", 6) && strncmp(s->connect, "tcp://", 6))
        return err_set(e, ERR_USAGE, "connect \"%s\": expected ipc:///path or tcp://host:port",
                       s->connect);
    return OK;
}

/* ---- script ---- */

static void quote(struct text *out, const char *word)
{
    if (*word && !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                    "_-+=./:,@%")]) {
        text_add(out, word);
        return;
    }
    text_add(out, "'");
    for (; *word; word++)
        if (*word == '\'') text_add(out, "'\\''");
        else text_add_bytes(out, word, 1);
    text_add(out, "'");
}

static int is(const char *line, size_t n, const char *text)
{
    return strlen(text) == n && !memcmp(line, text, n);
}

/* Two lines of the script are places. A word that is missing there would be a site's settings that do nothing: a test looks. */
void site_script(const struct site *s, struct text *out)
{
    const char *line = _binary_slurm_engram_worker_sbatch_start;
    const char *end = _binary_slurm_engram_worker_sbatch_end;

    while (line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t n = (size_t)((newline ? newline : end) - line);
        if (is(line, n, "# (setup of the site)")) {
            for (int i = 0; i < s->setup.n; i++) text_printf(out, "%s\n", s->setup.v[i]);
        } else if (is(line, n, "site_mpirun=()")) {
            text_add(out, "site_mpirun=(");
            for (int i = 0; i < s->mpirun.n; i++) {
                if (i) text_add(out, " ");
                quote(out, s->mpirun.v[i]);
            }
            text_add(out, ")\n");
        } else {
            text_add_bytes(out, line, n);
            text_add(out, "\n");
        }
        line += n + 1;
    }
}

/* ---- command ---- */

enum code site_command(const struct site *s, const struct site_call *c, struct arena *a,
                       const char *argv[SITE_ARGV], struct err *e)
{
    struct text names = {0};
    int n = 0, failed = 0;

    for (int i = 0; i < s->exported.n; i++)
        text_printf(&names, "%s%s", i ? "," : "", s->exported.v[i]);
    /* clang-format off */
    const char *const words[] = {
        "sbatch", "--parsable", arena_printf(a, "--job-name=%s", c->name),
        arena_printf(a, "--output=%s", c->log), "--open-mode=append", "--requeue",
        arena_printf(a, "--nodes=%lld", (long long)s->nodes), arena_printf(a, "--ntasks=%d", c->ranks),
        arena_printf(a, "--cpus-per-task=%lld", (long long)s->threads), arena_printf(a, "--time=%s", s->time),
        arena_printf(a, "--signal=B:USR1@%lld", (long long)s->warn_seconds),
        arena_printf(a, "--export=%s", s->exported.n ? names.s : "NONE") };
    const char *const last[] = { c->script, c->home, s->connect ? s->connect : c->endpoint,
        s->worker ? s->worker : c->worker, c->name };
    /* clang-format on */
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) argv[n++] = words[i];
    for (int i = 0; i < s->sbatch.n; i++) argv[n++] = s->sbatch.v[i];
    for (size_t i = 0; i < sizeof last / sizeof *last; i++) argv[n++] = last[i];
    argv[n] = NULL;
    for (int i = 0; i < n; i++) failed |= !argv[i];
    failed |= names.failed;
    text_fini(&names);
    return failed ? nomem(e) : OK;
}

void site_quote(const char *const *argv, struct text *out)
{
    for (int i = 0; argv[i]; i++) {
        if (i) text_add(out, " ");
        quote(out, argv[i]);
    }
    text_add(out, "\n");
}
