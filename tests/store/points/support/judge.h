/* judge.h - a home after a crash: is all there that was promised, is nothing there twice, and does its life go on? */
#ifndef TESTS_STORE_JUDGE_H
#define TESTS_STORE_JUDGE_H

#include <stddef.h>

enum { JUDGE_LINE = 400 };

/* acks: what the work said until then, [n] bytes. life: of the life that goes on (work.h). Runs in a process of its own, so that an assertion
 * is a verdict, too. 0: all is well; else `line` says what is not. */
int judge_home(const char *home, const char *acks, size_t n, int life, char line[JUDGE_LINE]);

#endif
