/* fetch.h - objects over a link: whole, checked and durable at the other end, or an error; what came before an error is not lost.
 *
 *     struct fetch f = {.link = link, .store = cache, .folder = "CACHE/incoming"};
 *     if (fetch_get(&f, hash, &e)) ...                   // now objects_get(cache, hash, ...) has it
 *     if (fetch_put(&f, "photos/1.png", hash, &e)) ...   // now a request may name it
 *
 * In parts of PROTO_PART, one at a time: over a line with r ms there and back at most 1000 / r MiB a second. A link that breaks, or a door
 * that is started again, costs the part that was on its way; whoever is killed goes on from the last part with the next call. For users and
 * worker groups without a shared file system. Belongs to the thread of its link.
 */
#ifndef PROTO_FETCH_H
#define PROTO_FETCH_H

#include "base/objects.h"
#include "proto/link.h"

struct fetch {
    struct link *link;                /* borrowed. Nothing else is asked of it meanwhile */
    struct objects *store;            /* borrowed: where objects come to; fetch_put does not need it */
    const char *folder;               /* borrowed: where they lie until they are whole, on the same file system */
    uint64_t most_bytes;              /* of one object; 0: FETCH_MOST */
    /* For fetch_get by a user: the job that names the object, and the evaluation of it that does, or zero (PROTOCOL.md, object_get). */
    uint64_t job;
    struct hash within;
    /* After each part, with the bytes so far. Nonzero: stop (ERR_CANCELLED). NULL: nobody wants to know. */
    int (*progress)(void *self, uint64_t done, uint64_t of);
    void *self;
};

#define FETCH_MOST (UINT64_C(1) << 40)

/* Brings the object into the store; at once if it is there. ERR_NOT_FOUND: the other side has none, or the
 * job does not name it or is not ours to see. ERR_CORRUPT: what it sends is not what
 * the hash says, twice. */
enum code fetch_get(struct fetch *f, struct hash h, struct err *e);

/* Sends the file at path, whose hash is h. A worker group is done at once if the object is there already; a user is not told so, and
 * sends it. ERR_CORRUPT: the file has changed since it was hashed. */
enum code fetch_put(struct fetch *f, const char *path, struct hash h, struct err *e);

#endif
