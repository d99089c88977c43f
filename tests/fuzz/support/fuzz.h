/* fuzz.h - what the fuzz targets share. A target is one file with one function:
 *
 *     int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
 *     {
 *         struct fuzz_part part[2];
 *         fuzz_split(data, n, part, 2);                       // "vocabulary\n%%\nmerges"
 *         fuzz_file("vocab.json", part[0]);                   // a reader that wants a path gets a file in memory
 *         must(tokenizer_open(&t, fuzz_folder(), &e) == OK || *e.text);
 *         return 0;
 *     }
 *
 * `make fuzz` links it with libFuzzer, every other build with replay.c, which runs it over the kept inputs in
 * tests/fuzz/corpus/<target>/. Targets run in the root of the tree. Input that a reader refuses is no finding; a crash, a
 * leak, a hang, memory without bounds and a must that does not hold are.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Says what did not hold, and aborts: both drivers take that for a crash of this input. */
#define must(held) ((held) ? (void)0 : fuzz_broken(#held, __FILE__, __LINE__))
_Noreturn void fuzz_broken(const char *what, const char *file, int line);

/* A refusal has a code that is not "our bug" and one line for people. */
void fuzz_refused(enum code rc, const struct err *e);

/* data NULL: the part is absent, which is not the same as empty. */
struct fuzz_part { const uint8_t *data; size_t n; };
/* Cuts at lines "%%" into at most `most` parts; the rest is absent. */
void fuzz_split(const uint8_t *data, size_t n, struct fuzz_part *part, int most);
/* The part as a text that ends at its first zero byte; free(). "" if it is absent. */
char *fuzz_text(struct fuzz_part part);

/* A folder of this process, removed at its end. */
const char *fuzz_folder(void);
/* <folder>/<name> with these bytes, or without that file if the part is absent. Not durable, for speed. The path stays
 * until the fourth call from now. */
const char *fuzz_file(const char *name, struct fuzz_part part);

#endif
