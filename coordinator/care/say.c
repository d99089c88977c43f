/* say.c - what all of care/ says and where it looks. */
#include "coordinator/care/care.h"

#include <stdarg.h>
#include <stdio.h>

void care_say(struct care *c, const char *fmt, ...)
{
    char line[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (c->json) json_array_append_new(c->lines, json_string(line));
    else puts(line);
}

const char *care_bytes(uint64_t bytes, char out[32])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double n = (double)bytes;
    int u = 0;

    for (; n >= 1024 && u < 4; u++) n /= 1024;
    snprintf(out, 32, u ? "%.1f %s" : "%.0f %s", n, units[u]);
    return out;
}

enum code care_path(const struct care *c, const char *rest, char *out, size_t bytes, struct err *e)
{
    int n = snprintf(out, bytes, "%s%s%s", c->home, *rest ? "/" : "", rest);
    return n < 0 || (size_t)n >= bytes ? err_set(e, ERR_USAGE, "the path is too long: %s", c->home)
                                       : OK;
}
