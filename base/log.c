/* log.c - one write(2) per line, so that lines of threads and processes on one stderr do not mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 2048 }; /* below PIPE_BUF, so that a pipe takes it in one piece */

static const char *const level_name[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

/* Set once by log_open before threads start; a log is a property of the process. */
static struct {
    char who[32];
    enum log_level least;
    int json;
} settings = {"engram", LOG_INFO, 0};

void log_open(const char *who, enum log_level least)
{
    const char *format = getenv("ENGRAM_LOG");
    snprintf(settings.who, sizeof settings.who, "%s", who);
    settings.least = least;
    settings.json = format && strcmp(format, "json") == 0;
}

/* 2026-01-31T12:00:00.123Z */
static void time_text(char out[40])
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + n, 40 - n, ".%03dZ", (int)(now.tv_nsec / 1000000));
}

/* Control characters are removed in both forms; JSON also escapes its quotes. Leaves room for the tail. */
static size_t put_text(char *line, size_t n, const char *s, int json)
{
    for (; *s && n < LINE - 8; s++) {
        unsigned char c = (unsigned char)*s;
        if (json && (c == '"' || c == '\\')) line[n++] = '\\';
        line[n++] = c < 0x20 || c == 0x7f ? ' ' : *s;
    }
    return n;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    if (level < settings.least) return;
    char when[40], text[LINE - 200], line[LINE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    time_text(when);
    const char *name = level_name[level];
    int n_head = settings.json
                     ? snprintf(line, sizeof line,
                                "{\"t\":\"%s\",\"level\":\"%s\",\"who\":\"%s\",\"text\":\"", when,
                                name, settings.who)
                     : snprintf(line, sizeof line, "%s %-5s %s: ", when, name, settings.who);
    size_t n = put_text(line, n_head > 0 ? (size_t)n_head : 0, text, settings.json);
    if (settings.json) line[n++] = '"', line[n++] = '}';
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, n) < 0) return; /* nobody is left to tell */
}
