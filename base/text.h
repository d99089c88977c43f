/* text.h - a growing string, for reports, JSON and SVG. Sticky: after one failed allocation it stays
 * empty-handed and text_ok is 0; check once at the end.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stddef.h>

struct text { char *s; size_t n, room; int failed; };    /* zero-initialise; s is NUL-terminated once used */

void text_add(struct text *t, const char *s);
void text_add_bytes(struct text *t, const void *s, size_t n);
void text_printf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_add_html(struct text *t, const char *s);       /* escapes & < > " ' */
void text_add_base64(struct text *t, const void *s, size_t n);
int text_ok(const struct text *t);
void text_fini(struct text *t);

/* Damerau-Levenshtein distance (adjacent swaps count one), for "did you mean". O(n m). Of two different strings of which
 * one has more than 255 bytes: the length of the longer, which is far. */
int text_distance(const char *a, const char *b);
/* The nearest of n names to s, or NULL if none is near enough to be a slip of the finger. */
const char *text_nearest(const char *s, const char *const *names, size_t n);

#endif
