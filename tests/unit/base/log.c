/* Log lines: one line per event, JSON on request. */
#include "base/log.h"
#include "tests/tap.h"

#include <fcntl.h>

/* What log_line wrote to stderr. */
static const char *logged(const char *format, enum log_level level, const char *text)
{
    static char got[4096];
    char path[300];
    snprintf(path, sizeof path, "%s/log", tap_folder());
    int keep = dup(STDERR_FILENO), file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    dup2(file, STDERR_FILENO);
    if (format) setenv("ENGRAM_LOG", format, 1);
    else unsetenv("ENGRAM_LOG");
    log_open("tester", LOG_INFO);
    log_line(level, "%s", text);
    dup2(keep, STDERR_FILENO);
    close(keep);
    ssize_t n = pread(file, got, sizeof got - 1, 0);
    got[n > 0 ? n : 0] = 0;
    close(file);
    return got;
}

int main(void)
{
    const char *got = logged(NULL, LOG_WARN, "group a\nsilent");
    ok(strlen(got) > 24 && got[10] == 'T' && got[23] == 'Z', "a line begins with the time in UTC");
    is_str(got + 24, " warn  tester: group a silent\n", "and is one line");
    is_str(logged(NULL, LOG_DEBUG, "x"), "", "a level below the least is silent");
    got = logged("json", LOG_ERROR, "say \"no\"\\");
    ok(!strncmp(got, "{\"t\":\"20", 8), "JSON begins with the time");
    const char *tail = strstr(got, "\"level\"");
    is_str(tail, "\"level\":\"error\",\"who\":\"tester\",\"text\":\"say \\\"no\\\"\\\\\"}\n",
           "and escapes");
    static char lots[5000];
    memset(lots, '"', sizeof lots - 1);
    got = logged("json", LOG_ERROR, lots);
    size_t n = strlen(got);
    ok(n < 2048 && !strcmp(got + n - 3, "\"}\n"), "a long line is cut and still closed (%zu bytes)",
       n);
    return done_testing();
}
