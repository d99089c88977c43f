/* The files of a tokenizer, a token to add, and a text. A file without bytes is absent. Parts: vocab.json, merges.txt, special_tokens_map.json,
 * tokenizer_config.json, added_tokens.json, token, text. */
#include "pipeline/model/tokenizer.h"
#include "tests/fuzz/support/fuzz.h"

#include <stdlib.h>

enum { FILES = 5, TOKEN = FILES, TEXT, PARTS };
static const char *const file[FILES] = {"vocab.json", "merges.txt", "special_tokens_map.json",
                                        "tokenizer_config.json", "added_tokens.json"};

static void encode(const struct tokenizer *t, const char *text)
{
    int32_t ids[77];
    int length = tokenizer_length(t);
    struct encoded x;
    struct err e = {0};
    must(length >= 2 && length <= 77);
    enum code rc = tokenizer_encode(t, text, ids, length, &x, &e);
    if (rc) {
        fuzz_refused(rc, &e);
        return;
    }
    must(x.n >= 2 && x.n <= length && x.n_full >= x.n && x.end == x.n - 1);
    for (int i = 0; i < length; i++)
        must(ids[i] >= 0 && ids[i] < tokenizer_vocab(t) + tokenizer_added(t));
}

static void use(struct tokenizer *t, const char *token, const char *text)
{
    int32_t id;
    struct err e = {0};
    enum code rc = tokenizer_add(t, token, &id, &e);
    if (rc) fuzz_refused(rc, &e);
    else must(id == tokenizer_vocab(t) && tokenizer_lookup(t, token) == id);
    encode(t, text);
    tokenizer_hash(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_part part[PARTS];
    struct tokenizer *t;
    struct err e = {0};
    fuzz_split(data, n, part, PARTS);
    for (int i = 0; i < FILES; i++) fuzz_file(file[i], part[i].n ? part[i] : (struct fuzz_part){0});
    enum code rc = tokenizer_open(&t, fuzz_folder(), &e);
    if (rc) {
        fuzz_refused(rc, &e);
        return 0;
    }
    char *token = fuzz_text(part[TOKEN]), *text = fuzz_text(part[TEXT]);
    use(t, token, text);
    free(token);
    free(text);
    tokenizer_close(t);
    return 0;
}
