/* arrival.h - an object that comes in pieces: kept where it is until it is whole, checked by its hash, then put into a store.
 *
 *     if (arrival_open(&a, folder, hash, &e)) ...                 // what came earlier is there still
 *     while (arrival_catch_up(a, &e) == ERR_AGAIN) do something else;
 *     arrival_add(a, data, n, &e);                                // appends: bytes arrival_have(a) to arrival_have(a) + n
 *     arrival_end(&a, store, &e);                                 // ERR_CORRUPT: other bytes than the hash says; they are gone
 *
 * The file is <folder>/<hash>, locked as long as it is open. After a kill at any instant it holds a beginning of what came, and only
 * arrival_end makes an object of it. Bytes are synced as they come, a few MiB at a time, so that the end does not wait long.
 * Not thread-safe.
 */
#ifndef BASE_ARRIVAL_H
#define BASE_ARRIVAL_H

#include "base/objects.h"

struct arrival;

/* Makes the folder if absent. ERR_AGAIN: another process has it open. */
enum code arrival_open(struct arrival **a, const char *folder, struct hash h, struct err *e);
void arrival_close(struct arrival *a);           /* NULL is fine; what has come stays for the next time */
void arrival_drop(struct arrival *a);            /* closes, and what has come goes */

uint64_t arrival_have(const struct arrival *a);  /* bytes from the beginning */

/* Hashes what came earlier, at most ARRIVAL_STEP bytes a call. ERR_AGAIN: not all of it yet. Wanted before the first add. */
enum code arrival_catch_up(struct arrival *a, struct err *e);

/* Where it fails nothing is added; where a sync fails, all that came is forgotten: look at arrival_have. */
enum code arrival_add(struct arrival *a, const void *data, size_t bytes, struct err *e);

/* All has come: durable in the store when it returns OK. *a is over, whatever happens, and NULL; after an error other than ERR_CORRUPT
 * what has come stays. The store and the folder lie on one file system. */
enum code arrival_end(struct arrival **a, struct objects *store, struct err *e);

struct arrivals { uint64_t n, bytes; };          /* files, and what they hold together */
/* What nobody has added to for older_s seconds, in folder: added to *found, and removed where `remove`. What is open elsewhere is
 * left alone. No such folder: nothing. */
enum code arrival_old(const char *folder, int64_t older_s, int remove, struct arrivals *found, struct err *e);
/* Removes what is older than a day. */
enum code arrival_sweep(const char *folder, struct err *e);

/* How many files there are in folder and how many bytes they hold; none if there is no such folder. */
void arrival_count(const char *folder, size_t *n, uint64_t *bytes);

enum { ARRIVAL_STEP = 16 << 20 };

#endif
