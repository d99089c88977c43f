/* commit_reader.h - an independent reader of commit files, written from docs/formats.md "Commit" alone. It includes nothing of
 * the program's, so that the page is what is proved. Numbers are put together byte by byte, texts are length-counted.
 */
#ifndef TESTS_FORMATS_COMMIT_READER_H
#define TESTS_FORMATS_COMMIT_READER_H

#include <stddef.h>

struct read_commit {
    unsigned version, dim;
    unsigned long long n_neurons, n_values;
    unsigned char base[32], parent[32];
    char *text[4];                    /* owned: token, class word, kind, record; each ends in a zero byte */
    unsigned long long *neuron;       /* owned, [n_values]: positions of the ones, ascending */
    float *value, *row;               /* owned, [n_values], [dim] */
};

/* NULL: the file is as the page says, and out holds it. Else: what is wrong with it, and out is empty. */
const char *read_commit_file(const char *path, struct read_commit *out);
void read_commit_free(struct read_commit *c);

#endif
