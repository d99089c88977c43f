/* wire.h - msgpack for one room: a structural check, a sticky reader, a sticky writer. Inside proto/ and its tests only.
 *
 * Why not the msgpack library: it believes declared lengths (155 bytes reserve 124 GiB of address space), accepts several
 * encodings of one value and stops reading where it likes. What is left after fencing all that is smaller
 * than the fence. The tests read our bytes with the library, so that they stay msgpack.
 *
 *     wire_check        one pass over foreign bytes before anything is allocated
 *     struct reader     after the first failure every read yields nothing; one look at r.code at the end
 *     struct writer     the same; run twice, first with data = NULL to count, then to write
 */
#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H

#include "proto/proto.h"

/* How many keys each record and message has in a version: fields_in_<name>. */
#define RECORD(name) static inline size_t fields_in_##name(uint64_t version) { (void)version; return (0
#define END_RECORD(name) ); }
#define MESSAGE(number, name, from, since) static inline size_t fields_in_msg_##name(uint64_t version) { (void)version; return (0
#define END(name) ); }
#define SINCE(since) ) + (version < since ? 0 : 0
#define U64(name, max) + 1
#define I64(name) + 1
#define F64(name) + 1
#define STR(name, max) + 1
#define BYTES(name, max) + 1
#define HASH(name) + 1
#define STRS(name, n, max) + 1
#define HASHES(name, n) + 1
#define ROWS(name, record, n) + 1
#include "proto/messages.def"

/* How many bytes each record has at least, all fields empty: least_bytes_<name>. Whoever announces n rows owes so many for
 * each, so that a thousand bytes cannot make us take memory for a thousand rows. */
#define RECORD(name) static inline size_t least_bytes_##name(uint64_t version) { (void)version; return (1
#define END_RECORD(name) ); }
#define MESSAGE(number, name, from, since) static inline size_t least_bytes_msg_##name(uint64_t version) { (void)version; return (1
#define END(name) ); }
#define SINCE(since) ) + (version < since ? 0 : 0
#define U64(name, max) + sizeof #name + 1                 /* a key of up to 31 letters has one byte before it */
#define I64(name) + sizeof #name + 1
#define F64(name) + sizeof #name + 9
#define STR(name, max) + sizeof #name + 1
#define BYTES(name, max) + sizeof #name + 2
#define HASH(name) + sizeof #name + 2 + HASH_BYTES
#define STRS(name, n, max) + sizeof #name + 1
#define HASHES(name, n) + sizeof #name + 2
#define ROWS(name, record, n) + sizeof #name + 1
#include "proto/messages.def"

/* Refuses: more than PROTO_BYTES, depth beyond PROTO_DEPTH, more than PROTO_ITEMS values, a declared length or count above
 * the bytes that are left, ext types, 0xc1, an end in the middle, bytes after the end. O(n), touches no heap. */
enum code wire_check(const uint8_t *data, size_t n, struct err *e);

/* Length of the UTF-8 sequence at s (n > 0 bytes are there), 0 if there is none or it is NUL. */
size_t wire_utf8_step(const uint8_t *s, size_t n);

/* Is it UTF-8 (no overlong forms, no surrogates) without NUL? */
int wire_utf8(const uint8_t *s, size_t n);

/* Where a reader or writer is, for the line of an error. */
struct where { const char *message, *field; long row; };     /* row -1: not in a list */

struct reader {
    const uint8_t *at, *end;
    struct arena *arena;
    struct where where;
    uint64_t version;
    int absent;                       /* the fields that follow are of a later version: they read as nothing */
    enum code code;
    struct err *err;
};
void reader_map(struct reader *r, size_t n_keys);                 /* exactly n_keys */
void reader_key(struct reader *r, const char *name);              /* exactly this key */
size_t reader_array(struct reader *r, size_t max);
uint64_t reader_u64(struct reader *r, uint64_t max);
int64_t reader_i64(struct reader *r);
double reader_f64(struct reader *r);
const char *reader_str(struct reader *r, size_t max);
struct slice reader_bytes(struct reader *r, size_t max);          /* borrowed from the input */
struct hash reader_hash(struct reader *r);
struct strs reader_strs(struct reader *r, size_t n, size_t max);
struct hashes reader_hashes(struct reader *r, size_t n);
/* A zeroed array of *n rows of `bytes` each, if what is left can hold so many of `least` bytes on the wire. */
void *reader_rows(struct reader *r, size_t max, size_t bytes, size_t least, size_t *n);
void reader_fail(struct reader *r, enum code c, const char *what);

struct writer {
    uint8_t *data;                    /* NULL: only count */
    size_t n, room;
    struct where where;
    uint64_t version;
    enum code code;
    struct err *err;
};
void writer_map(struct writer *w, size_t n_keys);
void writer_key(struct writer *w, const char *name);
void writer_array(struct writer *w, size_t n, size_t max);
void writer_u64(struct writer *w, uint64_t v, uint64_t max);
void writer_i64(struct writer *w, int64_t v);
void writer_f64(struct writer *w, double v);
void writer_str(struct writer *w, const char *s, size_t max);
void writer_bytes(struct writer *w, struct slice s, size_t max);
void writer_hash(struct writer *w, struct hash h);
void writer_strs(struct writer *w, struct strs v, size_t n, size_t max);
void writer_hashes(struct writer *w, struct hashes v, size_t n);

#endif
