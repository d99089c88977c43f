/* mark.h - how far the database had come when that was last acknowledged, beside it and outside of it.
 *
 *     mark_open(&m, "/home/ann/.engram/coordinator.db", &e);
 *     if (mark_read(&m) > the batch in the database) it has lost something;
 *     mark_write(&m, batch);                    // after the batch is durable
 *
 * SQLite takes a damaged frame of its log for the end of the log, as if what follows had never been committed: a flipped bit would
 * take acknowledged batches away without a word. The number in "<database>-mark" says that they were there. It is written without a
 * sync, after the batch was synced, so it is never ahead; after a power loss it may be behind, and says less.
 *
 * 32 bytes: two slots of 16, written in turn: the number and its complement, lowest byte first. A slot that does not fit is passed over.
 * For the files of store/ and care/.
 */
#ifndef COORDINATOR_STORE_MARK_H
#define COORDINATOR_STORE_MARK_H

#include "base/err.h"

#include <stdint.h>

struct mark { int fd; };

enum code mark_open(struct mark *m, const char *database, struct err *e);
void mark_close(struct mark *m);
uint64_t mark_read(const struct mark *m);         /* 0: none */
/* Says nothing when it fails: the batch is durable all the same. */
void mark_write(const struct mark *m, uint64_t batch);

/* Without making a file. *damaged: a slot does not fit. */
uint64_t mark_look(const char *database, int *damaged);
/* The numbers begin anew: another database gets this name. */
enum code mark_remove(const char *database, struct err *e);

#endif
