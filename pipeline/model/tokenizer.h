/* tokenizer.h - CLIP's byte-pair encoding with added tokens, as transformers' CLIPTokenizer without ftfy.
 *
 *     tokenizer_open(&t, "model/tokenizer", &e);
 *     int32_t id;  tokenizer_add(t, "<rex>", &id, &e);          // next free id; ERR_EXISTS if taken
 *     struct encoded x;  tokenizer_encode(t, "photo of a <rex> dog", ids, t_max, &x, &e);
 *
 * Ids come from vocab.json or, without it, from merges.txt; start, end and pad from special_tokens_map.json. The raw text is split on added tokens first
 * (longest at the earliest position), then: drop control characters, NFC, collapse space, lower case, pre-split, BPE.
 */
#ifndef MODEL_TOKENIZER_H
#define MODEL_TOKENIZER_H

#include "base/err.h"
#include "base/hash.h"

#include <stdint.h>

struct tokenizer;
enum code tokenizer_open(struct tokenizer **t, const char *dir, struct err *e);
/* The pad token is `pad` whatever the files say: a single-file checkpoint's family knows, the folder may be another's. */
enum code tokenizer_open_padded(struct tokenizer **t, const char *dir, const char *pad, struct err *e);
/* An own copy that can get its own added tokens (one per lineage). Cheap: shares the tables. */
struct tokenizer *tokenizer_clone(const struct tokenizer *t);      /* NULL: no memory */
void tokenizer_close(struct tokenizer *t);

enum code tokenizer_add(struct tokenizer *t, const char *token, int32_t *id, struct err *e);
int tokenizer_vocab(const struct tokenizer *t);                    /* without added tokens */
int tokenizer_added(const struct tokenizer *t);
int tokenizer_length(const struct tokenizer *t);                   /* model_max_length, 77 or less */
int32_t tokenizer_start(const struct tokenizer *t);
int32_t tokenizer_end(const struct tokenizer *t);
int32_t tokenizer_pad(const struct tokenizer *t);
int32_t tokenizer_unknown(const struct tokenizer *t);
const char *tokenizer_piece(const struct tokenizer *t, int32_t id);    /* of the vocabulary, as vocab.json spells it */
/* Raw vocabulary look-up without BPE, e.g. "ktn" -> 42170; -1: absent. */
int32_t tokenizer_lookup(const struct tokenizer *t, const char *piece);
/* Of the vocabulary in order of ids and of the merges in order of rank, however the files are formatted; added tokens do
 * not matter. */
struct hash tokenizer_hash(const struct tokenizer *t);

struct encoded {
    int n;              /* ids before padding, start and end included, after truncation */
    int n_full;         /* what it would have been without truncation: n_full > n means the text was cut */
    int end;            /* position of the end token */
};
/* Writes exactly `length` ids: start, text, end, pads; truncates the text so that the end token stays. */
enum code tokenizer_encode(const struct tokenizer *t, const char *text, int32_t *ids, int length,
                           struct encoded *out, struct err *e);

/* How much of text the model reads: the bytes at its front that fit into the tokenizer's length whole, up to a space where
 * one is near. *kept is strlen(text) if nothing is cut. Encodes the text word by word: for messages. */
enum code tokenizer_kept(const struct tokenizer *t, const char *text, size_t *kept, struct err *e);

#endif
