/* random_message.h - a message of any kind with contents from a seed: empty, ordinary and at the limit. */
#ifndef TESTS_PROTO_RANDOM_MESSAGE_H
#define TESTS_PROTO_RANDOM_MESSAGE_H

#include "proto/proto.h"

struct dice { uint64_t state; };

uint64_t dice_roll(struct dice *d);                      /* 64 bits, splitmix64 */
uint64_t dice_below(struct dice *d, uint64_t bound);     /* 0..bound-1 */

/* Lists and texts are kept short enough that any message stays below PROTO_BYTES. */
struct message random_message(struct dice *d, struct arena *a, enum msg_kind kind);

/* All kinds that exist, in the order of messages.def; n of them. */
extern const enum msg_kind random_kinds[];
extern const int random_n_kinds;

#endif
