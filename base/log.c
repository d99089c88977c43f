/* log.c - one write(2) per line, or for whole lines that fit a pipe in one piece, so that lines of threads and processes on one stderr
 * do not mix. */
#include "base/log.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Below PIPE_BUF, so that a pipe takes it in one piece. A text may fill it but for the tail; a field is a name of ours. */
enum { LINE = 2048, TAIL = 16, FIELD = 132 };

static const char *const level_name[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

/* Set once by log_open and its like before threads start; a log is a property of the process. */
static struct {
    char program[32], group[72];
    enum log_level least;
    int json;
} settings = {"engram", "", LOG_INFO, 0};

void log_open(const char *program, enum log_level least)
{
    const char *format = getenv("ENGRAM_LOG");
    snprintf(settings.program, sizeof settings.program, "%s", program);
    settings.group[0] = '\0';
    settings.least = least;
    settings.json = format && strcmp(format, "json") == 0;
}

enum code log_format(const char *name, struct err *e)
{
    int json = strcmp(name, "json") == 0;
    if (!json && strcmp(name, "plain") != 0)
        return err_set(e, ERR_USAGE, "--log %s: expected plain or json", name);
    if (setenv("ENGRAM_LOG", name, 1)) return err_errno(e, "ENGRAM_LOG");
    settings.json = json;
    return OK;
}

void log_as(const char *group)
{
    snprintf(settings.group, sizeof settings.group, "%s", group);
}

int log_may_quote(enum code code)
{
    return code != ERR_USAGE && code != ERR_INPUT && code != ERR_NOT_FOUND && code != ERR_EXISTS;
}

/* 2026-01-31T12:00:00.123Z. The second is written once for all its lines. */
static void time_text(char out[40])
{
    static _Thread_local char second[32];
    static _Thread_local time_t at = -1;
    struct timespec now;
    struct tm utc;

    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != at) {
        gmtime_r(&now.tv_sec, &utc);
        strftime(second, sizeof second, "%Y-%m-%dT%H:%M:%S", &utc);
        at = now.tv_sec;
    }
    snprintf(out, 40, "%s.%03dZ", second, (int)(now.tv_nsec / 1000000));
}

struct line {
    char s[LINE];
    size_t n;
};

/* Bytes of the UTF-8 character at s, which ends in NUL; 0: it is none. */
static size_t character(const unsigned char *s)
{
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (n == 4 && s[0] > 0xf4) return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if (s[0] == 0xe0 && s[1] < 0xa0) return 0;
    if (s[0] == 0xed && s[1] > 0x9f) return 0; /* halves of UTF-16 */
    if (s[0] == 0xf0 && s[1] < 0x90) return 0;
    if (s[0] == 0xf4 && s[1] > 0x8f) return 0;
    return n;
}

/* Whatever comes, one line of UTF-8: control characters become blanks, other bytes question marks. JSON also has its escapes. */
static void put(struct line *l, const char *text, size_t most)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t end = l->n + most < LINE - TAIL ? l->n + most : LINE - TAIL;
    for (size_t n; *s && l->n < end; s += n ? n : 1) {
        n = character(s);
        if (settings.json && (*s == '"' || *s == '\\')) l->s[l->n++] = '\\';
        if (!n) l->s[l->n++] = '?';
        else if (n == 1) l->s[l->n++] = (char)(*s < 0x20 || *s == 0x7f ? ' ' : *s);
        else memcpy(l->s + l->n, s, n), l->n += n;
    }
}

/* Of our own words: short, and clean. */
static void put_raw(struct line *l, const char *s)
{
    while (*s && l->n < LINE - 2) l->s[l->n++] = *s++;
}

static void put_field(struct line *l, const char *name, const char *value)
{
    if (!value || !*value) return;
    put_raw(l, ",\"");
    put_raw(l, name);
    put_raw(l, "\":\"");
    put(l, value, FIELD);
    put_raw(l, "\"");
}

static void put_number(struct line *l, const char *name, uint64_t value)
{
    char text[64];
    if (!value) return;
    snprintf(text, sizeof text, ",\"%s\":%" PRIu64, name, value);
    put_raw(l, text);
}

static void write_json(struct line *l, const char *when, enum log_level level,
                       const struct log_about *a, const char *text)
{
    put_raw(l, "{\"time\":\"");
    put_raw(l, when);
    put_raw(l, "\"");
    put_field(l, "level", level_name[level]);
    put_field(l, "program", settings.program);
    put_field(l, "event", a->event);
    put_number(l, "job", a->job);
    put_field(l, "lineage", a->lineage);
    put_field(l, "stage", a->stage);
    put_number(l, "epoch", a->epoch);
    put_field(l, "group", a->group ? a->group : settings.group);
    put_field(l, "code", a->code);
    put_raw(l, ",\"text\":\"");
    put(l, text, LINE);
    put_raw(l, "\"}");
}

static void write_plain(struct line *l, const char *when, enum log_level level, const char *text)
{
    l->n = (size_t)snprintf(l->s, LINE / 2, "%s %-5s ", when, level_name[level]);
    put(l, *settings.group ? settings.group : settings.program, FIELD);
    put_raw(l, ": ");
    put(l, text, LINE);
}

/* ---- out ---- */

static _Thread_local struct {
    char s[PIPE_BUF];
    size_t n;
    int held;
} held;

static void write_out(const char *s, size_t n)
{
    if (n && write(STDERR_FILENO, s, n) < 0) return; /* nobody is left to tell */
}

static void pour(void)
{
    write_out(held.s, held.n);
    held.n = 0;
}

void log_hold(void)
{
    held.held = 1;
}

void log_release(void)
{
    pour();
    held.held = 0;
}

static void out(const struct line *l)
{
    if (!held.held) {
        write_out(l->s, l->n);
        return;
    }
    if (held.n + l->n > sizeof held.s) pour();
    memcpy(held.s + held.n, l->s, l->n);
    held.n += l->n;
}

static void say(enum log_level level, const struct log_about *about, const char *fmt, va_list args)
{
    char when[40], text[LINE - 700]; /* fields are names, 64 bytes each */
    struct line l = {.n = 0};
    if (level < settings.least) return;
    vsnprintf(text, sizeof text, fmt, args);
    time_text(when);
    if (settings.json) write_json(&l, when, level, about, text);
    else write_plain(&l, when, level, text);
    l.s[l.n++] = '\n';
    out(&l);
}

void log_line(enum log_level level, const char *fmt, ...)
{
    static const struct log_about nothing;
    va_list args;
    va_start(args, fmt);
    say(level, &nothing, fmt, args);
    va_end(args);
}

void log_event(enum log_level level, const struct log_about *about, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(level, about, fmt, args);
    va_end(args);
}
