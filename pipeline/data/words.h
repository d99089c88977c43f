/* words.h - text that a person wrote, cleaned or refused: captions, prompts, class words.
 *
 *     char caption[CONCEPT_TEXT];
 *     rc = words_read("rex/03.txt", caption, sizeof caption, &e);
 *
 * UTF-8 only; a byte order mark is dropped; any white space, ends of lines too, becomes one space; none stays at the
 * ends. Control characters are refused, because they would reach logs, terminals and file names.
 */
#ifndef DATA_WORDS_H
#define DATA_WORDS_H

#include "base/err.h"

#include <stddef.h>

/* name stands at the front of an error. out holds at most room - 1 bytes. Empty text is no error: out is "". */
enum code words_clean(const char *text, size_t bytes, const char *name, char *out, size_t room, struct err *e);
/* The same of a whole file, which must not be empty. */
enum code words_read(const char *path, char *out, size_t room, struct err *e);

#endif
