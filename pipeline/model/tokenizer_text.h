/* tokenizer_text.h - from raw text to the words that BPE sees. Private to tokenizer*.c.
 *
 * What transformers' slow CLIPTokenizer does without ftfy: drop control, format, private and unassigned characters and
 * U+FFFD; a space around every CJK ideograph; NFC; white space becomes one space; lower case (full mapping, final sigma
 * included; accents stay); then the pattern of CLIP cuts words. Unicode is that of libunistring and PCRE2.
 */
#ifndef MODEL_TOKENIZER_TEXT_H
#define MODEL_TOKENIZER_TEXT_H

#include "base/err.h"

#include <stddef.h>

struct tokenizer_text;
enum code tokenizer_text_make(struct tokenizer_text **t, struct err *e);        /* compiles the pattern */
void tokenizer_text_free(struct tokenizer_text *t);

/* Calls word(self, bytes, n) for every word of s, in order, until one returns other than OK. s must be UTF-8. */
typedef enum code tokenizer_word_fn(void *self, const char *word, size_t n);
enum code tokenizer_text_words(const struct tokenizer_text *t, const char *s, size_t n, tokenizer_word_fn *word, void *self,
                               struct err *e);

#endif
