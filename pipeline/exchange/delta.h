/* delta.h - reads *.engram.safetensors and believes none of it. The format is docs/formats.md, "Sparse delta".
 *
 *     struct delta *d;
 *     delta_open(&d, "pets.engram.safetensors", &e);            // every commit is put together again and hashed
 *     for (i < delta_count(d)) ... delta_at(d, i) ...
 *     delta_close(d);
 *
 * A commit is immutable and named by its hash, so a delta proves itself: what is in it is what the lineage has, bit for bit,
 * or it is refused (ERR_CORRUPT). It does not prove who made it.
 */
#ifndef EXCHANGE_DELTA_H
#define EXCHANGE_DELTA_H

#include "base/err.h"
#include "base/hash.h"

#include <stddef.h>

struct delta_concept {
    int number;                            /* in its lineage, from 1 */
    struct hash commit, parent;            /* parent zero: the first */
    const char *token, *class_word, *kind;
    size_t n_neurons;
};

struct delta;
enum code delta_open(struct delta **d, const char *path, struct err *e);
void delta_close(struct delta *d);         /* NULL is fine */
const char *delta_lineage(const struct delta *d);
struct hash delta_base(const struct delta *d);
size_t delta_neurons(const struct delta *d);       /* of the base */
int delta_count(const struct delta *d);
const struct delta_concept *delta_at(const struct delta *d, int i);

#endif
