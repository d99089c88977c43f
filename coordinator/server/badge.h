/* badge.h - the key under which a worker group first spoke. A nonce is only a word: whoever else says it is not the group.
 *
 *     if (badge_check(b, nonce, key, now_ms, &e)) refuse;
 *
 * In memory only. A restarted coordinator believes the first who speaks again, and a group that was silent for a minute may be
 * forgotten when room is needed. Cost O(1).
 */
#ifndef COORDINATOR_SERVER_BADGE_H
#define COORDINATOR_SERVER_BADGE_H

#include "base/hash.h"

struct badges;

struct badges *badges_make(uint64_t seed);       /* seed: a secret, so that nobody chooses nonces that collide. NULL: out of memory */
void badges_free(struct badges *b);

/* Key zero is a key, too: that of local sockets. ERR_DENIED: another key had it first. ERR_FULL: more groups than can be told apart. */
enum code badge_check(struct badges *b, struct hash nonce, struct hash key, int64_t now_ms, struct err *e);

#endif
