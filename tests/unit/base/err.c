/* Errors: one line, a stable code, a prefix at room borders; problems of one submission together. */
#include "base/err.h"
#include "tests/tap.h"

#include <errno.h>

static void test_line(void)
{
    struct err e;
    is_int(err_set(&e, ERR_INPUT, "image %s is %dx%d", "a.png", 2, 3), ERR_INPUT,
           "err_set returns its code");
    is_str(e.text, "image a.png is 2x3", "and writes its line");
    is_int(err_set(NULL, ERR_IO, "x"), ERR_IO, "nobody need listen");
    err_set(&e, ERR_INPUT, "file %s",
            "a\nb\033[2Jc\xc2\x9b"
            "d");
    is_str(e.text, "file a?b?[2Jc??d", "newlines and escape sequences from outside are replaced");
    err_set(&e, ERR_INPUT, "no image in %s", "r\xc3\xa9sum\xc3\xa9");
    is_str(e.text, "no image in r\xc3\xa9sum\xc3\xa9", "letters beyond ASCII stay");
    err_set(&e, ERR_INPUT, "%s, again", e.text);
    is_str(e.text, "no image in r\xc3\xa9sum\xc3\xa9, again",
           "the old line may be part of the new one");
}

static void test_cut(void)
{
    struct err e;
    char lots[sizeof e.text + 10];
    for (size_t shift = 0; shift < 3; shift++) {
        memset(lots, 'a', shift);
        for (size_t i = shift; i + 3 < sizeof lots; i += 3) memcpy(lots + i, "\xe2\x82\xac", 4);
        err_set(&e, ERR_INPUT, "%s", lots);
        size_t n = strlen(e.text);
        ok(n >= sizeof e.text - 4 && (n - shift) % 3 == 0,
           "a long line is cut between characters (%zu)", n);
    }
}

static void test_context(void)
{
    struct err e;
    err_set(&e, ERR_CORRUPT, "checksum differs");
    is_int(err_context(&e, "commit %s", "ab12"), ERR_CORRUPT, "context keeps the code");
    is_str(e.text, "commit ab12: checksum differs", "and comes first");
    ok(err_context(NULL, "x") != OK, "context without an error is never OK");
}

static void test_errno(void)
{
    static const struct {
        int number;
        enum code code;
    } known[] = {{ENOSPC, ERR_FULL},      {EDQUOT, ERR_FULL},   {ENOMEM, ERR_NOMEM},
                 {ENOENT, ERR_NOT_FOUND}, {EACCES, ERR_DENIED}, {EPERM, ERR_DENIED},
                 {EISDIR, ERR_IO}};
    struct err e;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        errno = known[i].number;
        is_int(err_errno(&e, "open %s", "x"), known[i].code, "%s is %s", strerror(known[i].number),
               err_name(known[i].code));
    }
    is_str(e.text, "open x: Is a directory", "the system's words follow ours");
}

static void test_codes(void)
{
    int named = 1;
    for (int c = 0; c < ERR_CODES; c++) {
        const char *name = err_name((enum code)c);
        ok(name != NULL, "code %d has a name", c);
        if (!name) return;
        named &= strcmp(name, "unknown") != 0;
        for (int d = 0; d < c; d++) named &= strcmp(name, err_name((enum code)d)) != 0;
    }
    ok(named, "every code has a name of its own");
    is_int(err_exit_status(ERR_USAGE), 2, "wrong usage exits with 2");
    is_int(err_exit_status(ERR_CORRUPT), 3, "wrong data with 3");
    is_int(err_exit_status(ERR_FULL), 4, "a wrong machine with 4");
    is_int(err_exit_status(ERR_AGAIN), 75, "trouble that passes with 75");
    is_int(err_exit_status((enum code)99), 1, "a code of a newer peer with 1");
    is_str(err_name((enum code)99), "unknown", "which has no name here");
}

static void test_problems(void)
{
    struct problems p = {0};
    for (int i = 0; i < 250; i++) problems_add(&p, ERR_INPUT, "image %d\n", i);
    is_int(p.n, 200, "200 problems are kept");
    is_int(p.n_dropped, 50, "the rest is counted");
    is_str(p.line[199], "image 199?", "lines are one line each");
    is_int(p.code[0], ERR_INPUT, "with their codes");
    problems_fini(&p);
    ok(!p.line && !p.n, "problems_fini empties");
}

int main(void)
{
    test_line();
    test_cut();
    test_context();
    test_errno();
    test_codes();
    test_problems();
    return done_testing();
}
