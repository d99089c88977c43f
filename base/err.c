/* err.c - codes, names, exit statuses and the one line that people read. */
#include "base/err.h"
#include "base/arena.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROBLEMS_KEPT = 200 }; /* a person reads no more, and a hostile folder cannot fill memory */

static const struct {
    const char *name;
    int exit_status;
} about[ERR_CODES] = {
    [OK] = {"ok", 0},
    [ERR_USAGE] = {"usage", 2},
    [ERR_INPUT] = {"input", 3},
    [ERR_NOT_FOUND] = {"not-found", 3},
    [ERR_EXISTS] = {"exists", 3},
    [ERR_CORRUPT] = {"corrupt", 3},
    [ERR_ENVIRONMENT] = {"environment", 4},
    [ERR_IO] = {"io", 4},
    [ERR_FULL] = {"full", 4},
    [ERR_NOMEM] = {"no-memory", 4},
    [ERR_DENIED] = {"denied", 4},
    [ERR_PROTOCOL] = {"protocol", 4},
    [ERR_STALE] = {"stale", 75},
    [ERR_CANCELLED] = {"cancelled", 75},
    [ERR_AGAIN] = {"again", 75},
    [ERR_FAILED] = {"failed", 1},
    [ERR_INTERNAL] = {"internal", 1},
};

static int is_known(enum code code)
{
    return (int)code >= 0 && (int)code < ERR_CODES;
}

const char *err_name(enum code code)
{
    return is_known(code) ? about[code].name : "unknown";
}

int err_exit_status(enum code code)
{
    return is_known(code) ? about[code].exit_status : 1;
}

/* A file name may hold a newline or an escape sequence that repaints the terminal. C1 controls arrive in UTF-8 as
 * C2 80 .. C2 9F. */
static void clean_line(char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s, next = (unsigned char)s[1];
        if (c < 0x20 || c == 0x7f) *s = '?';
        if (c == 0xc2 && next >= 0x80 && next <= 0x9f) s[0] = s[1] = '?';
    }
}

/* A line that was cut at its room must not end in half a UTF-8 character: JSON and terminals choke on it. */
static void drop_half_character(char *s, size_t n)
{
    size_t start = n;
    while (start > 0 && n - start < 3 && ((unsigned char)s[start - 1] & 0xc0) == 0x80) start--;
    if (start == 0) return;
    unsigned char lead = (unsigned char)s[start - 1];
    size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (want > n - start + 1) s[start - 1] = 0;
}

static __attribute__((format(printf, 3, 0))) void format_line(char *out, size_t room,
                                                              const char *fmt, va_list args)
{
    int n = vsnprintf(out, room, fmt, args);
    if (n < 0) out[0] = 0; /* an encoding error: the code still tells */
    if (n >= 0 && (size_t)n >= room) drop_half_character(out, room - 1);
    clean_line(out);
}

/* Formats beside e->text, because callers pass the old text as an argument of the new one. */
enum code err_set(struct err *e, enum code code, const char *fmt, ...)
{
    if (!e) return code;
    struct err made;
    va_list args;
    va_start(args, fmt);
    format_line(made.text, sizeof made.text, fmt, args);
    va_end(args);
    e->code = code;
    memcpy(e->text, made.text, sizeof e->text);
    return code;
}

static enum code prefix(struct err *e, const char *before, const char *line, enum code code)
{
    return before[0] ? err_set(e, code, "%s: %s", before, line) : err_set(e, code, "%s", line);
}

enum code err_context(struct err *e, const char *fmt, ...)
{
    if (!e) return ERR_INTERNAL;
    char before[sizeof e->text];
    va_list args;
    va_start(args, fmt);
    format_line(before, sizeof before, fmt, args);
    va_end(args);
    return prefix(e, before, e->text, e->code);
}

static enum code code_of_errno(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT: return ERR_FULL;
    case ENOMEM: return ERR_NOMEM;
    case ENOENT: return ERR_NOT_FOUND;
    case EACCES:
    case EPERM: return ERR_DENIED;
    default: return ERR_IO;
    }
}

enum code err_errno(struct err *e, const char *fmt, ...)
{
    int number = errno;
    char before[sizeof e->text];
    va_list args;
    va_start(args, fmt);
    format_line(before, sizeof before, fmt, args);
    va_end(args);
    return prefix(e, before, strerror(number), code_of_errno(number));
}

static int problems_make_room(struct problems *p)
{
    if (p->line) return 1;
    p->line = mem_alloc(PROBLEMS_KEPT, sizeof *p->line);
    p->code = mem_alloc(PROBLEMS_KEPT, sizeof *p->code);
    if (p->line && p->code) return 1;
    problems_fini(p);
    return 0;
}

/* Out of memory counts as dropped: the number of problems stays true. */
void problems_add(struct problems *p, enum code code, const char *fmt, ...)
{
    struct err made;
    va_list args;
    va_start(args, fmt);
    format_line(made.text, sizeof made.text, fmt, args);
    va_end(args);
    size_t dropped = p->n_dropped + 1;
    char *copy = NULL;
    if (p->n < PROBLEMS_KEPT && problems_make_room(p)) copy = mem_alloc(strlen(made.text) + 1, 1);
    if (!copy) {
        p->n_dropped = dropped;
        return;
    }
    strcpy(copy, made.text);
    p->line[p->n] = copy;
    p->code[p->n++] = code;
}

void problems_fini(struct problems *p)
{
    if (p->line)
        for (size_t i = 0; i < p->n; i++) free(p->line[i]);
    free(p->line);
    free(p->code);
    *p = (struct problems){0};
}
