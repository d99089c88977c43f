/* cache.h - an object store that is only a copy: bounded, shared by the processes of a machine, emptied of what was used longest ago.
 *
 *     cache_open(&c, "/data/cache", 20 << 30, &e);
 *     cache_hold(c, wanted, n, &e);                  // from now on nothing goes that is wanted, or comes, or is made
 *     ... objects_has, fetch_get(.store = cache_objects(c), .folder = cache_incoming(c)), objects_put ...
 *     cache_release(c, &e);                          // and what is too much goes
 *     cache_close(c);
 *
 * The folder: objects/ (a store as any other), incoming/ (arrival.h), use/ (who holds it), lock. An object is removed only when its last
 * use is older than the beginning of every hold, so the bound (bytes of objects) is kept except for what running work has used or
 * made since. Whoever is killed holds nothing any more (its lock is gone); a folder that was left by a kill at any instant is a valid cache.
 * Several machines may share one where flock works between them (NFS since Linux 2.6.12 on both sides).
 * Not thread-safe. cache_hold and cache_release read all names in objects/ when there is more than the bound, or nobody knows.
 */
#ifndef BASE_CACHE_H
#define BASE_CACHE_H

#include "base/objects.h"

struct cache;

enum code cache_open(struct cache **c, const char *dir, uint64_t most_bytes, struct err *e);    /* makes dir if absent */
void cache_close(struct cache *c);                           /* releases; NULL is fine */

struct objects *cache_objects(struct cache *c);              /* the cache's */
const char *cache_incoming(const struct cache *c);

/* Begins a hold, or begins it anew, and marks those of the wanted that are there as used. */
enum code cache_hold(struct cache *c, const struct hash *wanted, size_t n, struct err *e);
/* Marks as used: may be called while held. */
enum code cache_use(struct cache *c, struct hash h, struct err *e);
/* Ends the hold, if there is one, and removes what is too much. */
enum code cache_release(struct cache *c, struct err *e);

/* Objects and bytes of objects that are there. Reads all names. */
void cache_count(struct cache *c, size_t *n, uint64_t *bytes);

#endif
