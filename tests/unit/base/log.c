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

static const char *about(const struct log_about *a, const char *text)
{
    static char got[4096];
    char path[300];
    snprintf(path, sizeof path, "%s/log", tap_folder());
    int keep = dup(STDERR_FILENO), file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    dup2(file, STDERR_FILENO);
    log_event(LOG_INFO, a, "%s", text);
    dup2(keep, STDERR_FILENO);
    close(keep);
    ssize_t n = pread(file, got, sizeof got - 1, 0);
    got[n > 0 ? n : 0] = 0;
    close(file);
    return got;
}

/* What comes between hold and release, and what had come before it. */
static void held(void)
{
    static char got[16384];
    char path[300], line[120];
    snprintf(path, sizeof path, "%s/log", tap_folder());
    int keep = dup(STDERR_FILENO), file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    ssize_t first, most, n;
    int order = 1;

    dup2(file, STDERR_FILENO);
    unsetenv("ENGRAM_LOG");
    log_open("tester", LOG_INFO);
    log_hold();
    log_line(LOG_INFO, "line 0");
    first = pread(file, got, sizeof got, 0);
    for (int i = 1; i < 100; i++) log_line(LOG_INFO, "line %d", i);
    most = pread(file, got, sizeof got, 0);
    int whole = most > 0 && got[most - 1] == '\n';
    log_release();
    log_line(LOG_INFO, "line 100");
    n = pread(file, got, sizeof got - 1, 0);
    dup2(keep, STDERR_FILENO);
    close(keep);
    close(file);
    got[n > 0 ? n : 0] = 0;
    const char *at = got;
    for (int i = 0; i <= 100; i++) {
        snprintf(line, sizeof line, " info  tester: line %d\n", i);
        order &= strlen(at) > 24 && !strncmp(at + 24, line, strlen(line));
        at = strchr(at, '\n') ? strchr(at, '\n') + 1 : "";
    }
    is_int(first, 0, "a held line waits");
    ok(most > 0 && most <= 4096 && whole, "whole lines leave when a pipe would be full");
    ok(order && !*at, "all stand there in order after the release, and the next at once");
}

static void plain(void)
{
    const char *got = logged(NULL, LOG_WARN, "group a\nsilent");
    ok(strlen(got) > 24 && got[10] == 'T' && got[23] == 'Z', "a line begins with the time in UTC");
    is_str(got + 24, " warn  tester: group a silent\n", "and is one line");
    is_str(logged(NULL, LOG_DEBUG, "x"), "", "a level below the least is silent");
    is_str(about(&(struct log_about){.event = "stage_begins", .job = 7}, "job 7") + 24,
           " info  tester: job 7\n", "a plain line has its text only");
    log_as("group-3");
    is_str(about(&(struct log_about){0}, "x") + 24, " info  group-3: x\n",
           "a worker group speaks by its name");
}

static void json(void)
{
    const char *got = logged("json", LOG_ERROR, "say \"no\"\\");
    ok(!strncmp(got, "{\"time\":\"20", 8), "JSON begins with the time");
    is_str(strstr(got, "\"level\""),
           "\"level\":\"error\",\"program\":\"tester\",\"text\":\"say \\\"no\\\"\\\\\"}\n",
           "and escapes");
    is_str(strstr(logged("json", LOG_INFO, "caf\xc3\xa9 \xff \xed\xa0\x80 \xf0\x9f\x90\xb6\xc3"),
                  "\"text\""),
           "\"text\":\"caf\xc3\xa9 ? ??? \xf0\x9f\x90\xb6?\"}\n", "what is no UTF-8 is no text");
    is_str(strstr(about(&(struct log_about){.event = "stage_lost",
                                            .job = 7,
                                            .epoch = 9,
                                            .lineage = "pets",
                                            .stage = "train",
                                            .group = "group-1",
                                            .code = "io"},
                        "lost"),
                  "\"program\""),
           "\"program\":\"tester\",\"event\":\"stage_lost\",\"job\":7,\"lineage\":\"pets\","
           "\"stage\":\"train\",\"epoch\":9,\"group\":\"group-1\",\"code\":\"io\",\"text\":"
           "\"lost\"}\n",
           "fields stand in one order, and what is not known does not stand there");
}

/* However long, with whatever in it, a line is short, and closed. */
static void long_lines(void)
{
    static const char *const fill[] = {"\"", "x", "\xf0\x9f\x90\xb6", "\xff"};
    static char lots[5000];
    for (size_t i = 0; i < sizeof fill / sizeof *fill; i++) {
        int good = 1;
        for (size_t shift = 0; shift < 8; shift++) {
            size_t n = strlen(fill[i]), at = shift;
            memset(lots, 'a', shift);
            for (; at + n < sizeof lots; at += n) memcpy(lots + at, fill[i], n);
            lots[at] = '\0';
            logged("json", LOG_INFO, "");
            struct log_about a = {
                .event = lots, .lineage = lots, .stage = lots, .group = lots, .code = lots};
            const char *got = about(&a, lots);
            size_t length = strlen(got);
            good &=
                length < 2048 && !strcmp(got + length - 3, "\"}\n") && strstr(got, ",\"text\":\"");
            good &= length > 3 && got[length - 4] != '\\';
        }
        ok(good, "a line of too many \"%s\" is cut and still closed", fill[i]);
    }
}

int main(void)
{
    struct err e;

    plain();
    json();
    long_lines();
    held();
    is_code(log_format("xml", &e), ERR_USAGE, &e, "there are two formats");
    is_code(log_format("json", &e), OK, &e, "json is one");
    is_str(getenv("ENGRAM_LOG"), "json", "children hear of it");
    ok(!log_may_quote(ERR_INPUT) && log_may_quote(ERR_IO), "what blames the input is not quoted");
    return done_testing();
}
