/* csv.c - one pass over the bytes. Cells are written back into one copy of the file, which they never outgrow. */
#include "cli/csv.h"

#include "base/file.h"
#include "proto/wire.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct scan {
    struct csv *t;
    struct arena *a;
    struct err *e;
    const char *s, *end; /* what is left */
    const char *line_begin;
    size_t line;
    char *out;                         /* where the next cell goes */
    struct csv_cell cell[CSV_COLUMNS]; /* of the row that is read */
    size_t n_cells, rows_room;
};

static enum code wrong(struct scan *r, const char *at, const char *what)
{
    return err_set(r->e, ERR_INPUT, "%s:%zu:%zu: %s", r->t->path, r->line,
                   (size_t)(at - r->line_begin) + 1, what);
}

/* Bytes of the end of line here; 0: none. */
static size_t eol(const struct scan *r)
{
    if (r->s < r->end && *r->s == '\n') return 1;
    return r->end - r->s >= 2 && r->s[0] == '\r' && r->s[1] == '\n' ? 2 : 0;
}

static void next_line(struct scan *r, size_t n)
{
    r->s += n;
    r->line++;
    r->line_begin = r->s;
}

/* One character of a cell, whole. */
static enum code take(struct scan *r)
{
    unsigned char c = (unsigned char)*r->s;
    size_t n = wire_utf8_step((const uint8_t *)r->s, (size_t)(r->end - r->s));
    if ((c < 0x20 && c != '\t') || c == 0x7f) return wrong(r, r->s, "a control character");
    if (!n) return wrong(r, r->s, "this is no UTF-8");
    memmove(r->out, r->s, n);
    r->out += n;
    r->s += n;
    return OK;
}

static enum code bare_cell(struct scan *r)
{
    enum code rc = OK;
    while (!rc && r->s < r->end && *r->s != ',' && !eol(r))
        rc = *r->s == '"' ? wrong(r, r->s, "a quote inside of a cell without quotes") : take(r);
    return rc;
}

/* Between quotes everything stands for itself, and two quotes for one. */
static enum code quoted_cell(struct scan *r)
{
    const char *open = r->s, *line_begin = r->line_begin;
    size_t line = r->line, n;
    r->s++;
    for (enum code rc = OK; !rc && r->s < r->end;) {
        if (*r->s == '"' && r->s + 1 < r->end && r->s[1] == '"') {
            *r->out++ = '"';
            r->s += 2;
        } else if (*r->s == '"') {
            r->s++;
            if (r->s < r->end && *r->s != ',' && !eol(r))
                return wrong(r, r->s, "something behind the closing quote");
            return OK;
        } else if ((n = eol(r))) {
            *r->out++ = '\n';
            next_line(r, n);
        } else if ((rc = take(r))) {
            return rc;
        }
    }
    r->line = line; /* where it began, not where the file ends */
    r->line_begin = line_begin;
    return wrong(r, open, "a quote that is not closed");
}

static enum code add_cell(struct scan *r)
{
    struct csv_cell *c = &r->cell[r->n_cells];
    if (r->n_cells == CSV_COLUMNS) return wrong(r, r->s, "more columns than 256");
    *c = (struct csv_cell){r->out, r->line, (size_t)(r->s - r->line_begin) + 1};
    enum code rc = r->s < r->end && *r->s == '"' ? quoted_cell(r) : bare_cell(r);
    *r->out++ = '\0';
    r->n_cells++;
    return rc;
}

static enum code add_row(struct scan *r, size_t line)
{
    struct csv *t = r->t;
    if (!t->n_rows) t->n_columns = r->n_cells;
    if (r->n_cells != t->n_columns)
        return err_set(r->e, ERR_INPUT, "%s:%zu: %zu cells, but the first line has %zu", t->path,
                       line, r->n_cells, t->n_columns);
    if (t->n_rows == r->rows_room) {
        size_t room = r->rows_room ? 2 * r->rows_room : 64;
        struct csv_row *grown = arena_alloc(r->a, room * sizeof *grown);
        if (!grown) return err_set(r->e, ERR_NOMEM, "out of memory for %s", t->path);
        if (t->n_rows) memcpy(grown, t->row, t->n_rows * sizeof *grown);
        t->row = grown;
        r->rows_room = room;
    }
    struct csv_row *row = &t->row[t->n_rows];
    *row = (struct csv_row){line, arena_copy(r->a, r->cell, r->n_cells * sizeof *r->cell)};
    if (!row->cell) return err_set(r->e, ERR_NOMEM, "out of memory for %s", t->path);
    t->n_rows++;
    return OK;
}

static enum code read_row(struct scan *r)
{
    size_t line = r->line, n = eol(r);
    if (n) { /* blank */
        next_line(r, n);
        return OK;
    }
    r->n_cells = 0;
    for (;;) {
        enum code rc = add_cell(r);
        if (rc) return rc;
        if (r->s == r->end || *r->s != ',') break;
        r->s++;
    }
    if ((n = eol(r))) next_line(r, n);
    return add_row(r, line);
}

enum code csv_parse(struct csv *t, const char *name, const void *data, size_t n, struct arena *a,
                    struct err *e)
{
    /* A cell of one byte is two in the copy, with its end; so is an empty one with its comma. */
    char *copy = n < SIZE_MAX / 2 ? arena_alloc(a, 2 * n + 2) : NULL;
    struct scan *r = arena_alloc(a, sizeof *r);
    enum code rc = OK;
    *t = (struct csv){.path = name};
    if (!copy || !r) return err_set(e, ERR_NOMEM, "out of memory for %s", name);
    *r = (struct scan){.t = t, .a = a, .e = e, .s = data, .line = 1, .out = copy};
    r->end = r->s + n;
    if (n >= 3 && !memcmp(r->s, "\xef\xbb\xbf", 3)) r->s += 3;
    r->line_begin = r->s;
    while (!rc && r->s < r->end) rc = read_row(r);
    if (!rc && !t->n_rows) rc = err_set(e, ERR_INPUT, "%s: nothing stands in it", name);
    return rc;
}

enum code csv_read(struct csv *t, const char *path, struct arena *a, struct err *e)
{
    struct bytes b = {0};
    const char *name = arena_strdup(a, path);
    enum code rc = file_read(path, CSV_BYTES, &b, e);
    if (!rc && !name) rc = err_set(e, ERR_NOMEM, "out of memory for %s", path);
    if (!rc) rc = csv_parse(t, name, b.data, b.n, a, e);
    free(b.data);
    return rc;
}
