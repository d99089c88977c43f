/* tokenizer_tables.h - what never changes after a tokenizer was opened, shared by its clones. Private to tokenizer*.c. */
#ifndef MODEL_TOKENIZER_TABLES_H
#define MODEL_TOKENIZER_TABLES_H

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct tokenizer_text;

enum special { SPECIAL_START, SPECIAL_END, SPECIAL_UNKNOWN, SPECIAL_PAD, SPECIALS };

struct merge { uint64_t pair; int32_t rank, result; };     /* pair: left id << 32 | right id; rank -1: empty place */

struct tokenizer_tables {
    atomic_int users;              /* open tokenizers that share this */
    struct arena arena;
    const char **piece;            /* [n_pieces], by id */
    int32_t n_pieces;
    int32_t *place;                /* open addressing over the text of pieces: id or -1 */
    uint32_t place_mask;
    struct merge *merge;           /* open addressing over pairs of ids */
    uint32_t merge_mask;
    int32_t symbol[256];           /* id of each byte inside a word; -1: the vocabulary lacks it */
    int32_t symbol_end[256];       /* ... as the last byte of a word */
    int32_t special[SPECIALS];
    int length;                    /* model_max_length, 77 at most */
    struct tokenizer_text *text;   /* the compiled pre-split */
    struct hash hash;
};

/* Reads vocab.json and merges.txt of dir, and the special tokens. One user. Without vocab.json the vocabulary is built from
 * the merges. pad: that token whatever the files say; NULL: as they say. */
enum code tokenizer_tables_open(struct tokenizer_tables **t, const char *dir, const char *pad, struct err *e);
void tokenizer_tables_put(struct tokenizer_tables *t);               /* the last user frees */
int32_t tokenizer_tables_id(const struct tokenizer_tables *t, const char *piece);         /* -1: absent */
const struct merge *tokenizer_tables_merge(const struct tokenizer_tables *t, int32_t left, int32_t right);  /* or NULL */

/* Fills special[] and length from special_tokens_map.json, else tokenizer_config.json, else CLIP's own. (tokenizer_special.c) */
enum code tokenizer_special_read(struct tokenizer_tables *t, const char *dir, const char *pad, struct err *e);

/* The reference reads no further: 49,152 entries less 256 byte symbols and two special tokens. */
#define TOKENIZER_MERGES 48894
#define TOKENIZER_MERGES_BYTES (64u << 20)
#define TOKENIZER_SYMBOL 12
/* How byte-level BPE writes a byte: printable ones as themselves, the other 68, in order, as U+0100 and on. (tokenizer_vocab.c) */
void tokenizer_vocab_symbol(int byte, const char *end, char out[TOKENIZER_SYMBOL]);
/* Fills piece[] and n_pieces in the order in which ids were given: byte symbols, the same with </w>, merges, start, end. */
enum code tokenizer_vocab_build(struct tokenizer_tables *t, const char *merges_path, struct err *e);

#endif
