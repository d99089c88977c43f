/* Stage score of CNS on a real text encoder: the masks' algebra, and that like prompts select like neurons. */
#include "base/parallel.h"
#include "pipeline/model/runner.h"
#include "pipeline/neurons/score.h"
#include "tests/method/support/study.h"
#include "tests/tap.h"

enum { LENGTH_MOST = 77, DIM_MOST = 64 };

/* The mask of one prompt, made here and not by the method. */
static int prompt_mask(const struct study *s, const char *text, struct mask *out)
{
    const struct base_model *m = s->model;
    int length = tokenizer_length(m->tokenizer), D = m->text.hidden;
    int32_t ids[LENGTH_MOST];
    static float states[LENGTH_MOST * DIM_MOST];
    double norms[DIM_MOST];
    struct encoded enc;
    struct err e = {0};
    struct score_options o = {.fraction = 0.30};
    enum code rc = tokenizer_encode(m->tokenizer, text, ids, length, &enc, &e);
    if (!rc) rc = text_states(m, kernels_cpu(), ids, 1, length, NULL, 0, states, &e);
    if (!rc) score_norms(&o, states, length, D, enc.n, norms);
    if (!rc) rc = mask_init(out, m->kv.n_weights, &e);
    if (!rc) rc = score_prompts(&m->kv, s->w0, &o, norms, 1, D, out, &e);
    return is_code(rc, OK, &e, "\"%s\" is scored", text);
}

static int all_of(const struct study *s, const char *const *text, int n, struct mask *out)
{
    int held = mask_init(out, s->model->kv.n_weights, NULL) == OK;
    mask_fill(out);
    for (int i = 0; i < n; i++) {
        struct mask one = {0};
        held &= prompt_mask(s, text[i], &one);
        if (held) mask_and(out, &one);
        mask_fini(&one);
    }
    return held;
}

static int same(const struct mask *a, const struct mask *b)
{
    return a->n_bits == b->n_bits && !memcmp(a->words, b->words, a->n_words * sizeof *a->words);
}

static void equations(struct study *s)
{
    struct masks m;
    struct mask base = {0}, general = {0}, concept = {0};
    struct err e;
    const struct method *cns = method_find("cns");
    if (!is_code(cns->score(&s->task, &m, &e), OK, &e, "a first concept is scored")) return;
    all_of(s, STUDY_CAPTIONS, STUDY_IMAGES, &base);
    all_of(s, STUDY_PROMPTS, STUDY_CALIBRATION, &general);
    ok(same(&m.base, &base), "(4): M_base is the AND over captions");
    ok(same(&m.general, &general), "(5): M_general is the AND over calibration prompts");
    mask_copy(&concept, &base, &e);
    mask_and_not(&concept, &general);
    ok(same(&m.concept, &concept), "(6): M_concept is M_base without M_general");
    ok(mask_count(&concept) > 0, "and is not empty: %zu neurons", mask_count(&concept));
    is_int(mask_count(&m.reg), 0, "m = 1: M_reg is empty");
    masks_fini(&m);
    for (size_t i = 0; i < s->lineage.n_weights; i += 3) mask_set(&s->lineage.used, i);
    is_code(cns->score(&s->task, &m, &e), OK, &e, "scored after others");
    mask_and(&concept, &s->lineage.used);
    ok(same(&m.reg, &concept), "M_reg is M_concept within the earlier concepts' union");
    masks_fini(&m);
    s->task.settings.general_k = 0;
    is_code(cns->score(&s->task, &m, &e), OK, &e, "scored without calibration");
    ok(same(&m.concept, &base), "general.k = 0: M_concept is M_base");
    masks_fini(&m);
    s->task.settings.general_k = 1;
    mask_fini(&general);
    all_of(s, STUDY_PROMPTS, 1, &general);
    is_code(cns->score(&s->task, &m, &e), OK, &e, "scored with one prompt");
    ok(same(&m.general, &general), "general.k = 1: the first prompt's mask");
    masks_fini(&m);
    mask_fini(&base);
    mask_fini(&general);
    mask_fini(&concept);
}

/* Fig. 7: a word changed keeps more neurons than another sentence. */
static void likeness(const struct study *s)
{
    struct mask a = {0}, near_a = {0}, far = {0};
    if (prompt_mask(s, "a small brown dog in the snow", &a) &&
        prompt_mask(s, "a small black dog in the snow", &near_a) &&
        prompt_mask(s, "two people talk in a park", &far)) {
        double like = mask_overlap(&a, &near_a), unlike = mask_overlap(&a, &far);
        note("overlap: one word apart %.4f, unrelated %.4f", like, unlike);
        ok(like > unlike, "prompts one word apart share more than unrelated ones");
        ok(like < 1.0 && unlike > 0.3, "but not all, and chance shares less than the unrelated");
    }
    mask_fini(&a);
    mask_fini(&near_a);
    mask_fini(&far);
}

static void refusals(struct study *s)
{
    struct masks m;
    struct err e;
    struct task t = s->task;
    char lots[1200] = "";
    for (int i = 0; i < 100; i++) strcat(lots, "snow dog ");
    const char *captions[] = {"a dog", lots};
    t.caption = captions;
    t.n_captions = 2;
    is_code(method_find("cns")->score(&t, &m, &e), ERR_INPUT, &e,
            "a caption that the encoder would cut is refused");
    ok(!m.base.words && !m.concept.words, "and leaves nothing");
    t.n_captions = 0;
    is_code(method_find("cns")->score(&t, &m, &e), ERR_INPUT, &e, "no captions");
    ok(!method_find("dreambooth") && !method_find(""), "an unknown method is NULL");
}

/* Masks as a file: round trip, damage. */
static void file(const struct study *s)
{
    struct masks m, back;
    struct bytes b = {0};
    struct err e;
    if (!is_code(method_find("cns")->score(&s->task, &m, &e), OK, &e, "scored")) return;
    is_code(masks_encode(&m, &b, &e), OK, &e, "masks are encoded");
    is_code(masks_decode(b.data, b.n, &back, &e), OK, &e, "and decoded");
    ok(same(&m.base, &back.base) && same(&m.general, &back.general) &&
           same(&m.concept, &back.concept) && same(&m.reg, &back.reg),
       "all four come back");
    masks_fini(&back);
    size_t passed = 0, step = b.n / 500 + 1;
    for (size_t at = 0; at < b.n; at += at < 64 ? 1 : step) {
        b.data[at] ^= 0x10;
        passed += masks_decode(b.data, b.n, &back, &e) != ERR_CORRUPT || back.base.words;
        b.data[at] ^= 0x10;
        passed += masks_decode(b.data, at, &back, &e) != ERR_CORRUPT;
    }
    is_int(passed, 0, "flipped bits and truncations are found");
    free(b.data);
    masks_fini(&m);
    uint8_t lie[24 + 32] = "engramMK";
    lie[8] = 1;
    for (int i = 0; i < 8; i++) lie[16 + i] = 0xff;
    struct hash seal = hash_bytes(lie, 24);
    memcpy(lie + 24, seal.v, 32);
    is_code(masks_decode(lie, sizeof lie, &back, &e), ERR_CORRUPT, &e,
            "2^64 - 1 neurons in 56 bytes");
}

int main(void)
{
    struct study s;
    struct err e;
    parallel_start(2);
    if (is_code(study_open(&s, 1, &e), OK, &e, "the tiny model opens")) {
        likeness(&s);
        refusals(&s);
        file(&s);
        equations(&s);
    }
    study_close(&s);
    parallel_stop();
    return done_testing();
}
