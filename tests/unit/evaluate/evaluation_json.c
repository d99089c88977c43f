/* evaluation_json.c - the document of an evaluation: there and back, and nothing else. */
#include "pipeline/evaluate/evaluate.h"
#include "tests/tap.h"

static struct evaluation sample(void)
{
    struct evaluation v = {.commit = {{1, 2}}, .conditions = {{3}}, .n = 2, .seconds = 9};
    v.concept = calloc(2, sizeof *v.concept);
    v.iou = calloc(4, sizeof *v.iou);
    for (int k = 0; k < 2; k++) {
        struct concept_score *s = &v.concept[k];
        snprintf(s->token, sizeof s->token, k ? "<ink>" : "<rex>");
        snprintf(s->class_word, sizeof s->class_word, "caf\xc3\xa9 \"x\"");
        snprintf(s->kind, sizeof s->kind, "style");
        s->clip_i = 1.0 / 3 + k, s->clip_t = -0.25, s->drift = 1e-12, s->owned = 0.3;
        s->n_pictures = 3 * k;
        for (int i = 0; i < s->n_pictures; i++)
            s->picture[i].v[0] = s->before[i].v[1] = (uint8_t)(7 + i);
    }
    v.iou[0] = v.iou[3] = 1;
    v.iou[1] = v.iou[2] = 0.125;
    return v;
}

/* The document with the first `from` replaced by `to` is refused. */
static int refused_with(const char *json, const char *from, const char *to)
{
    struct evaluation v = {.n = 5};
    struct text t = {0};
    struct err e;
    const char *at = strstr(json, from);
    if (!at) return 0;
    text_add_bytes(&t, json, (size_t)(at - json));
    text_add(&t, to);
    text_add(&t, at + strlen(from));
    enum code rc = evaluation_read(t.s, t.n, &v, &e);
    text_fini(&t);
    return rc == ERR_CORRUPT && !v.n && !v.concept;
}

int main(void)
{
    struct evaluation v = sample(), back;
    struct text json = {0}, again = {0};
    struct err e;
    evaluation_write(&v, &json);
    ok(text_ok(&json) && json.n > 100, "an evaluation is written");
    ok(!strstr(json.s, "seconds"), "without its seconds");
    if (!is_code(evaluation_read(json.s, json.n, &back, &e), OK, &e, "and read"))
        return done_testing();
    evaluation_write(&back, &again);
    is_str(again.s, json.s, "and written again with the same bytes");
    near(back.concept[1].clip_i, 4.0 / 3, 1e-9, "figures survive");
    is_str(back.concept[0].class_word, "caf\xc3\xa9 \"x\"", "texts survive");
    ok(hash_equal(back.concept[1].picture[2], v.concept[1].picture[2]) &&
           back.concept[1].n_pictures == 3,
       "and hashes");

    size_t survived = 0;
    for (size_t n = 0; n < json.n; n++) {
        struct evaluation cut;
        char *copy = malloc(n + 1);
        memcpy(copy, json.s, n);
        survived += evaluation_read(copy, n, &cut, &e) == OK;
        free(copy);
    }
    is_int(survived, 0, "every proper beginning is refused");
    ok(refused_with(json.s, "\"v\":1", "\"v\":2"), "another version is refused");
    ok(refused_with(json.s, "\"v\":1", "\"v\":1,\"w\":1"), "an unknown key is refused");
    ok(refused_with(json.s, "\"drift\"", "\"drifts\""), "an unknown key of a concept is refused");
    ok(refused_with(json.s, "\"kind\":\"style\"", "\"kind\":7"), "a number for a text is refused");
    ok(refused_with(json.s, "\"clip_t\":-0.25", "\"clip_t\":null"),
       "nothing for a number is refused");
    ok(refused_with(json.s, "\"clip_t\":-0.25", "\"clip_t\":1e300"), "an absurd number is refused");
    ok(refused_with(json.s, "[1.0,0.125]", "[1.0]"), "a crooked matrix is refused");
    ok(refused_with(json.s, "0102000", "010200g"), "a malformed hash is refused");
    ok(refused_with(json.s, "\"commit\":\"", "\"commit\":\"00"), "a long hash is refused");
    ok(refused_with(json.s, "<rex>",
                    "<0123456789012345678901234567890123456789012345678901234567890123>"),
       "a token longer than ours is refused");
    text_fini(&json);
    text_fini(&again);
    evaluation_fini(&v);
    evaluation_fini(&back);
    return done_testing();
}
