/* mask.h - one bit per neuron, packed: bit i of the flat K/V vector (model/kv.h) is words[i / 64] >> (i % 64) & 1.
 *
 * On disk and between ranks a mask is its words, little-endian; bits past n_bits are zero always.
 */
#ifndef NEURONS_MASK_H
#define NEURONS_MASK_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct mask { uint64_t *words; size_t n_bits, n_words; };          /* words owned; mask_fini frees */

enum code mask_init(struct mask *m, size_t n_bits, struct err *e);  /* all zero */
enum code mask_copy(struct mask *m, const struct mask *from, struct err *e);
void mask_fini(struct mask *m);
void mask_fill(struct mask *m);                                     /* all ones */
static inline int mask_get(const struct mask *m, size_t i) { return (int)(m->words[i / 64] >> (i % 64) & 1); }
static inline void mask_set(struct mask *m, size_t i) { m->words[i / 64] |= UINT64_C(1) << (i % 64); }

void mask_and(struct mask *m, const struct mask *b);                /* m &= b; equal sizes asserted */
void mask_or(struct mask *m, const struct mask *b);
void mask_and_not(struct mask *m, const struct mask *b);            /* m &= ~b */
size_t mask_count(const struct mask *m);
double mask_density(const struct mask *m);                          /* count / n_bits; 0 for an empty vector */
double mask_iou(const struct mask *a, const struct mask *b);        /* |a & b| / |a | b|; 0 if both are empty */
double mask_overlap(const struct mask *a, const struct mask *b);    /* |a & b| / |a|; 0 if a is empty */

/* Positions of the ones, ascending; *out is malloc'ed (mask_count long), the caller's. */
enum code mask_positions(const struct mask *m, uint32_t **out, size_t *n, struct err *e);

#endif
