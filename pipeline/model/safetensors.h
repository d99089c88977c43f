/* safetensors.h - the checkpoint container: mapped, strict, and a writer.
 *
 *     struct safetensors *s;
 *     safetensors_open(&s, path, &e);                       // every header lie is refused with its reason
 *     const struct stored *t = safetensors_find(s, "conv_in.weight");
 *     stored_to_float(t, out);                              // F32, F16, BF16, F64 and integers
 *     safetensors_close(s);
 *
 * Format: 8 bytes little-endian header length, JSON header, data; see docs/formats.md. Pickle files are refused by name.
 * Data may start at any byte: never cast, always copy (stored_to_float does).
 */
#ifndef MODEL_SAFETENSORS_H
#define MODEL_SAFETENSORS_H

#include "base/err.h"
#include "base/file.h"

#include <stddef.h>
#include <stdint.h>

#define STORED_RANK 6
enum stored_dtype { STORED_F32, STORED_F16, STORED_BF16, STORED_F64, STORED_I64, STORED_I32, STORED_I16, STORED_I8,
                    STORED_U8, STORED_BOOL, STORED_OTHER };

struct stored {                        /* one tensor of a file */
    const char *name;                  /* owned by the file object, as is dim's meaning: row-major, outermost first */
    enum stored_dtype dtype;
    int rank;
    int64_t dim[STORED_RANK];
    const uint8_t *data;               /* in the map; any alignment */
    size_t bytes;
    const struct file_map *map;        /* that data lies in, the file object's; NULL or empty: bytes of the caller's */
};

struct safetensors;
enum code safetensors_open(struct safetensors **s, const char *path, struct err *e);
enum code safetensors_parse(struct safetensors **s, const uint8_t *data, size_t bytes, const char *name, struct err *e);
void safetensors_close(struct safetensors *s);
size_t safetensors_count(const struct safetensors *s);
const struct stored *safetensors_at(const struct safetensors *s, size_t i);          /* in file order */
const struct stored *safetensors_find(const struct safetensors *s, const char *name); /* NULL: absent; O(log n) */
const char *safetensors_metadata(const struct safetensors *s, const char *key);      /* NULL: absent */

int64_t stored_count(const struct stored *t);
/* After a copy was made of t, or of a part of it, or it was read in passing: its pages are given back (file_map_release). It
 * remains valid. */
void stored_release(const struct stored *t);
/* Converts to float32 (exact for F16 and BF16, rounded for F64 and integers). ERR_INPUT for other types. */
enum code stored_to_float(const struct stored *t, float *out, struct err *e);
/* Reads every value, a block at a time: ERR_CORRUPT names a NaN or an infinity, ERR_INPUT a type that is no number. */
enum code stored_check_finite(const struct stored *t, struct err *e);
enum code stored_to_int(const struct stored *t, int64_t *out, struct err *e);        /* integer types and BOOL */

/* Float32 as F32, F16 or BF16, to nearest even; what is too large becomes an infinity. A NaN stays one. */
void stored_from_float(enum stored_dtype dtype, const float *from, int64_t n, void *out);

/* As a value of metadata: stands for "0x" and the SHA-256 of all bytes behind the header, which is put in when they are known. Once. */
#define SAFETENSORS_HASH "0x0000000000000000000000000000000000000000000000000000000000000000"

/* Writing: the same bytes for the same entries (sorted as the reference writer does). Durable (base/file.h). */
struct stored_entry {
    const char *name;
    enum stored_dtype dtype;           /* of data, which is written as it is */
    int rank;
    int64_t dim[STORED_RANK];
    const void *data;
};
enum code safetensors_write(const char *path, const struct stored_entry *entry, size_t n,
                            const char *const *metadata /* key, value, ..., NULL */, struct err *e);
enum code safetensors_encode(const struct stored_entry *entry, size_t n, const char *const *metadata,
                             struct bytes *out, struct err *e);

/* The same for tensors that are made while they are written, so that a checkpoint of gigabytes needs a megabyte here: all
 * entries' data is ignored, make(self, t, first, n, out) gives elements [first, first + n) of t, one of the entries handed in. */
struct stored_maker {
    enum code (*make)(void *self, const struct stored_entry *t, int64_t first, int64_t n, void *out, struct err *e);
    void *self;
};
enum code safetensors_stream(const char *path, const struct stored_entry *entry, size_t n,
                             const char *const *metadata, const struct stored_maker *maker, struct err *e);
/* How many bytes each of the three makes. */
enum code safetensors_bytes(const struct stored_entry *entry, size_t n, const char *const *metadata, uint64_t *bytes,
                            struct err *e);

#endif
