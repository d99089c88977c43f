/* submit_table.c - wishes from a table: a header that names columns, a line for each request. */
#include "cli/csv.h"
#include "cli/submit.h"

#include "base/text.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SET "set:"

/* ---- what may stand in a cell ---- */

struct line {
    struct submitting *s;
    const struct csv *t;
    struct wish *w;
};

static enum code put_kind(const struct line *l, const char *text, struct err *e)
{
    for (int k = JOB_LEARN; k <= JOB_EVALUATE; k++)
        if (!strcmp(text, proto_job_kind((uint64_t)k))) {
            l->w->kind = (enum job_kind)k;
            return OK;
        }
    return err_set(e, ERR_INPUT, "\"%.40s\" is no kind: learn, sample or evaluate", text);
}

static enum code put_lineage(const struct line *l, const char *text, struct err *e)
{
    (void)e;
    l->w->lineage = text;
    return OK;
}

/* Folders are meant from where the table lies, so that both can be moved together. */
static enum code put_folder(const struct line *l, const char *text, struct err *e)
{
    const char *slash = strrchr(l->t->path, '/');
    l->w->lesson.dir =
        *text == '/' || !slash
            ? text
            : arena_printf(&l->s->arena, "%.*s/%s", (int)(slash - l->t->path), l->t->path, text);
    return l->w->lesson.dir ? OK : err_set(e, ERR_NOMEM, "out of memory");
}

static enum code put_token(const struct line *l, const char *text, struct err *e)
{
    l->w->lesson.token = text;
    return concept_token_check(text, e);
}

static enum code put_class(const struct line *l, const char *text, struct err *e)
{
    (void)e;
    l->w->lesson.class_word = text;
    return OK;
}

static enum code put_concept(const struct line *l, const char *text, struct err *e)
{
    l->w->lesson.kind = text;
    return concept_kind_check(text, e);
}

static enum code put_prompt(const struct line *l, const char *text, struct err *e)
{
    (void)e;
    l->w->prompt = text;
    return OK;
}

static enum code put_negative(const struct line *l, const char *text, struct err *e)
{
    (void)e;
    l->w->negative = text;
    return OK;
}

static enum code put_commit(const struct line *l, const char *text, struct err *e)
{
    (void)e;
    l->w->commit = text;
    return OK;
}

static enum code number(const char *text, int64_t least, int64_t most, int64_t *out, struct err *e)
{
    size_t digits = strspn(text, "0123456789");
    int64_t n = digits && digits < 19 && !text[digits] ? strtoll(text, NULL, 10) : -1;
    if (n < least || n > most)
        return err_set(e, ERR_INPUT,
                       "\"%.40s\": expected a whole number from %" PRId64 " to %" PRId64, text,
                       least, most);
    *out = n;
    return OK;
}

static enum code put_n(const struct line *l, const char *text, struct err *e)
{
    return number(text, 1, 64, &l->w->per_prompt, e);
}

static enum code put_seed(const struct line *l, const char *text, struct err *e)
{
    return number(text, 0, INT64_MAX / 10, &l->w->seed, e);
}

static enum code put_priority(const struct line *l, const char *text, struct err *e)
{
    return proto_parse_priority(text, &l->w->priority, e);
}

/* ---- columns ---- */

#define LEARN (1u << JOB_LEARN)
#define SAMPLE (1u << JOB_SAMPLE)
#define EVALUATE (1u << JOB_EVALUATE)

static const struct column {
    const char *name;
    unsigned kinds; /* that have it */
    enum code (*put)(const struct line *l, const char *text, struct err *e);
} COLUMNS[] = {
    {"kind", LEARN | SAMPLE | EVALUATE, put_kind},
    {"lineage", LEARN | SAMPLE | EVALUATE, put_lineage},
    {"folder", LEARN, put_folder},
    {"token", LEARN | SAMPLE, put_token},
    {"class", LEARN, put_class},
    {"concept", LEARN, put_concept},
    {"prompt", LEARN | SAMPLE | EVALUATE, put_prompt},
    {"negative", SAMPLE, put_negative},
    {"commit", SAMPLE | EVALUATE, put_commit},
    {"n", SAMPLE | EVALUATE, put_n},
    {"seed", LEARN | SAMPLE | EVALUATE, put_seed},
    {"priority", LEARN | SAMPLE | EVALUATE, put_priority},
};
#define N_COLUMNS (sizeof COLUMNS / sizeof *COLUMNS)

static const struct column *find_column(const char *name)
{
    for (size_t i = 0; i < N_COLUMNS; i++)
        if (!strcmp(COLUMNS[i].name, name)) return &COLUMNS[i];
    return NULL;
}

static enum code at(const struct csv *t, const struct csv_cell *c, struct err *e)
{
    return err_context(e, "%s:%zu:%zu", t->path, c->line, c->column);
}

static enum code check_name(const struct csv *t, size_t k, struct err *e)
{
    const char *name = t->row[0].cell[k].text, *names[N_COLUMNS];
    for (size_t i = 0; i < N_COLUMNS; i++) names[i] = COLUMNS[i].name;
    for (size_t i = 0; i < k; i++)
        if (!strcmp(t->row[0].cell[i].text, name))
            return err_set(e, ERR_INPUT, "column \"%.40s\" is there twice", name);
    if (find_column(name) || (!strncmp(name, SET, strlen(SET)) && name[strlen(SET)])) return OK;
    const char *near = text_nearest(name, names, N_COLUMNS);
    if (near)
        return err_set(e, ERR_INPUT, "no column is called \"%.40s\"; did you mean %s?", name, near);
    return err_set(e, ERR_INPUT,
                   "no column is called \"%.40s\"; see engram submit --help for their names", name);
}

/* ---- lines ---- */

static enum code add_set(const struct line *l, const char *key, const char *value, struct err *e)
{
    struct words *w = &l->w->set;
    const char **grown = arena_alloc(&l->s->arena, (w->n + 1) * sizeof *grown);
    char *text = arena_printf(&l->s->arena, "%s=%s", key, value);
    if (!grown || !text) return err_set(e, ERR_NOMEM, "out of memory");
    if (w->n) memcpy(grown, w->v, w->n * sizeof *grown);
    grown[w->n] = text;
    *w = (struct words){grown, w->n + 1};
    return OK;
}

static enum code read_cell(const struct line *l, const char *name, const char *text, struct err *e)
{
    if (!*text) return OK;
    if (!strncmp(name, SET, strlen(SET))) return add_set(l, name + strlen(SET), text, e);
    return find_column(name)->put(l, text, e);
}

static enum code check_kind(const struct line *l, const struct csv_row *row, size_t k,
                            struct err *e)
{
    const struct column *c = find_column(l->t->row[0].cell[k].text);
    if (!c || !*row->cell[k].text || (c->kinds >> l->w->kind & 1)) return OK;
    return err_set(e, ERR_INPUT, "`%s` takes no %s", proto_job_kind((uint64_t)l->w->kind), c->name);
}

static void refuse(const struct line *l, struct problems *p, const struct err *e)
{
    problems_add(p, e->code, "%s", e->text);
    if (!l->w->code) l->w->line = arena_strdup(&l->s->arena, e->text);
    if (!l->w->code) l->w->code = e->code;
}

static void read_line(const struct line *l, const struct csv_row *row, struct problems *p)
{
    const struct csv *t = l->t;
    struct err e = {0};
    for (size_t k = 0; k < t->n_columns; k++)
        if (read_cell(l, t->row[0].cell[k].text, row->cell[k].text, &e)) {
            at(t, &row->cell[k], &e);
            refuse(l, p, &e);
        }
    if (!l->w->kind) l->w->kind = l->w->lesson.dir ? JOB_LEARN : JOB_SAMPLE;
    for (size_t k = 0; k < t->n_columns; k++)
        if (check_kind(l, row, k, &e)) {
            at(t, &row->cell[k], &e);
            refuse(l, p, &e);
        }
}

enum code submit_table(struct submitting *s, const char *path, struct problems *p, struct err *e)
{
    struct csv t;
    enum code rc = csv_read(&t, path, &s->arena, e);
    for (size_t k = 0; !rc && k < t.n_columns; k++)
        if ((rc = check_name(&t, k, e))) at(&t, &t.row[0].cell[k], e);
    for (size_t i = 1; !rc && i < t.n_rows; i++) {
        const char *where = arena_printf(&s->arena, "%s:%zu", path, t.row[i].line);
        struct line l = {s, &t, submit_add(s, where ? where : path, e)};
        if (!l.w) return ERR_NOMEM;
        read_line(&l, &t.row[i], p);
    }
    if (!rc && !s->n) rc = err_set(e, ERR_INPUT, "%s: no request stands in it", path);
    return rc;
}
