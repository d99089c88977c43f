/* tokenizer: added tokens, frames, look-ups, and files that were edited wrongly. That texts become the right ids is
 * tests/golden/tokenizer.c. */
#include "pipeline/model/tokenizer.h"
#include "tests/unit/model/support/files.h"

static struct err e;
#define SMALL "tests/golden/classic/model/tokenizer"

static void frames(void)
{
    struct tokenizer *t;
    struct encoded x;
    int32_t ids[80], again[80];
    if (!is_code(tokenizer_open(&t, SMALL, &e), OK, &e, "a tokenizer opens")) return;
    ok(tokenizer_vocab(t) == 814 && tokenizer_length(t) == 77 && tokenizer_added(t) == 0,
       "its sizes");
    ok(tokenizer_start(t) == 812 && tokenizer_end(t) == 813 && tokenizer_pad(t) == 813,
       "its special ids");
    is_code(tokenizer_encode(t, "a cat", ids, 6, &x, &e), OK, &e, "a text is encoded");
    ok(ids[0] == 812 && ids[1] == 320 && ids[2] == 616 && ids[3] == 813 && ids[4] == 813 &&
           ids[5] == 813,
       "start, text, end, pads");
    ok(x.n == 4 && x.n_full == 4 && x.end == 3, "with its length and its end");
    is_code(tokenizer_encode(t, "a cat a cat", ids, 4, &x, &e), OK, &e,
            "a longer text in four ids");
    ok(ids[3] == 813 && x.n == 4 && x.n_full == 6 && x.end == 3,
       "is cut before the end token, and says so");
    is_code(tokenizer_encode(t, "", ids, 2, &x, &e), OK, &e, "no text in two ids");
    ok(ids[0] == 812 && ids[1] == 813 && x.n_full == 2, "is a start and an end");
    is_code(tokenizer_encode(t, "caf\xe9", ids, 77, &x, &e), ERR_INPUT, &e,
            "a text in another encoding is refused");
    says(e, "not UTF-8 at byte 3", "with the place");
    char *page = malloc(20000);
    memset(page, 'a', 19999);
    page[19999] = 0;
    is_code(tokenizer_encode(t, page, ids, 77, &x, &e), ERR_INPUT, &e,
            "a text of 20,000 bytes is refused");
    page[16000] = 0;
    is_code(tokenizer_encode(t, page, ids, 77, &x, &e), OK, &e, "one of 16,000 is not");
    free(page);
    tokenizer_encode(t, "a <rex> dog", ids, 77, &x, &e);
    struct tokenizer *clone = tokenizer_clone(t);
    int32_t id;
    tokenizer_add(clone, "<rex>", &id, &e);
    tokenizer_encode(t, "a <rex> dog", again, 77, &x, &e);
    ok(!memcmp(ids, again, 77 * sizeof *ids), "a clone's token changes nothing for the original");
    tokenizer_close(t);
    is_code(tokenizer_encode(clone, "a <rex> dog", ids, 77, &x, &e), OK, &e,
            "the clone outlives the original");
    is_int(ids[2], 814, "and knows its token");
    tokenizer_close(clone);
    tokenizer_close(NULL);
}

/* How many bytes of a text the tokenizer keeps; -1: an error. */
static int kept(const struct tokenizer *t, const char *text)
{
    size_t n;
    return tokenizer_kept(t, text, &n, &e) ? -1 : (int)n;
}

static void cut_texts(void)
{
    struct tokenizer *t;
    char words[800] = "", digits[101], marks[301] = "";
    if (!is_code(tokenizer_open(&t, SMALL, &e), OK, &e, "a tokenizer opens")) return;
    is_int(kept(t, "a cat on the mat"), 16, "a short text is kept");
    is_int(kept(t, ""), 0, "so is none");
    for (int i = 0; i < 75; i++) strcat(words, i ? " cat" : "cat");
    is_int(kept(t, words), 299, "75 words of one token are kept");
    strcat(words, " a dog");
    is_int(kept(t, words), 299, "of more the first 75");
    memset(digits, '7', 100);
    digits[100] = 0;
    is_int(kept(t, digits), 75, "of 100 digits without a space the first 75");
    for (int i = 0; i < 100; i++) strcat(marks, "\xe7\x8c\xab");
    is_int(kept(t, marks) % 3, 0, "characters of three bytes are cut between them");
    is_int(kept(t, "caf\xe9"), -1, "what is no text is refused");
    tokenizer_close(t);
}

static void added(void)
{
    struct tokenizer *t;
    struct encoded x;
    int32_t id, ids[20];
    static const char *const bad[] = {"", "a b", "a\tb", "\xff", "<rex>\n"};
    tokenizer_open(&t, SMALL, &e);
    is_code(tokenizer_add(t, "<new1>", &id, &e), OK, &e, "a token is added");
    is_int(id, 814, "with the next free id");
    is_code(tokenizer_add(t, "<new10>", &id, &e), OK, &e, "another");
    is_int(id, 815, "with the next");
    is_code(tokenizer_add(t, "<new1>", &id, &e), ERR_EXISTS, &e, "the same token again is taken");
    is_code(tokenizer_add(t, "the", &id, &e), OK, &e, "\"the\" is no piece inside a word here");
    is_code(tokenizer_add(t, "the</w>", &id, &e), ERR_EXISTS, &e,
            "a piece of the vocabulary is taken");
    is_code(tokenizer_add(t, "<|endoftext|>", &id, &e), ERR_EXISTS, &e, "a special token is taken");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        is_code(tokenizer_add(t, bad[i], &id, &e), ERR_INPUT, &e,
                "token %zu of the bad ones is refused", i);
    is_int(tokenizer_added(t), 3, "three were added");
    tokenizer_encode(t, "x<new10>y<new1>", ids, 8, &x, &e);
    ok(ids[2] == 815 && ids[4] == 814 && x.n == 6, "the longest token wins, spaces or not");
    tokenizer_encode(t, "other", ids, 8, &x, &e);
    is_int(ids[2], 816, "an added word is found inside other words, as in the reference");
    is_int(tokenizer_lookup(t, "the</w>"), 513, "raw look-up does no BPE");
    is_int(tokenizer_lookup(t, "<new10>"), 815, "and knows added tokens");
    is_int(tokenizer_lookup(t, "zzz"), -1, "absent is -1");
    tokenizer_close(t);
}

/* A copy of the small tokenizer with one file replaced, or removed where text is NULL. */
static enum code open_edited(const char *file, const char *text)
{
    char name[64];
    struct tokenizer *t;
    char *dir = inside("tok");
    run_shell("rm -rf '%s'; cp -r " SMALL " '%s'; chmod -R u+w '%s'", dir, dir, dir);
    snprintf(name, sizeof name, "tok/%s", file);
    if (text) text_file(name, text);
    else run_shell("rm '%s/%s'", dir, file);
    enum code rc = tokenizer_open(&t, inside("tok"), &e);
    tokenizer_close(t);
    return rc;
}

static const struct {
    const char *file, *text, *says;
    enum code want;
} edits[] = {
    {"merges.txt", NULL, "merges.txt is missing", ERR_NOT_FOUND},
    {"vocab.json", "{\"a\":0,\"b\":2}", "one for each of its 2 entries, but \"b\" has another",
     ERR_INPUT},
    {"vocab.json", "{\"a\":0,\"b\":0}", "\"a\" and \"b\" have the same id 0", ERR_INPUT},
    {"vocab.json", "{\"a\":-1}", "\"a\" has another", ERR_INPUT},
    {"vocab.json", "{\"a\":\"0\"}", "\"a\" has another", ERR_INPUT},
    {"vocab.json", "{}", "0 entries", ERR_INPUT},
    {"vocab.json", "{\"a\":0", "vocab.json:1:", ERR_INPUT},
    {"vocab.json", "{\"a\":0}", "both pieces", ERR_INPUT},
    {"merges.txt", "", "#version", ERR_INPUT},
    {"merges.txt", "t h\n", "merges.txt:1: expected a line that begins with #version", ERR_INPUT},
    {"merges.txt", "#version: 0.2\nt h\nzq x\n",
     "merges.txt:3: merges \"zq x\", but vocab.json does not have both", ERR_INPUT},
    {"merges.txt", "#version: 0.2\nz q\n", "does not have the result", ERR_INPUT},
    {"merges.txt", "#version: 0.2\nt h\nt h\n", "merges.txt:3: the merge of line 2 again",
     ERR_INPUT},
    {"merges.txt", "#version: 0.2\nth\n", "merges.txt:2: expected two pieces", ERR_INPUT},
    {"merges.txt", "#version: 0.2\nt  h\n", "expected two pieces", ERR_INPUT},
    {"merges.txt", "#version: 0.2\n\nt h\n", "expected two pieces", ERR_INPUT},
    {"merges.txt", "#version: 0.2\n\xff h\n", "not UTF-8", ERR_INPUT},
    {"special_tokens_map.json", "{\"pad_token\":\"<none>\"}", "pad_token is \"<none>\"", ERR_INPUT},
    {"special_tokens_map.json", "{\"eos_token\":{}}", "eos_token is", ERR_INPUT},
    {"tokenizer_config.json", "{\"tokenizer_class\":\"T5Tokenizer\"}",
     "tokenizer_class is T5Tokenizer", ERR_INPUT},
    {"tokenizer_config.json", "{\"model_max_length\":2}", "model_max_length", ERR_INPUT},
    {"added_tokens.json", "{\"<old>\":814}", "adds the token \"<old>\"", ERR_INPUT},
};

static void edited_files(void)
{
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        is_code(open_edited(edits[i].file, edits[i].text), edits[i].want, &e, "%s: %.50s",
                edits[i].file, edits[i].text ? edits[i].text : "removed");
        says(e, edits[i].says, "  is refused with its reason");
    }
    is_code(open_edited("special_tokens_map.json", NULL), OK, &e,
            "newer folders have no special_tokens_map.json");
    is_code(open_edited("tokenizer_config.json", NULL), OK, &e,
            "nor need they tokenizer_config.json");
    is_code(open_edited("tokenizer_config.json", "{\"model_max_length\":1e30}"), OK, &e,
            "a placeholder length means 77");
    is_code(open_edited("vocab.json", NULL), OK, &e, "merges alone make the vocabulary");
    is_code(open_edited("merges.txt", "#version: 0.2\r\nt h\r\nth e</w>\r\n"), OK, &e,
            "merges with carriage returns");
}

static void hashes(void)
{
    struct tokenizer *a, *b;
    char *dir = inside("pretty");
    run_shell("rm -rf '%s'; cp -r " SMALL " '%s'; chmod -R u+w '%s'", dir, dir, dir);
    set_key(inside("pretty/vocab.json"), "no such piece",
            NULL); /* only written again, with other spaces */
    tokenizer_open(&a, SMALL, &e);
    is_code(tokenizer_open(&b, inside("pretty"), &e), OK, &e, "a vocabulary in another format");
    ok(hash_equal(tokenizer_hash(a), tokenizer_hash(b)), "has the same hash");
    tokenizer_close(b);
    run_shell("sed -i '$d' '%s'", inside("pretty/merges.txt"));
    tokenizer_open(&b, inside("pretty"), &e);
    ok(!hash_equal(tokenizer_hash(a), tokenizer_hash(b)), "one merge less has another");
    tokenizer_close(b);
    run_shell("cp -r " SMALL " '%s'; chmod -R u+w '%s'; rm '%s/vocab.json'", inside("merges"),
              inside("merges"), inside("merges"));
    tokenizer_open(&b, inside("merges"), &e);
    ok(hash_equal(tokenizer_hash(a), tokenizer_hash(b)),
       "the vocabulary made of the merges has the same");
    tokenizer_close(b);
    text_file("merges/merges.txt", "#version: 0.2\na b\nb c\nab c\na bc\n");
    is_code(tokenizer_open(&b, inside("merges"), &e), ERR_INPUT, &e,
            "merges that make one piece twice");
    says(e, "makes the piece \"abc\" twice", "are refused by it");
    tokenizer_close(a);
    tokenizer_close(b);
}

static void survives_no_memory(void)
{
    enum code rc = ERR_NOMEM;
    long n;
    for (n = 1; n < 3000 && rc == ERR_NOMEM; n++) {
        struct tokenizer *t = NULL, *clone = NULL;
        struct encoded x;
        int32_t ids[77], id;
        arena_fail_after(n);
        rc = tokenizer_open(&t, SMALL, &e);
        if (!rc && !(clone = tokenizer_clone(t))) rc = ERR_NOMEM;
        if (!rc) rc = tokenizer_add(clone, "<rex>", &id, &e);
        if (!rc) rc = tokenizer_encode(clone, "it's a <rex> caf\xc3\xa9", ids, 77, &x, &e);
        arena_fail_after(0);
        tokenizer_close(clone);
        tokenizer_close(t);
    }
    is_code(rc, OK, &e, "each of %ld allocations may fail: out of memory, nothing lost", n - 1);
}

int main(void)
{
    frames();
    cut_texts();
    added();
    edited_files();
    hashes();
    survives_no_memory();
    return done_testing();
}
