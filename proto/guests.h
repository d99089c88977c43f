/* guests.h - whose keys are let in at a socket that the network reaches. Shared between the thread that knows (and sets) the list and
 * the one that answers ZeroMQ's question during a handshake; all calls are thread-safe.
 *
 *     struct guests *g = guests_make();
 *     link_serve(&s, &(struct link_place){ .endpoint = "tcp://127.0.0.1:7000", .keys = &mine, .guests = g }, &e);
 *     guests_set(g, keys, n, &e);                 // replaces the list; an empty one lets nobody in
 *     if (guests_knocked(g)) read the list again;
 *
 * The list is looked at when somebody comes. A connection that is open stays open when its key is struck from the list, so whoever
 * receives looks at the key of every message, too (struct link_peer).
 */
#ifndef PROTO_GUESTS_H
#define PROTO_GUESTS_H

#include "base/hash.h"

struct guests;

struct guests *guests_make(void);                 /* NULL: out of memory. No list yet */
void guests_free(struct guests *g);               /* after every server that uses it; NULL is fine */

/* Copies the keys. O(n log n). ERR_NOMEM: the old list stays. */
enum code guests_set(struct guests *g, const struct hash *keys, size_t n, struct err *e);

/* O(log n). An unknown key is remembered as a knock. Before there is a list at all the answer waits for it, two seconds at most, so that
 * nobody is sent away only because they came before it. */
int guests_let_in(struct guests *g, struct hash key);

/* Has an unknown key knocked since the last call? */
int guests_knocked(struct guests *g);

#endif
