/* blob.h - fixed little-endian records for files that outlive a process: a writer, and a sticky reader.
 *
 *     struct blob b = {0};                          struct blob_reader r = blob_reader(data, n);
 *     blob_u32(&b, version);                        uint32_t version = blob_get_u32(&r);
 *     blob_f32(&b, values, n);                      blob_get_f32(&r, values, n);
 *     blob_seal(&b);                                if (!blob_sealed(data, n) || r.bad) ... corrupt
 *
 * After the first read past the end every read yields zero and r.bad is 1: check once. A sealed blob ends in the SHA-256 of
 * all that stands before it. On a big-endian machine floats and words are swapped byte by byte, so files travel.
 */
#ifndef BASE_BLOB_H
#define BASE_BLOB_H

#include "base/text.h"

#include <stddef.h>
#include <stdint.h>

struct blob { struct text t; };                        /* t.failed: out of memory, check once at the end */
void blob_u32(struct blob *b, uint32_t v);
void blob_u64(struct blob *b, uint64_t v);
void blob_bytes(struct blob *b, const void *data, size_t n);
void blob_words(struct blob *b, const uint64_t *v, size_t n);
void blob_f32(struct blob *b, const float *v, size_t n);
void blob_align(struct blob *b, size_t to);             /* zero bytes up to the next multiple */
void blob_seal(struct blob *b);

struct blob_reader { const uint8_t *data; size_t n, at; int bad; };
struct blob_reader blob_reader(const void *data, size_t n);
uint32_t blob_get_u32(struct blob_reader *r);
uint64_t blob_get_u64(struct blob_reader *r);
void blob_get_bytes(struct blob_reader *r, void *out, size_t n);      /* zeroes out when past the end */
void blob_get_words(struct blob_reader *r, uint64_t *out, size_t n);
void blob_get_f32(struct blob_reader *r, float *out, size_t n);
void blob_get_align(struct blob_reader *r, size_t to);                /* skipped bytes must be zero */
size_t blob_left(const struct blob_reader *r);

/* Is data a sealed blob? The seal is its last 32 bytes. */
int blob_sealed(const void *data, size_t n);

#endif
