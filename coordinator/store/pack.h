/* pack.h - a request as a row keeps it: without what other columns say, without names of fields, texts that come twice by number.
 *
 *     pack_request(s, message, arena, &packed, &e);
 *     unpack_request(s, &row, arena, &message, &e);          // message of the version in which it came
 *
 * proto_encode of what was unpacked gives the bytes that were sent, with id 0: each message has one encoding only. A row that begins
 * with 0x94 is a whole message, as schema version 1 kept them.
 *
 *     version u8, then by kind
 *     learn       key 16..31, wants, images, captions, seed, preview_prompts, settings
 *     sample      key 16..31, commit, prompts, negative, per_prompt, seed, settings
 *     evaluate    key 16..31, commit, prompts, per_prompt, seed, settings
 *
 *     number      7 bits a byte, lowest first, the high bit says that more come; a seed is 8 bytes
 *     text        2 n, n bytes; or 2 id + 1 (intern.h)
 *     list        n, then each
 *     hash        0; or 1, 32 bytes
 *
 * For store/ only.
 */
#ifndef COORDINATOR_STORE_PACK_H
#define COORDINATOR_STORE_PACK_H

#include "proto/proto.h"

struct store;

/* What the other columns say. Borrowed. */
struct packed_row {
    uint64_t kind, concept, priority;
    struct slice key;                 /* the first half */
    const char *lineage, *token, *class_word;
    struct hash prior_key;
    struct slice request;
};

enum code pack_request(struct store *s, const struct message *m, struct arena *a, struct slice *out, struct err *e);
/* ERR_CORRUPT: it does not follow the form above. */
enum code unpack_request(struct store *s, const struct packed_row *row, struct arena *a, struct message *m, struct err *e);

/* The same without prompts and captions (texts that it named have one use less), for PUT_FORGET. */
enum code pack_forgotten(struct store *s, const struct packed_row *row, struct arena *a, struct slice *out, struct err *e);

/* The images that a packed learn names, where they stand: [*n] times HASH_BYTES. A whole message: *n is 0. */
const uint8_t *pack_images(struct slice request, size_t *n);

#endif
