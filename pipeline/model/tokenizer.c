/* tokenizer.c - splits on added tokens, runs byte-pair encoding on the rest, frames the ids.
 *
 * A tokenizer is a pair: tables that clones share (tokenizer_tables.h) and its own list of added tokens. The list begins
 * with the special tokens, which the reference also cuts out of the raw text ("!" too, where it is the pad token).
 */
#include "pipeline/model/tokenizer.h"
#include "base/arena.h"
#include "pipeline/model/tokenizer_tables.h"
#include "pipeline/model/tokenizer_text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistr.h>

/* BPE is quadratic in the length of a word; no prompt is longer than a page. */
#define TEXT_MOST (16u << 10)
#define LENGTH_MOST 77 /* of tokenizer_length */
#define START_TEXT "<|startoftext|>"
#define END_TEXT "<|endoftext|>"

struct added {
    char *text; /* owned */
    size_t n;
    int32_t id;
};

struct tokenizer {
    struct tokenizer_tables *tables; /* shared */
    struct added *added;             /* owned; special tokens first */
    int n_added, n_special;
};

/* ---- life ----------------------------------------------------------------------------------------------------------- */

/* Appends a copy of text. 0: no memory. */
static int append(struct tokenizer *t, const char *text, int32_t id)
{
    size_t n = strlen(text);
    struct added *grown =
        mem_grow(t->added, (size_t)t->n_added, (size_t)t->n_added + 1, sizeof *grown);
    if (!grown) return 0;
    t->added = grown;
    char *copy = mem_alloc(n + 1, 1);
    if (!copy) return 0;
    memcpy(copy, text, n + 1);
    t->added[t->n_added++] = (struct added){.text = copy, .n = n, .id = id};
    return 1;
}

static const struct added *find_added(const struct tokenizer *t, const char *text)
{
    for (int i = 0; i < t->n_added; i++)
        if (!strcmp(t->added[i].text, text)) return &t->added[i];
    return NULL;
}

enum code tokenizer_open(struct tokenizer **out, const char *dir, struct err *e)
{
    return tokenizer_open_padded(out, dir, NULL, e);
}

enum code tokenizer_open_padded(struct tokenizer **out, const char *dir, const char *pad,
                                struct err *e)
{
    enum code rc;
    struct tokenizer *t = mem_alloc(1, sizeof *t);
    *out = NULL;
    if (!t) return err_set(e, ERR_NOMEM, "%s: no memory for the tokenizer", dir);
    if ((rc = tokenizer_tables_open(&t->tables, dir, pad, e))) goto close;
    for (int i = 0; i < SPECIALS; i++) {
        int32_t id = t->tables->special[i];
        const char *text = t->tables->piece[id];
        if (find_added(t, text)) continue;
        if (!append(t, text, id)) {
            rc = err_set(e, ERR_NOMEM, "%s: no memory for the tokenizer", dir);
            goto close;
        }
        t->n_special++;
    }
    *out = t;
    t = NULL;
close:
    tokenizer_close(t);
    return rc;
}

struct tokenizer *tokenizer_clone(const struct tokenizer *from)
{
    struct tokenizer *t = mem_alloc(1, sizeof *t);
    if (!t) return NULL;
    t->tables = from->tables;
    t->n_special = from->n_special;
    atomic_fetch_add(&t->tables->users, 1);
    for (int i = 0; i < from->n_added; i++)
        if (!append(t, from->added[i].text, from->added[i].id)) {
            tokenizer_close(t);
            return NULL;
        }
    return t;
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t) return;
    for (int i = 0; i < t->n_added; i++) free(t->added[i].text);
    free(t->added);
    tokenizer_tables_put(t->tables);
    free(t);
}

enum code tokenizer_add(struct tokenizer *t, const char *token, int32_t *id, struct err *e)
{
    if (!*token || u8_check((const uint8_t *)token, strlen(token)))
        return err_set(e, ERR_INPUT, "token \"%.60s\" is empty or not UTF-8", token);
    for (const char *c = token; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return err_set(e, ERR_INPUT, "token \"%.60s\" holds a space or a control character",
                           token);
    if (find_added(t, token)) return err_set(e, ERR_EXISTS, "token \"%.60s\" is taken", token);
    if (tokenizer_tables_id(t->tables, token) >= 0)
        return err_set(e, ERR_EXISTS,
                       "token \"%.60s\" is a piece of the base vocabulary; choose another, such as "
                       "\"<%.40s>\"",
                       token, token);
    *id = t->tables->n_pieces + tokenizer_added(t);
    return append(t, token, *id)
               ? OK
               : err_set(e, ERR_NOMEM, "no memory for the token \"%.60s\"", token);
}

int tokenizer_vocab(const struct tokenizer *t)
{
    return t->tables->n_pieces;
}

int tokenizer_added(const struct tokenizer *t)
{
    return t->n_added - t->n_special;
}

int tokenizer_length(const struct tokenizer *t)
{
    return t->tables->length;
}

int32_t tokenizer_start(const struct tokenizer *t)
{
    return t->tables->special[SPECIAL_START];
}

int32_t tokenizer_end(const struct tokenizer *t)
{
    return t->tables->special[SPECIAL_END];
}

int32_t tokenizer_pad(const struct tokenizer *t)
{
    return t->tables->special[SPECIAL_PAD];
}

int32_t tokenizer_unknown(const struct tokenizer *t)
{
    return t->tables->special[SPECIAL_UNKNOWN];
}

const char *tokenizer_piece(const struct tokenizer *t, int32_t id)
{
    assert(id >= 0 && id < t->tables->n_pieces);
    return t->tables->piece[id];
}

int32_t tokenizer_lookup(const struct tokenizer *t, const char *piece)
{
    const struct added *a = find_added(t, piece);
    return a ? a->id : tokenizer_tables_id(t->tables, piece);
}

struct hash tokenizer_hash(const struct tokenizer *t)
{
    return t->tables->hash;
}

/* ---- byte-pair encoding --------------------------------------------------------------------------------------------- */

/* The ids so far and the word in work, both with room for the longest text: a byte gives one id at most. */
struct encoding {
    const struct tokenizer_tables *tables;
    int32_t *ids, *word; /* owned */
    size_t n, room;
};

/* Merges every occurrence of m's pair, left to right; returns the new length. */
static size_t merge_all(int32_t *w, size_t n, const struct merge *m)
{
    int32_t left = (int32_t)(m->pair >> 32), right = (int32_t)(uint32_t)m->pair;
    size_t to = 0;
    for (size_t i = 0; i < n; to++) {
        int is_pair = i + 1 < n && w[i] == left && w[i + 1] == right;
        w[to] = is_pair ? m->result : w[i];
        i += is_pair ? 2 : 1;
    }
    return to;
}

static size_t merge_word(const struct tokenizer_tables *t, int32_t *w, size_t n)
{
    while (n > 1) {
        const struct merge *best = NULL;
        for (size_t i = 0; i + 1 < n; i++) {
            const struct merge *m = tokenizer_tables_merge(t, w[i], w[i + 1]);
            if (m && (!best || m->rank < best->rank)) best = m;
        }
        if (!best) break;
        n = merge_all(w, n, best);
    }
    return n;
}

static int is_text(const char *word, size_t n, const char *text)
{
    return n == strlen(text) && !memcmp(word, text, n);
}

static int32_t known(const struct tokenizer_tables *t, int32_t id)
{
    return id >= 0 ? id : t->special[SPECIAL_UNKNOWN];
}

static enum code encode_word(void *self, const char *word, size_t n)
{
    struct encoding *x = self;
    const struct tokenizer_tables *t = x->tables;
    assert(x->n + n <= x->room);
    if (is_text(word, n, START_TEXT) ||
        is_text(word, n, END_TEXT)) { /* in capitals: past the split, lowered since */
        x->ids[x->n++] =
            known(t, tokenizer_tables_id(t, is_text(word, n, END_TEXT) ? END_TEXT : START_TEXT));
        return OK;
    }
    for (size_t i = 0; i < n; i++)
        x->word[i] = (i + 1 < n ? t->symbol : t->symbol_end)[(uint8_t)word[i]];
    n = merge_word(t, x->word, n);
    for (size_t i = 0; i < n; i++) x->ids[x->n++] = known(t, x->word[i]);
    return OK;
}

/* ---- encoding ------------------------------------------------------------------------------------------------------- */

/* The longest added token that begins at s; NULL: none. */
static const struct added *added_at(const struct tokenizer *t, const char *s, size_t n)
{
    const struct added *best = NULL;
    for (int i = 0; i < t->n_added; i++) {
        const struct added *a = &t->added[i];
        if (a->n <= n && (!best || a->n > best->n) && !memcmp(a->text, s, a->n)) best = a;
    }
    return best;
}

static enum code encode_all(const struct tokenizer *t, const char *text, size_t n,
                            struct encoding *x, struct err *e)
{
    size_t begin = 0;
    enum code rc;
    for (size_t i = 0; i < n;) {
        const struct added *a = added_at(t, text + i, n - i);
        if (!a) {
            i++;
            continue;
        }
        if ((rc =
                 tokenizer_text_words(t->tables->text, text + begin, i - begin, encode_word, x, e)))
            return rc;
        x->ids[x->n++] = a->id;
        i += a->n;
        begin = i;
    }
    return tokenizer_text_words(t->tables->text, text + begin, n - begin, encode_word, x, e);
}

static void frame(const struct tokenizer *t, const struct encoding *x, int32_t *ids, int length,
                  struct encoded *out)
{
    int n_text = (int)x->n < length - 2 ? (int)x->n : length - 2;
    ids[0] = tokenizer_start(t);
    memcpy(ids + 1, x->ids, (size_t)n_text * sizeof *ids);
    ids[n_text + 1] = tokenizer_end(t);
    for (int i = n_text + 2; i < length; i++) ids[i] = tokenizer_pad(t);
    *out = (struct encoded){.n = n_text + 2, .n_full = (int)x->n + 2, .end = n_text + 1};
}

enum code tokenizer_encode(const struct tokenizer *t, const char *text, int32_t *ids, int length,
                           struct encoded *out, struct err *e)
{
    enum code rc;
    size_t n = strlen(text);
    const uint8_t *bad = u8_check((const uint8_t *)text, n);
    struct encoding x = {.tables = t->tables};
    assert(length >= 2);
    if (n > TEXT_MOST)
        return err_set(e, ERR_INPUT, "a text of %zu bytes; at most %u are tokenized", n, TEXT_MOST);
    if (bad)
        return err_set(e, ERR_INPUT, "the text is not UTF-8 at byte %zu: \"%.60s\"",
                       (size_t)(bad - (const uint8_t *)text), text);
    /* One id a byte, and cleaning may lengthen a text: NFC threefold, lower case by half. */
    x.room = 5 * n + 8;
    x.ids = mem_alloc(x.room, sizeof *x.ids);
    x.word = mem_alloc(x.room, sizeof *x.word);
    if (x.ids && x.word) {
        rc = encode_all(t, text, n, &x, e);
        if (!rc) frame(t, &x, ids, length, out);
    } else {
        rc = err_set(e, ERR_NOMEM, "no memory to tokenize a text");
    }
    free(x.word);
    free(x.ids);
    return rc;
}

/* ---- what is cut ---------------------------------------------------------------------------------------------------- */

/* Does text, ended at byte n for a moment, fit? */
static enum code fits(const struct tokenizer *t, char *text, size_t n, int *yes, struct err *e)
{
    struct encoded x;
    int32_t ids[LENGTH_MOST];
    char was = text[n];
    text[n] = 0;
    enum code rc = tokenizer_encode(t, text, ids, tokenizer_length(t), &x, e);
    text[n] = was;
    *yes = !rc && x.n_full <= x.n;
    return rc;
}

static int at_space(char next)
{
    return next == ' ';
}

static int at_character(char next)
{
    return (next & 0xc0) != 0x80;
}

/* The last place where text may end, before the first that does not fit. */
static enum code last_fit(const struct tokenizer *t, char *text, int (*may_end)(char next),
                          size_t *kept, struct err *e)
{
    enum code rc = OK;
    int yes = 1;
    *kept = 0;
    for (size_t i = 1; !rc && yes; i++) {
        int ends = !text[i] || may_end(text[i]);
        if (ends) rc = fits(t, text, i, &yes, e);
        if (ends && yes) *kept = i;
        if (!text[i]) break;
    }
    return rc;
}

enum code tokenizer_kept(const struct tokenizer *t, const char *text, size_t *kept, struct err *e)
{
    size_t n = strlen(text);
    int yes;
    char *copy = mem_alloc(n + 1, 1);
    *kept = n;
    if (!copy) return err_set(e, ERR_NOMEM, "no memory for a text of %zu bytes", n);
    memcpy(copy, text, n);
    enum code rc = fits(t, copy, n, &yes, e);
    if (!rc && !yes) rc = last_fit(t, copy, at_space, kept, e);
    if (!rc && !yes && !*kept) rc = last_fit(t, copy, at_character, kept, e);
    free(copy);
    return rc;
}
