/* patterns.h - which prompts a concept is asked, and how they read with and without its token. */
#ifndef EVALUATE_PATTERNS_H
#define EVALUATE_PATTERNS_H

#include "base/err.h"

#define PATTERN_TEXT 1024     /* bytes of a filled pattern */

/* The patterns of n that are for this kind, without their prefix; at most `room`. Returns their number, or -1: too many. */
int patterns_choose(const char *kind, const char *const *pattern, int n, const char **out, int room);
/* Every pattern must hold {concept}, and at most 1000 bytes with the longest names. */
enum code patterns_check(const char *const *pattern, int n, struct err *e);
/* token "" or NULL: the class word alone. */
void pattern_fill(const char *pattern, const char *kind, const char *token, const char *class_word,
                  char out[PATTERN_TEXT]);

#endif
