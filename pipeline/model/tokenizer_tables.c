/* tokenizer_tables.c - vocab.json and merges.txt, or merges.txt alone, into two hash tables.
 *
 * Both files are text that anybody may have edited, so every promise is checked: ids are 0, 1, 2 ... without a gap and each
 * once; both sides of a merge and its result are in the vocabulary; no merge stands twice. After that BPE can work on
 * ids alone.
 */
#include "pipeline/model/tokenizer_tables.h"
#include "base/file.h"
#include "pipeline/model/jsonfile.h"
#include "pipeline/model/tokenizer_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistr.h>

#define PATH_MOST 4096
#define PIECE_MOST 256
#define VOCAB_MOST (1 << 24)

/* ---- tables --------------------------------------------------------------------------------------------------------- */

static uint32_t text_hash(const char *s, size_t n)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < n; i++) h = (h ^ (uint8_t)s[i]) * 16777619u;
    return h;
}

static uint32_t pair_hash(uint64_t pair)
{
    return (uint32_t)((pair * 0x9e3779b97f4a7c15u) >> 32);
}

/* A power of two with at least twice the room, so that searches end soon. */
static uint32_t mask_for(size_t n)
{
    uint32_t size = 16;
    while (size < 2 * n) size *= 2;
    return size - 1;
}

static int32_t find_piece(const struct tokenizer_tables *t, const char *s, size_t n, uint32_t *at)
{
    uint32_t i = text_hash(s, n) & t->place_mask;
    for (; t->place[i] >= 0; i = (i + 1) & t->place_mask) {
        const char *piece = t->piece[t->place[i]];
        if (!strncmp(piece, s, n) && !piece[n]) break;
    }
    if (at) *at = i;
    return t->place[i];
}

int32_t tokenizer_tables_id(const struct tokenizer_tables *t, const char *piece)
{
    return find_piece(t, piece, strlen(piece), NULL);
}

static struct merge *merge_place(const struct tokenizer_tables *t, uint64_t pair)
{
    uint32_t i = pair_hash(pair) & t->merge_mask;
    while (t->merge[i].rank >= 0 && t->merge[i].pair != pair) i = (i + 1) & t->merge_mask;
    return &t->merge[i];
}

static uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

const struct merge *tokenizer_tables_merge(const struct tokenizer_tables *t, int32_t left,
                                           int32_t right)
{
    const struct merge *m;
    if (left < 0 || right < 0) return NULL;
    m = merge_place(t, pair_of(left, right));
    return m->rank >= 0 ? m : NULL;
}

/* ---- vocab.json ----------------------------------------------------------------------------------------------------- */

static void place_ids(struct tokenizer_tables *t, struct jsonfile *f)
{
    const char *key;
    json_t *value;
    json_object_foreach(f->root, key, value)
    {
        json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || id >= t->n_pieces) {
            jsonfile_fail(
                f, "ids must be 0 to %d, one for each of its %d entries, but \"%.60s\" has another",
                t->n_pieces - 1, t->n_pieces, key);
            return;
        }
        if (t->piece[id]) {
            jsonfile_fail(f, "\"%.60s\" and \"%.60s\" have the same id %d", t->piece[id], key,
                          (int)id);
            return;
        }
        if (!(t->piece[id] = arena_strdup(&t->arena, key))) {
            f->rc = err_set(f->e, ERR_NOMEM, "%s: no memory for the vocabulary", f->path);
            return;
        }
    }
}

static enum code read_vocab(struct tokenizer_tables *t, const char *path, struct err *e)
{
    struct jsonfile f;
    size_t n;
    if (jsonfile_open(&f, path, e)) return jsonfile_close(&f);
    n = json_object_size(f.root);
    if (n < 1 || n > VOCAB_MOST) {
        jsonfile_fail(&f, "a vocabulary of %zu entries", n);
        return jsonfile_close(&f);
    }
    t->n_pieces = (int32_t)n;
    t->piece = arena_alloc(&t->arena, n * sizeof *t->piece);
    if (!t->piece) f.rc = err_set(e, ERR_NOMEM, "%s: no memory for the vocabulary", path);
    else place_ids(t, &f);
    return jsonfile_close(&f);
}

/* So that pieces are found by their text. */
static enum code index_pieces(struct tokenizer_tables *t, const char *path, struct err *e)
{
    t->place_mask = mask_for((size_t)t->n_pieces);
    t->place = arena_alloc(&t->arena, ((size_t)t->place_mask + 1) * sizeof *t->place);
    if (!t->place) return err_set(e, ERR_NOMEM, "%s: no memory for the vocabulary", path);
    memset(t->place, 0xff, ((size_t)t->place_mask + 1) * sizeof *t->place); /* -1 */
    for (int32_t id = 0; id < t->n_pieces; id++) {
        uint32_t at;
        if (find_piece(t, t->piece[id], strlen(t->piece[id]), &at) >= 0)
            return err_set(e, ERR_INPUT, "%s: makes the piece \"%.60s\" twice", path, t->piece[id]);
        t->place[at] = id;
    }
    return OK;
}

/* ---- merges.txt ----------------------------------------------------------------------------------------------------- */

/* One line "left right" without its newline. */
static enum code add_merge(struct tokenizer_tables *t, const char *line, size_t n, int32_t rank,
                           const char *path, struct err *e)
{
    char joined[PIECE_MOST];
    const char *space = memchr(line, ' ', n);
    size_t n_left = space ? (size_t)(space - line) : 0, n_right = space ? n - n_left - 1 : 0;
    int32_t left, right, result;
    struct merge *m;
    int at = (int)rank + 2; /* line numbers count from 1, and the first is the version */
    if (!n_left || !n_right || memchr(line, 0, n) || memchr(space + 1, ' ', n_right) ||
        n >= sizeof joined)
        return err_set(e, ERR_INPUT, "%s:%d: expected two pieces with one space between them", path,
                       at);
    memcpy(joined, line, n_left);
    memcpy(joined + n_left, space + 1, n_right);
    left = find_piece(t, line, n_left, NULL);
    right = find_piece(t, space + 1, n_right, NULL);
    result = find_piece(t, joined, n - 1, NULL);
    if (left < 0 || right < 0 || result < 0)
        return err_set(e, ERR_INPUT, "%s:%d: merges \"%.*s\", but vocab.json does not have %s",
                       path, at, (int)n, line,
                       result < 0 && left >= 0 && right >= 0 ? "the result" : "both pieces");
    m = merge_place(t, pair_of(left, right));
    if (m->rank >= 0)
        return err_set(e, ERR_INPUT, "%s:%d: the merge of line %d again", path, at,
                       (int)m->rank + 2);
    *m = (struct merge){.pair = pair_of(left, right), .rank = rank, .result = result};
    return OK;
}

static enum code alloc_merges(struct tokenizer_tables *t, size_t n, const char *path, struct err *e)
{
    t->merge_mask = mask_for(n);
    t->merge = arena_alloc(&t->arena, ((size_t)t->merge_mask + 1) * sizeof *t->merge);
    if (!t->merge) return err_set(e, ERR_NOMEM, "%s: no memory for %zu merges", path, n);
    for (size_t i = 0; i <= t->merge_mask; i++) t->merge[i].rank = -1;
    return OK;
}

/* Lines after the first; h sees each as it counts. */
static enum code parse_merges(struct tokenizer_tables *t, const char *s, size_t n, const char *path,
                              struct hash_stream *h, struct err *e)
{
    const char *end = s + n, *line = memchr(s, '\n', n);
    size_t n_lines = 1;
    int32_t rank = 0;
    enum code rc;
    if (n < 8 || memcmp(s, "#version", 8) != 0)
        return err_set(e, ERR_INPUT, "%s:1: expected a line that begins with #version", path);
    for (size_t i = 0; i < n; i++) n_lines += s[i] == '\n';
    if ((rc = alloc_merges(t, n_lines, path, e))) return rc;
    while (end > s && (end[-1] == '\n' || end[-1] == '\r' || end[-1] == ' ')) end--;
    line = line ? line + 1 : end;
    while (line < end && rank < TOKENIZER_MERGES) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        const char *next = stop ? stop + 1 : end;
        if (!stop) stop = end;
        if (stop > line && stop[-1] == '\r') stop--;
        if ((rc = add_merge(t, line, (size_t)(stop - line), rank++, path, e))) return rc;
        hash_add(h, line, (size_t)(stop - line));
        hash_add(h, "\n", 1);
        line = next;
    }
    return OK;
}

static enum code read_merges(struct tokenizer_tables *t, const char *path, struct err *e)
{
    struct bytes b;
    enum code rc;
    struct hash_stream *h;
    if ((rc = file_read(path, TOKENIZER_MERGES_BYTES, &b, e))) return rc;
    h = hash_begin();
    if (!h) {
        free(b.data);
        return err_set(e, ERR_NOMEM, "%s: no memory to read it", path);
    }
    for (int32_t id = 0; id < t->n_pieces; id++) {
        hash_add(h, t->piece[id], strlen(t->piece[id]));
        hash_add(h, "\n", 1);
    }
    hash_add(h, "\n", 1);
    if (u8_check(b.data, b.n)) rc = err_set(e, ERR_INPUT, "%s: not UTF-8", path);
    else rc = parse_merges(t, (const char *)b.data, b.n, path, h, e);
    t->hash = hash_end(h);
    free(b.data);
    return rc;
}

/* ---- bytes ---------------------------------------------------------------------------------------------------------- */

static void find_symbols(struct tokenizer_tables *t)
{
    char text[TOKENIZER_SYMBOL];
    for (int b = 0; b < 256; b++) {
        tokenizer_vocab_symbol(b, "", text);
        t->symbol[b] = tokenizer_tables_id(t, text);
        tokenizer_vocab_symbol(b, "</w>", text);
        t->symbol_end[b] = tokenizer_tables_id(t, text);
    }
}

/* The vocabulary from its file, or from the merges alone, which determine it. */
static enum code open_vocab(struct tokenizer_tables *t, const char *dir, const char *merges,
                            struct err *e)
{
    char path[PATH_MOST];
    enum code rc;
    if (snprintf(path, sizeof path, "%s/vocab.json", dir) >= PATH_MOST)
        return err_set(e, ERR_INPUT, "path too long: %.200s", dir);
    if (file_exists(path)) {
        rc = read_vocab(t, path, e);
        return rc ? rc : index_pieces(t, path, e);
    }
    rc = tokenizer_vocab_build(t, merges, e);
    return rc ? rc : index_pieces(t, merges, e);
}

enum code tokenizer_tables_open(struct tokenizer_tables **out, const char *dir, const char *pad,
                                struct err *e)
{
    char merges[PATH_MOST];
    enum code rc = ERR_NOMEM;
    struct tokenizer_tables *t;
    *out = NULL;
    if (snprintf(merges, sizeof merges, "%s/merges.txt", dir) >= PATH_MOST)
        return err_set(e, ERR_INPUT, "path too long: %.200s", dir);
    if (!file_exists(merges))
        return err_set(e, ERR_NOT_FOUND, "%s is missing: the merges of the byte-pair encoding",
                       merges);
    if (!(t = mem_alloc(1, sizeof *t)))
        return err_set(e, rc, "%s: no memory for the tokenizer", dir);
    atomic_init(&t->users, 1);
    if ((rc = open_vocab(t, dir, merges, e))) goto put;
    if ((rc = read_merges(t, merges, e))) goto put;
    if ((rc = tokenizer_special_read(t, dir, pad, e))) goto put;
    if ((rc = tokenizer_text_make(&t->text, e))) goto put;
    find_symbols(t);
    *out = t;
    t = NULL;
put:
    tokenizer_tables_put(t);
    return rc;
}

void tokenizer_tables_put(struct tokenizer_tables *t)
{
    if (!t || atomic_fetch_sub(&t->users, 1) > 1) return;
    tokenizer_text_free(t->text);
    arena_fini(&t->arena);
    free(t);
}
