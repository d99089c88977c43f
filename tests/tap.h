/* tap.h - how a test speaks: TAP, one line per sentence, the plan at the end.
 *
 *     int main(void)
 *     {
 *         struct err e;
 *         is_int(mask_count(&m), 12, "a mask of twelve bits counts twelve");
 *         is_code(objects_get(o, h, 1, &b, &e), ERR_CORRUPT, &e, "a flipped bit is found");
 *         near(loss, 0.25, 1e-6, "the loss is a quarter");
 *         return done_testing();
 *     }
 *
 * Sentences take printf arguments. Each returns whether it held, for `if (!ok(...)) return done_testing();`. A failure
 * says file, line and both values. For test programs only: one file, one thread. A program without hardware calls
 * skip_all(reason) and returns its result from main.
 */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include "base/err.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    int points, failed;
    char folder[256];
} tap;

/* A test need not use every word of this header. */
#define TAP_FN __attribute__((unused)) static
#define TAP_PRINTF(at) __attribute__((format(printf, at, at + 1)))

TAP_FN TAP_PRINTF(4) int tap_point(int held, const char *file, int line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    printf("%sok %d - ", held ? "" : "not ", ++tap.points);
    vprintf(fmt, args);
    printf("\n");
    va_end(args);
    if (!held) {
        tap.failed++;
        printf("#   at %s:%d\n", file, line);
    }
    fflush(stdout); /* a crash must not take the points before it */
    return held;
}

TAP_FN int tap_differ_int(int held, long long got, long long want)
{
    if (!held) printf("#   got %lld, want %lld\n", got, want);
    return held;
}

TAP_FN int tap_differ_str(int held, const char *got, const char *want)
{
    if (!held) printf("#   got  '%s'\n#   want '%s'\n", got ? got : "(null)", want ? want : "(null)");
    return held;
}

TAP_FN int tap_differ_double(int held, double got, double want, double bound)
{
    if (!held) printf("#   got %.9g, want %.9g, apart %.3g, allowed %.3g\n", got, want, fabs(got - want), bound);
    return held;
}

TAP_FN int tap_same_str(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

#define ok(cond, ...) tap_point(!!(cond), __FILE__, __LINE__, __VA_ARGS__)

TAP_FN TAP_PRINTF(5) int tap_is_int(long long got, long long want, const char *file, int line, const char *fmt, ...)
{
    char sentence[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    return tap_differ_int(tap_point(got == want, file, line, "%s", sentence), got, want);
}
#define is_int(got, want, ...) tap_is_int((long long)(got), (long long)(want), __FILE__, __LINE__, __VA_ARGS__)

TAP_FN TAP_PRINTF(5) int tap_is_str(const char *got, const char *want, const char *file, int line, const char *fmt, ...)
{
    char sentence[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    return tap_differ_str(tap_point(tap_same_str(got, want), file, line, "%s", sentence), got, want);
}
#define is_str(got, want, ...) tap_is_str(got, want, __FILE__, __LINE__, __VA_ARGS__)

/* |got - want| <= bound; NaN never holds. */
TAP_FN TAP_PRINTF(6) int tap_near(double got, double want, double bound, const char *file, int line, const char *fmt, ...)
{
    char sentence[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    int held = fabs(got - want) <= bound;
    return tap_differ_double(tap_point(held, file, line, "%s", sentence), got, want, bound);
}
#define near(got, want, bound, ...) \
    tap_near((double)(got), (double)(want), (double)(bound), __FILE__, __LINE__, __VA_ARGS__)

/* A function returned the code wanted; where it did not, the line of the error is shown. e may be NULL. */
TAP_FN TAP_PRINTF(6) int tap_is_code(enum code got, enum code want, const struct err *e, const char *file, int line,
                                     const char *fmt, ...)
{
    char sentence[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    int held = tap_point(got == want, file, line, "%s", sentence);
    if (!held) printf("#   got %s, want %s: %s\n", err_name(got), err_name(want), got && e ? e->text : "");
    return held;
}
#define is_code(got, want, e, ...) tap_is_code(got, want, e, __FILE__, __LINE__, __VA_ARGS__)

/* A remark, for people who read the output of a failure. */
TAP_FN TAP_PRINTF(1) void note(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    printf("#   ");
    vprintf(fmt, args);
    printf("\n");
    va_end(args);
}

/* One sentence that cannot be tried here. */
TAP_FN TAP_PRINTF(2) int skip(const char *reason, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    printf("ok %d - ", ++tap.points);
    vprintf(fmt, args);
    printf(" # SKIP %s\n", reason);
    va_end(args);
    fflush(stdout);
    return 1;
}

/* `return skip_all("no GPU");` before the first sentence. */
TAP_FN int skip_all(const char *reason)
{
    printf("1..0 # SKIP %s\n", reason);
    return 0;
}

/* An empty folder of this program, removed by done_testing unless KEEP is set. */
TAP_FN const char *tap_folder(void)
{
    if (tap.folder[0]) return tap.folder;
    const char *in = getenv("TMPDIR");
    snprintf(tap.folder, sizeof tap.folder, "%s/engram-test-XXXXXX", in ? in : "/tmp");
    if (!mkdtemp(tap.folder)) {
        perror(tap.folder);
        exit(99);
    }
    return tap.folder;
}

/* The seed of a randomised test: TEST_SEED, else the one given. Printed, so that a failure can be repeated. */
TAP_FN uint64_t tap_seed(uint64_t usual)
{
    const char *text = getenv("TEST_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : usual;
    printf("# TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

TAP_FN int done_testing(void)
{
    printf("1..%d\n", tap.points);
    fflush(stdout);
    if (tap.folder[0] && !getenv("KEEP")) {
        char command[sizeof tap.folder + 16];
        snprintf(command, sizeof command, "rm -rf '%s'", tap.folder);
        if (system(command)) fprintf(stderr, "# could not remove %s\n", tap.folder);
    }
    return tap.failed || !tap.points;
}

#endif
