/* delta_reader.h - an independent reader of sparse deltas, written from docs/formats.md "Sparse delta", "Exports" and "safetensors"
 * alone. It includes nothing of the program's, so that the pages are what is proved.
 */
#ifndef TESTS_FORMATS_DELTA_READER_H
#define TESTS_FORMATS_DELTA_READER_H

#include <stddef.h>

/* Applies every commit of the delta, in order, to weight[n], the flat vector of neurons, and puts commit i's row to
 * row[i * width]; at most most rows. proved: how many commits hash to their names. NULL: as the page says; else what is wrong. */
const char *read_delta_file(const char *path, float *weight, size_t n, float *row, size_t width, size_t most, size_t *proved);

#endif
