/* hash.h - SHA-256, the name of every object.
 *
 *     struct hash h = hash_bytes(data, n);
 *     char text[HASH_TEXT];
 *     hash_text(h, text);                      // 64 lower-case hex digits and a NUL
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define HASH_BYTES 32
#define HASH_TEXT 65

struct hash { uint8_t v[HASH_BYTES]; };

struct hash hash_bytes(const void *data, size_t bytes);
enum code hash_file(const char *path, struct hash *out, uint64_t *bytes, struct err *e);

/* Many pieces. hash_begin allocates a context; hash_end frees it (also when h is thrown away). */
struct hash_stream;
struct hash_stream *hash_begin(void);            /* NULL: out of memory */
void hash_add(struct hash_stream *s, const void *data, size_t bytes);
struct hash hash_end(struct hash_stream *s);

char *hash_text(struct hash h, char out[HASH_TEXT]);
enum code hash_parse(const char *text, struct hash *out, struct err *e);   /* exactly 64 hex digits */
int hash_equal(struct hash a, struct hash b);
int hash_is_zero(struct hash h);                 /* all zero = "none", e.g. the parent of a first commit */

#endif
