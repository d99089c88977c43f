/* A text through the tokenizer of a golden model, with added tokens that overlap. A clone gives the same ids, and so does
 * the text with spaces around it. */
#include "pipeline/model/tokenizer.h"
#include "tests/fuzz/support/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { LENGTH = 77 };

/* Opened once, for all inputs. */
static const struct tokenizer *tokenizer(void)
{
    static const char *const tokens[] = {"<rex>", "<rex><r", "\xc3\xa9", "\xe7\x8c\xab"};
    static struct tokenizer *t;
    int32_t id;
    if (t) return t;
    must(!tokenizer_open(&t, "tests/golden/classic/model/tokenizer", NULL));
    for (int i = 0; i < 4; i++) tokenizer_add(t, tokens[i], &id, NULL);
    return t;
}

static enum code encode(const char *text, int32_t ids[LENGTH], struct encoded *x)
{
    struct err e = {0};
    const struct tokenizer *t = tokenizer();
    enum code rc = tokenizer_encode(t, text, ids, LENGTH, x, &e);
    if (rc) fuzz_refused(rc, &e);
    for (int i = 0; !rc && i < LENGTH; i++)
        must(ids[i] >= 0 && ids[i] < tokenizer_vocab(t) + tokenizer_added(t));
    must(rc ||
         (x->n >= 2 && x->n <= LENGTH && x->n_full >= x->n && ids[x->end] == tokenizer_end(t)));
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct encoded x, y;
    int32_t ids[LENGTH], again[LENGTH];
    char *text = fuzz_text((struct fuzz_part){data, n}), *spaced = malloc(n + 3);
    size_t length = strlen(text);
    spaced[0] = ' ';
    memcpy(spaced + 1, text, length);
    memcpy(spaced + 1 + length, "\n", 2);
    if (!encode(text, ids, &x) && !encode(spaced, again, &y))
        must(x.n_full == y.n_full && !memcmp(ids, again, sizeof ids));
    free(text);
    free(spaced);
    return 0;
}
