/* Every line of tokenize.txt: what transformers' slow CLIPTokenizer made of it, with <rex> added (see README.md). Then the
 * ten thousand texts of many_strings.py, by the hash of their ids.
 *
 *     tokenizer FOLDER FILE        a file of many_strings.py made for another tokenizer folder, and nothing else
 */
#include "pipeline/model/tokenizer.h"
#include "tests/tap.h"

#include <jansson.h>

#define LENGTH_MOST 77

static struct {
    const struct tokenizer *t;
    const char *name;
    int line, wrong;
} at;

static void show(const char *what, const int32_t *ids, int n)
{
    printf("#   %s", what);
    for (int i = 0; i < n; i++) printf(" %d", (int)ids[i]);
    printf("\n");
}

static void compare(const char *text, const json_t *want)
{
    int32_t got[LENGTH_MOST] = {0}, expected[LENGTH_MOST] = {0};
    int n = (int)json_array_size(want);
    struct encoded x;
    struct err e;
    enum code rc = tokenizer_encode(at.t, text, got, tokenizer_length(at.t), &x, &e);
    int same = !rc && n == tokenizer_length(at.t);
    for (int i = 0; same && i < n; i++)
        expected[i] = (int32_t)json_integer_value(json_array_get(want, (size_t)i));
    same = same && !memcmp(got, expected, (size_t)n * sizeof *got) &&
           got[x.end] == tokenizer_end(at.t) && x.end == x.n - 1 && x.n_full >= x.n;
    if (same) return;
    at.wrong++;
    printf("# %s line %d: \"%s\"%s%s\n", at.name, at.line, text, rc ? ": " : "", rc ? e.text : "");
    if (rc || n != tokenizer_length(at.t)) return;
    show("got ", got, n);
    show("want", expected, n);
}

static void compare_file(const char *path)
{
    char line[1 << 16];
    FILE *f = fopen(path, "r");
    at.line = at.wrong = 0;
    while (f && fgets(line, sizeof line, f)) {
        json_t *entry = json_loads(line, JSON_ALLOW_NUL, NULL);
        const char *text = json_string_value(json_object_get(entry, "text"));
        at.line++;
        if (text) compare(text, json_object_get(entry, "ids"));
        else at.wrong++;
        json_decref(entry);
    }
    if (f) fclose(f);
    ok(at.line >= 200, "%s has the texts of strings.py: %d", path, at.line);
    is_int(at.wrong, 0, "%s: every text becomes the reference's ids", at.name);
}

/* ---- many_strings.py ---- */

static uint32_t hash_of(const int32_t *ids, int n)
{
    uint32_t h = 2166136261u;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < 32; k += 8) h = (h ^ ((uint32_t)ids[i] >> k & 0xff)) * 16777619u;
    return h;
}

/* "1f2e3d4c \"text\"": do the text's ids have this hash? */
static int hash_is_right(const char *line)
{
    int32_t ids[LENGTH_MOST];
    struct encoded x;
    struct err e = {0};
    json_t *text = json_loads(line + 8, JSON_DECODE_ANY, NULL);
    uint32_t want = (uint32_t)strtoul(line, NULL, 16);
    int held = text && !tokenizer_encode(at.t, json_string_value(text), ids, LENGTH_MOST, &x, &e) &&
               hash_of(ids, LENGTH_MOST) == want;
    json_decref(text);
    return held;
}

/* ADDED of many_strings.py, in its order. */
static struct tokenizer *open_with_added(const char *folder)
{
    static const char *const added[] = {
        "<rex>", "<rex><r", "<mug-2>", "\xe7\x8c\xab", "\xc3\xa9t\xc3\xa9", "<|x|>", "don't"};
    struct tokenizer *t;
    struct err e;
    if (!is_code(tokenizer_open(&t, folder, &e), OK, &e, "%s opens", folder)) return NULL;
    for (size_t i = 0; i < sizeof added / sizeof *added; i++) {
        int32_t id;
        is_code(tokenizer_add(t, added[i], &id, &e), OK, &e, "%s is added", added[i]);
    }
    return t;
}

static void compare_hashes(const char *folder, const char *path)
{
    char line[1 << 16];
    FILE *f = fopen(path, "r");
    struct tokenizer *t = open_with_added(folder);
    at.t = t;
    at.line = at.wrong = 0;
    while (f && t && fgets(line, sizeof line, f)) {
        at.line++;
        if (hash_is_right(line)) continue;
        if (at.wrong++ < 20) printf("# line %d: %s", at.line, line);
    }
    if (f) fclose(f);
    tokenizer_close(t);
    ok(at.line >= 10000, "%s has more than ten thousand texts: %d", path, at.line);
    is_int(at.wrong, 0, "every one of them becomes the reference's ids: %d equal, %d unequal",
           at.line - at.wrong, at.wrong);
}

int main(int argc, char **argv)
{
    static const char *const cases[] = {"classic", "ragged", "micro", "storybook"};
    if (argc == 3) {
        compare_hashes(argv[1], argv[2]);
        return done_testing();
    }
    compare_hashes("tests/golden/classic/model/tokenizer", "tests/golden/many_strings.txt");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[256];
        struct err e;
        struct tokenizer *t;
        int32_t id;
        snprintf(path, sizeof path, "tests/golden/%s/model/tokenizer", cases[i]);
        if (!is_code(tokenizer_open(&t, path, &e), OK, &e, "%s opens", path)) continue;
        is_code(tokenizer_add(t, "<rex>", &id, &e), OK, &e, "<rex> is added");
        is_int(id, tokenizer_vocab(t), "it gets the next free id");
        at.t = t;
        at.name = cases[i];
        snprintf(path, sizeof path, "tests/golden/%s/tokenize.txt", cases[i]);
        compare_file(path);
        tokenizer_close(t);
    }
    return done_testing();
}
