/* keys.h - CURVE keys: who is who on the network. A pair, its file, its text.
 *
 *     struct keys k;
 *     if (keys_make(&k, &e) || keys_write(&k, "ann.key", &e)) ...     // ann.key (0600, secret) and ann.key.pub (to be given away)
 *     if (keys_read(&k, "ann.key", &e)) ...
 *     if (keys_parse(word, &public, &e)) ...                          // what somebody typed: text of a key, or a file that holds one
 *
 * The text of a key is Z85, 40 characters, or 64 hex digits, which need no quotes in a shell; keys are printed as Z85. A file holds
 * one key and a newline. The public key is a function of the secret one, so a secret file is enough.
 */
#ifndef PROTO_KEYS_H
#define PROTO_KEYS_H

#include "base/hash.h"

#define KEY_TEXT 41                    /* 40 characters of Z85 and a NUL */

struct keys { struct hash public, secret; };     /* 32 bytes each, as CURVE has them */

enum code keys_make(struct keys *k, struct err *e);

/* Writes <path> with the secret key (0600) and <path>.pub with the public one, both durable. ERR_EXISTS: there is one; a key that
 * somebody was given is not written over. */
enum code keys_write(const struct keys *k, const char *path, struct err *e);

/* Reads a secret file. ERR_DENIED: others may read it (the line says chmod). ERR_INPUT: it holds no key. */
enum code keys_read(struct keys *k, const char *path, struct err *e);

/* A key as a person gives it: its text, else the path of a file with the text. A path is only tried when text is none. */
enum code keys_parse(const char *text, struct hash *key, struct err *e);

char *keys_text(struct hash key, char out[KEY_TEXT]);

#endif
