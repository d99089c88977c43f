/* commit.h - one learned concept as a file: immutable, named by the SHA-256 of its bytes.
 *
 *     commit_encode(&c, &bytes, &e);      objects_put(store, bytes.data, bytes.n, &name, &e);
 *     commit_decode(bytes.data, bytes.n, &c, &e);  ...  commit_fini(&c);
 *
 * Same concept, same bytes: no times, no job ids, no machine. The format is docs/formats.md "Commit";
 * tests/formats/support/commit_reader.c proves the page. Decoding is strict: a wrong length, count, checksum or order is
 * ERR_CORRUPT with its reason.
 */
#ifndef NEURONS_COMMIT_H
#define NEURONS_COMMIT_H

#include "base/err.h"
#include "base/file.h"
#include "base/hash.h"
#include "pipeline/neurons/mask.h"

#define COMMIT_TOKEN 64
#define COMMIT_CLASS 64
#define COMMIT_KIND 16

struct commit {
    struct hash base;                 /* base model */
    struct hash parent;               /* zero: first of its lineage */
    char token[COMMIT_TOKEN];         /* "<rex>" */
    char class_word[COMMIT_CLASS];    /* "dog" */
    char kind[COMMIT_KIND];           /* animal, object, scene, style */
    struct mask mask;                 /* M_concept: which neurons it owns */
    float *value;                     /* owned; new weights in ascending neuron order, mask_count(mask) long */
    size_t n_values;
    float *row;                       /* owned; the token's embedding row [dim] */
    uint32_t dim;
    char *made;                       /* owned; canonical JSON: method, settings, seed, densities, hashes of images and captions */
};

enum code commit_encode(const struct commit *c, struct bytes *out, struct err *e);
enum code commit_decode(const void *data, size_t bytes, struct commit *out, struct err *e);
void commit_fini(struct commit *c);

#endif
