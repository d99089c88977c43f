/* What the text encoder reads: patterns, instance prompts, the new token's first row, names of class images. */
#include "base/hash.h"
#include "pipeline/method/cns.h"
#include "pipeline/model/weights.h"
#include "tests/method/support/study.h"
#include "tests/tap.h"

static void patterns(void)
{
    static const struct {
        const char *pattern, *want;
    } CASE[] = {{"photo of a {token} {class}", "photo of a <rex> dog"},
                {"", ""},
                {"{class}{class}", "dogdog"},
                {"{tok} {classy} {", "{tok} {classy} {"},
                {"{token", "{token"},
                {"100% %s {token}", "100% %s <rex>"}};
    char out[64];
    for (size_t i = 0; i < sizeof CASE / sizeof CASE[0]; i++) {
        prompt_fill(CASE[i].pattern, "<rex>", "dog", out, sizeof out);
        is_str(out, CASE[i].want, "\"%s\"", CASE[i].pattern);
    }
    char small[9] = "........";
    prompt_fill("a {token} {class}", "<rex>", "dog", small, 8);
    is_str(small, "a <rex>", "a result that does not fit is cut");
    prompt_fill("abc", "", "", small, 1);
    is_str(small, "", "down to nothing");
}

static void is_prompt(struct task *t, const char *caption, const char *class_word, const char *want)
{
    const char *one[] = {caption};
    char out[2048];
    t->caption = one;
    t->n_captions = caption ? 1 : 0;
    snprintf(t->class_word, sizeof t->class_word, "%s", class_word);
    instance_prompt(t, 0, out, sizeof out);
    is_str(out, want, "%s, caption \"%s\"", t->kind, caption ? caption : "(none)");
}

static void instances(struct task t)
{
    strcpy(t.token, "<rex>");
    is_prompt(&t, "a dog in the snow", "dog", "photo of a <rex> dog");
    t.settings.train_use_captions = 1;
    is_prompt(&t, "a dog in the snow", "dog", "a <rex> dog in the snow");
    is_prompt(&t, "dog", "dog", "<rex> dog");
    is_prompt(&t, "a hotdog, doggy, and a dog.", "dog", "a hotdog, doggy, and a <rex> dog.");
    is_prompt(&t, "two dogs", "dog", "photo of a <rex> dog");
    is_prompt(&t, "my teddy bear sits", "teddy bear", "my <rex> teddy bear sits");
    is_prompt(&t, "a dog and a dog", "dog", "a <rex> dog and a dog");
    is_prompt(&t, "", "dog", "photo of a <rex> dog");
    is_prompt(&t, NULL, "dog", "photo of a <rex> dog");
    is_prompt(&t, "caf\xc3\xa9 dog", "dog", "caf\xc3\xa9 <rex> dog");
    strcpy(t.kind, "style");
    is_prompt(&t, "a house by a lake", "painting", "a house by a lake, in <rex> style");
    is_prompt(&t, NULL, "painting", "a painting in <rex> style");
    t.settings.train_use_captions = 0;
    is_prompt(&t, "a house by a lake", "painting", "a painting in <rex> style");
}

static void starts(const struct task *given, const char *init, enum code code, const float *want,
                   const char *what)
{
    struct task t = *given;
    struct err e = {0};
    float row[64];
    snprintf(t.settings.token_init, sizeof t.settings.token_init, "%s", init);
    int held = is_code(token_init(&t, row, &e), code, &e, "token.init = %s", init);
    if (held && want)
        ok(!memcmp(row, want, (size_t)t.model->text.hidden * sizeof(float)), "is %s", what);
    if (held && code) ok(strstr(e.text, "token.init") != NULL, "says so: %s", e.text);
}

static void first_rows(const struct task *given)
{
    struct task t = *given;
    const struct base_model *m = t.model;
    int D = m->text.hidden;
    struct err e;
    const float *table =
        weights_float(m->text_weights, "text_model.embeddings.token_embedding.weight",
                      (int64_t)m->text.vocab * D, &e);
    if (!ok(table && D <= 64, "the table of embeddings")) return;
    int32_t ids[77];
    struct encoded enc;
    tokenizer_encode(m->tokenizer, "dog", ids, tokenizer_length(m->tokenizer), &enc, &e);
    float mean[64], noise[64];
    for (int j = 0; j < D; j++) {
        double sum = 0;
        for (int i = 1; i < enc.end; i++)
            sum += (double)table[(size_t)ids[i] * (size_t)D + (size_t)j];
        mean[j] = (float)(sum / (enc.end - 1));
    }
    snprintf(t.class_word, sizeof t.class_word, "dog");
    starts(&t, "class", OK, mean, "the mean of the class word's rows");
    starts(&t, "word:dog", OK, NULL, "");
    starts(&t, "id:7", OK, table + (size_t)7 * (size_t)D, "row 7");
    starts(&t, "word:a", OK, table + (size_t)tokenizer_lookup(m->tokenizer, "a") * (size_t)D,
           "the piece's own row");
    philox_normal(philox_key(t.seed, PHILOX_TOKEN_INIT), 0, 0, noise, (size_t)D);
    for (int j = 0; j < D; j++) noise[j] = (float)(noise[j] * 0.02);
    starts(&t, "rand:0.02", OK, noise, "normal numbers of the seed");
    char past[32];
    snprintf(past, sizeof past, "id:%d", m->text.vocab);
    starts(&t, past, ERR_USAGE, NULL, "");
    const char *const bad[] = {"id:-1",    "id:",       "id:7x",     "id:99999999999999999999",
                               "rand:",    "rand:much", "rand:0.1x", "rand:-1",
                               "rand:nan", "rand:inf",  "clas",      ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) starts(&t, bad[i], ERR_USAGE, NULL, "");
    struct task none = t;
    struct err why = {0};
    float row[64];
    strcpy(none.class_word, " ");
    is_code(token_init(&none, row, &why), ERR_INPUT, &why, "a class word without tokens");
}

static int same_key(const struct settings *a, const struct settings *b, const char *ka,
                    const char *kb)
{
    struct hash base = {{1}};
    return hash_equal(prior_key(base, a, "dog", ka, 5), prior_key(base, b, "dog", kb, 5));
}

static void prior_names(void)
{
    static const char *const MATTERS[] = {
        "prior.count=7",  "prior.steps=7",        "prior.guidance=7",   "prior.eta=0",
        "sample.side=64", "prior.prompt={class}", "sample.negative=bad"};
    static const char *const DOES_NOT[] = {"prior.weight=2", "train.steps=7",
                                           "prior.style_prompt=x", "sample.steps=7"};
    struct settings a, b;
    settings_default(&a);
    for (size_t i = 0; i < sizeof MATTERS / sizeof MATTERS[0]; i++) {
        b = a;
        settings_set(&b, MATTERS[i], NULL);
        ok(!same_key(&a, &b, "animal", "animal"), "%s gives other class images", MATTERS[i]);
    }
    for (size_t i = 0; i < sizeof DOES_NOT / sizeof DOES_NOT[0]; i++) {
        b = a;
        settings_set(&b, DOES_NOT[i], NULL);
        ok(same_key(&a, &b, "animal", "animal"), "%s does not", DOES_NOT[i]);
    }
    ok(same_key(&a, &a, "animal", "object") && !same_key(&a, &a, "animal", "style"),
       "a style has a prompt of its own");
    struct hash one = {{1}}, two = {{2}};
    ok(!hash_equal(prior_key(one, &a, "dog", "animal", 5), prior_key(two, &a, "dog", "animal", 5)),
       "the base model counts");
    ok(!hash_equal(prior_key(one, &a, "dog", "animal", 5), prior_key(one, &a, "cat", "animal", 5)),
       "the class counts");
    ok(!hash_equal(prior_key(one, &a, "dog", "animal", 5), prior_key(one, &a, "dog", "animal", 6)),
       "the seed counts");
    /* Texts with line ends must not imitate each other: class images are shared between users. */
    b = a;
    strcpy(a.prior_prompt, "x\nnegative y");
    strcpy(a.sample_negative, "z");
    strcpy(b.prior_prompt, "x");
    strcpy(b.sample_negative, "y\nnegative z");
    ok(!same_key(&a, &b, "animal", "animal"), "two different requests never share a name");
}

int main(void)
{
    struct study s;
    struct err e;
    patterns();
    prior_names();
    if (is_code(study_open(&s, 1, &e), OK, &e, "the tiny model opens")) {
        instances(s.task);
        first_rows(&s.task);
    }
    study_close(&s);
    return done_testing();
}
