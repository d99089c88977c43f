/* objects.h - the content-addressed store: immutable blobs named by their SHA-256.
 *
 *     struct hash h;
 *     objects_put(store, data, n, &h, &e);       // durable when it returns
 *     objects_get(store, h, limit, &buf, &e);    // re-hashed: a flipped bit is ERR_CORRUPT, never served
 *
 * Layout: <root>/ab/cdef... (two hex digits, then sixty-two). Writing an object twice costs reading it
 * and one sync of its folder: who wrote it first may not have come to that, and what was damaged since is written anew.
 * Any number of processes may read and write one store at the same time (rename is the only commit).
 */
#ifndef BASE_OBJECTS_H
#define BASE_OBJECTS_H

#include "base/err.h"
#include "base/file.h"
#include "base/hash.h"

struct objects;
enum code objects_open(struct objects **o, const char *root, struct err *e);   /* makes root if absent */
void objects_close(struct objects *o);

enum code objects_put(struct objects *o, const void *data, size_t bytes, struct hash *out, struct err *e);
enum code objects_put_file(struct objects *o, const char *path, struct hash *out, struct err *e);
enum code objects_get(struct objects *o, struct hash h, size_t limit, struct bytes *out, struct err *e);
int objects_has(struct objects *o, struct hash h);
/* Makes sure that an object that was found stays: its writer may have been killed before that. One sync. ERR_NOT_FOUND: not there. */
enum code objects_keep(struct objects *o, struct hash h, struct err *e);
/* The file at path, on the same file system, becomes the object h: its bytes have been hashed by the caller. Synced, renamed. */
enum code objects_take(struct objects *o, const char *path, struct hash h, struct err *e);
/* Every object, in order of names within a folder: what is under the name, whether or not its bytes are right. Files of other
 * names are passed over. The walk ends with the first code that `each` returns. */
struct object { struct hash hash; const char *path; uint64_t bytes; int64_t changed_s; };   /* path is lent */
typedef enum code objects_fn(void *self, const struct object *o, struct err *e);
enum code objects_each(struct objects *o, objects_fn *each, void *self, struct err *e);
/* Removes what writers left behind that were killed in the middle (file_sweep in every folder). Reads 257 folders. */
enum code objects_sweep(struct objects *o, struct err *e);
/* Path of an object's file for readers that map it. The bytes are not re-hashed. Caller's buffer. */
void objects_path(const struct objects *o, struct hash h, char *out, size_t out_bytes);

#endif
