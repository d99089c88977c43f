/* tokenizer_vocab.c - the vocabulary that merges.txt determines: ids were given in the order of its making.
 *
 * 256 byte symbols, printable bytes first; the same 256 with </w>; what each merge makes, in order; start and end. For the
 * genuine merges this is vocab.json, entry by entry.
 */
#include "base/file.h"
#include "pipeline/model/tokenizer_tables.h"

#include <stdlib.h>
#include <string.h>
#include <unistr.h>

#define SYMBOLS 256

static int is_itself(int byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

void tokenizer_vocab_symbol(int byte, const char *end, char out[TOKENIZER_SYMBOL])
{
    ucs4_t c = 0x100;
    if (is_itself(byte)) c = (ucs4_t)byte;
    else
        for (int b = 0; b < byte; b++) c += !is_itself(b);
    int n = u8_uctomb((uint8_t *)out, c, TOKENIZER_SYMBOL);
    memcpy(out + n, end, strlen(end) + 1);
}

static void add(struct tokenizer_tables *t, char *piece)
{
    t->piece[t->n_pieces] = piece;
    t->n_pieces += piece != NULL;
}

static void add_symbols(struct tokenizer_tables *t, const char *end)
{
    char text[TOKENIZER_SYMBOL];
    for (int round = 0; round < 2; round++)
        for (int b = 0; b < SYMBOLS; b++)
            if (is_itself(b) == !round) {
                tokenizer_vocab_symbol(b, end, text);
                add(t, arena_strdup(&t->arena, text));
            }
}

/* "left right" -> "leftright". What is malformed is said when the merges themselves are read. */
static void add_joined(struct tokenizer_tables *t, const char *line, size_t n)
{
    const char *space = memchr(line, ' ', n);
    size_t n_left = space ? (size_t)(space - line) : n, n_right = space ? n - n_left - 1 : 0;
    add(t, arena_printf(&t->arena, "%.*s%.*s", (int)n_left, line, (int)n_right,
                        space ? space + 1 : ""));
}

static int add_merges(struct tokenizer_tables *t, const char *s, const char *end)
{
    const char *line = memchr(s, '\n', (size_t)(end - s));
    int n = 0;
    for (line = line ? line + 1 : end; line < end && n < TOKENIZER_MERGES; n++) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop) stop = end;
        add_joined(t, line, (size_t)(stop - line) - (stop > line && stop[-1] == '\r'));
        line = stop < end ? stop + 1 : end;
    }
    return n;
}

enum code tokenizer_vocab_build(struct tokenizer_tables *t, const char *path, struct err *e)
{
    struct bytes b;
    enum code rc = file_read(path, TOKENIZER_MERGES_BYTES, &b, e);
    const char *s = (const char *)b.data, *end;
    if (rc) return rc;
    for (end = s + b.n; end > s && (end[-1] == '\n' || end[-1] == '\r' || end[-1] == ' ');) end--;
    t->piece =
        arena_alloc(&t->arena, (2 * SYMBOLS + (size_t)TOKENIZER_MERGES + 2) * sizeof *t->piece);
    int n = 0;
    if (t->piece) {
        add_symbols(t, "");
        add_symbols(t, "</w>");
        n = add_merges(t, s, end);
        add(t, arena_strdup(&t->arena, "<|startoftext|>"));
        add(t, arena_strdup(&t->arena, "<|endoftext|>"));
    }
    free(b.data);
    if (t->n_pieces == 2 * SYMBOLS + n + 2) return OK;
    return err_set(e, ERR_NOMEM, "%s: no memory for the vocabulary", path);
}
