/* evaluate.c - an evaluation of a lineage on the tiny golden model: figures recomputed here the long way, and the same bytes
 * whoever did the work.
 *
 * timeout: 400 */
#include "pipeline/evaluate/evaluate.h"
#include "base/parallel.h"
#include "base/philox.h"
#include "pipeline/data/image.h"
#include "pipeline/model/runner.h"
#include "pipeline/tensor/kernels.h"
#include "tests/tap.h"
#include "tests/unit/evaluate/support/ranks.h"

#define MODEL "tests/golden/classic/model"
enum { CONCEPTS = 3, REFERENCES = 2, PER_PROMPT = 2, PICTURES = 4, SEED = 77 };

static struct {
    struct base_model *model;
    struct clip_model *clip;
    struct objects *store;
    float *w0;
    struct hash reference[CONCEPTS][REFERENCES];
    struct evaluate_concept concept[CONCEPTS];
    struct evaluation *previous;
    int n, n_previous, cancel_at, drawn;
} world;

static struct hash reference_make(uint32_t seed)
{
    struct image im = {malloc(40 * 30 * 3), 40, 30};
    struct bytes png;
    struct hash h;
    for (size_t i = 0; i < 40 * 30 * 3; i++)
        im.rgb[i] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
    image_encode_png(&im, NULL, &png, NULL);
    objects_put(world.store, png.data, png.n, &h, NULL);
    free(png.data);
    image_fini(&im);
    return h;
}

/* A commit that changes a third of the neurons, mask and values at random. */
static struct hash commit_make(int k, struct hash parent, const char *token, const char *class_word,
                               const char *kind)
{
    size_t n = world.model->kv.n_weights;
    uint32_t dim = (uint32_t)world.model->text.hidden, draw;
    struct philox_key key = philox_key(5, PHILOX_TEST);
    struct commit c = {.base = world.model->hash, .parent = parent, .dim = dim};
    struct bytes b;
    struct hash h;
    mask_init(&c.mask, n, NULL);
    for (size_t i = 0; i < n; i++) {
        philox_bits(key, (uint64_t)k, (uint32_t)i, &draw, 1);
        if (draw % 3 == 0) mask_set(&c.mask, i);
    }
    c.n_values = mask_count(&c.mask);
    c.value = calloc(c.n_values, sizeof *c.value);
    c.row = calloc(dim, sizeof *c.row);
    c.made = strdup("{}");
    philox_normal(key, 100 + (uint64_t)k, 0, c.value, c.n_values);
    philox_normal(key, 200 + (uint64_t)k, 0, c.row, dim);
    snprintf(c.token, sizeof c.token, "%s", token);
    snprintf(c.class_word, sizeof c.class_word, "%s", class_word);
    snprintf(c.kind, sizeof c.kind, "%s", kind);
    commit_encode(&c, &b, NULL);
    objects_put(world.store, b.data, b.n, &h, NULL);
    free(b.data);
    commit_fini(&c);
    return h;
}

static int world_make(void)
{
    static const char *const names[CONCEPTS][3] = {
        {"<rex>", "dog", "animal"}, {"<ink>", "sketch", "style"}, {"<max>", "dog", "animal"}};
    char path[400];
    struct err e;
    snprintf(path, sizeof path, "%s/objects", tap_folder());
    if (!is_code(base_model_open(&world.model, MODEL, &e), OK, &e, "the golden model opens"))
        return 0;
    if (!is_code(clip_model_open(&world.clip, MODEL "/clip", &e), OK, &e, "and its CLIP")) return 0;
    if (!is_code(objects_open(&world.store, path, &e), OK, &e, "and a store")) return 0;
    world.w0 = calloc(world.model->kv.n_weights, sizeof *world.w0);
    if (!is_code(kv_read(&world.model->kv, world.model->unet_weights, world.w0, &e), OK, &e,
                 "W0 is read"))
        return 0;
    struct hash parent = {{0}};
    for (int k = 0; k < CONCEPTS; k++) {
        for (int i = 0; i < REFERENCES; i++)
            world.reference[k][i] = reference_make((uint32_t)(10 * k + i));
        parent = commit_make(k, parent, names[k][0], names[k][1], names[k][2]);
        world.concept[k] = (struct evaluate_concept){names[k][0],        names[k][1], names[k][2],
                                                     world.reference[k], REFERENCES,  parent};
    }
    world.n = CONCEPTS;
    return 1;
}

static int on_progress(void *self, int64_t step, int64_t of, const char *line)
{
    (void)self, (void)of, (void)line;
    world.drawn++;
    return world.cancel_at && step >= world.cancel_at;
}

static struct evaluate_task task(struct collectives *c)
{
    struct evaluate_task t = {.model = world.model,
                              .clip = world.clip,
                              .kernels = kernels_cpu(),
                              .w0 = world.w0,
                              .store = world.store,
                              .concept = world.concept,
                              .n = world.n,
                              .seed = SEED,
                              .ranks = c,
                              .previous = world.previous,
                              .n_previous = world.n_previous,
                              .progress = on_progress};
    settings_default(&t.settings);
    t.settings.sample_steps = 2;
    t.settings.sample_guidance = 1; /* one half: guidance itself is tested with the sampler */
    t.settings.evaluate_per_prompt = PER_PROMPT;
    return t;
}

static void path_of(char out[400], int size, int rank)
{
    snprintf(out, 400, "%s/%d-%d.json", tap_folder(), size, rank);
}

/* In a child: evaluates and leaves the document, or the error's name. */
static int work(void *self, struct collectives *c)
{
    struct evaluate_task t = task(c);
    struct evaluation v;
    struct text json = {0};
    struct err e = {0};
    char path[400];
    (void)self;
    parallel_start(1);
    enum code rc = evaluate_run(&t, &v, &e);
    if (rc) text_printf(&json, "%s", err_name(rc));
    else evaluation_write(&v, &json);
    path_of(path, c->size, c->rank);
    rc = file_write(path, json.s, json.n, &e);
    text_fini(&json);
    evaluation_fini(&v);
    return rc != OK;
}

static struct bytes document(int size, int rank)
{
    char path[400];
    struct bytes b = {0};
    path_of(path, size, rank);
    file_read(path, 1 << 20, &b, NULL);
    return b;
}

static int all_ranks_say(int size, const char *want)
{
    int same = 1;
    for (int r = 0; r < size; r++) {
        struct bytes b = document(size, r);
        if (!b.data || strcmp((char *)b.data, want) != 0) {
            printf("#   rank %d of %d\n#   got  %.300s\n#   want %.300s\n", r, size,
                   b.data ? (char *)b.data : "", want);
            same = 0;
        }
        free(b.data);
    }
    return same;
}

/* ---- the long way ---- */

static struct sampler *sampler_of[CONCEPTS + 1]; /* by number of tokens; made when first wanted */

/* The first n concepts' weights, one prompt, noise i; the CLIP feature and the PNG's name. */
static struct hash draw(int n, const char *prompt, uint32_t index, float *feature)
{
    struct hash chain[CONCEPTS], name = {{0}};
    struct lineage l;
    struct tokenizer *k = tokenizer_clone(world.model->tokenizer);
    int side = world.model->unet.sample_size * vae_factor(&world.model->vae),
        T = tokenizer_length(k);
    int32_t *ids = calloc((size_t)T * 2, sizeof *ids), id;
    struct image im = {calloc((size_t)side * (size_t)side, 3), side, side};
    struct encoded x;
    struct err e;
    struct bytes png;
    for (int i = 0; i < n; i++) {
        chain[i] = world.concept[i].commit;
        tokenizer_add(k, world.concept[i].token, &id, &e);
    }
    lineage_open(&l, world.w0, world.model->kv.n_weights, world.model->hash,
                 (uint32_t)world.model->text.hidden, world.store, chain, n, &e);
    tokenizer_encode(k, prompt, ids, T, &x, &e);
    tokenizer_encode(k, "", ids + T, T, &x, &e);
    if (!sampler_of[n]) sampler_make(&sampler_of[n], world.model, kernels_cpu(), side, side, n, &e);
    struct sample_request r = {.prompt = ids,
                               .negative = ids + T,
                               .kv = l.kv,
                               .extra = l.rows,
                               .n_extra = n,
                               .steps = 2,
                               .guidance = 1.0f,
                               .seed = SEED,
                               .index = index};
    if (sampler_run(sampler_of[n], &r, NULL, im.rgb, NULL, &e)) printf("# %s\n", e.text);
    image_encode_png(&im, NULL, &png, &e);
    name = hash_bytes(png.data, png.n);
    image_square(&im, world.clip->vision.image_size, &e);
    clip_image_features(world.clip, kernels_cpu(), im.rgb, 1, feature, &e);
    free(png.data);
    image_fini(&im);
    lineage_fini(&l);
    tokenizer_close(k);
    free(ids);
    return name;
}

static void reference_feature(struct hash h, float *feature)
{
    struct bytes b;
    struct image im;
    objects_get(world.store, h, 1 << 20, &b, NULL);
    image_decode(b.data, b.n, "reference", &im, NULL, NULL);
    image_square(&im, world.clip->vision.image_size, NULL);
    clip_image_features(world.clip, kernels_cpu(), im.rgb, 1, feature, NULL);
    image_fini(&im);
    free(b.data);
}

static double cosine(const float *a, const float *b)
{
    double sum = 0;
    for (int i = 0; i < world.clip->vision.projection; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

/* Concept k of the evaluation v against pictures drawn here one by one. */
static void recompute(const struct evaluation *v, int k, const char *const now[2],
                      const char *const plain[2])
{
    const struct concept_score *s = &v->concept[k];
    float a[64], own[64], ref[REFERENCES][64], text[2][64], before[64];
    double i_now = 0, t_now = 0, scaled = 0, i_before = 0, drift = 0;
    int same = 1, same_before = 1;
    for (int r = 0; r < REFERENCES; r++) reference_feature(world.reference[k][r], ref[r]);
    for (int p = 0; p < 2; p++)
        clip_text_features(world.clip, kernels_cpu(), &plain[p], 1, text[p], NULL);
    for (int i = 0; i < PICTURES; i++) {
        int p = i / PER_PROMPT;
        same &= hash_equal(draw(v->n, now[p], (uint32_t)i, a), s->picture[i]);
        same_before &= hash_equal(draw(0, plain[p], (uint32_t)i, before), s->before[i]);
        draw(k + 1, now[p], (uint32_t)i, own);
        for (int r = 0; r < REFERENCES; r++) {
            i_now += cosine(a, ref[r]) / (PICTURES * REFERENCES);
            i_before += cosine(before, ref[r]) / (PICTURES * REFERENCES);
        }
        t_now += cosine(a, text[p]) / PICTURES;
        scaled += 2.5 * fmax(0, cosine(a, text[p])) / PICTURES;
        drift += (1 - cosine(a, own)) / PICTURES;
    }
    ok(same, "%s: its pictures are those of W_%d and the prompt with its token", s->token, v->n);
    ok(same_before, "%s: before is W_0 and the class word with the same noise", s->token);
    near(s->clip_i, i_now, 1e-9, "%s: CLIP-I", s->token);
    near(s->before_i, i_before, 1e-9, "%s: CLIP-I before", s->token);
    near(s->clip_t, t_now, 1e-9, "%s: CLIP-T", s->token);
    near(s->clip_t_scaled, scaled, 1e-9, "%s: CLIP-T scaled", s->token);
    near(s->drift, k == v->n - 1 ? 0 : drift, 1e-6, "%s: drift", s->token);
    ok(k == v->n - 1 ? s->pixel_drift == 0 : s->pixel_drift > 0 && s->pixel_drift < 1,
       "%s: pixel drift %g", s->token, s->pixel_drift);
}

/* ---- tests ---- */

static void any_number_of_ranks(struct evaluation *v)
{
    static const int sizes[] = {2, 5};
    struct err e;
    is_int(ranks_run(1, work, NULL), 0, "one rank evaluates");
    struct bytes one = document(1, 0);
    if (!is_code(evaluation_read((char *)one.data, one.n, v, &e), OK, &e, "its document is read"))
        exit(1);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        is_int(ranks_run(sizes[i], work, NULL), 0, "%d ranks evaluate", sizes[i]);
        ok(all_ranks_say(sizes[i], (char *)one.data), "each of %d ranks has the same bytes",
           sizes[i]);
    }
    free(one.data);
}

static void looked_up(const struct evaluation *last)
{
    struct evaluation earlier[2] = {0};
    struct bytes one = document(1, 0), again;
    for (world.n = 1; world.n < CONCEPTS; world.n++) {
        ranks_run(1, work, NULL);
        struct bytes b = document(1, 0);
        evaluation_read((char *)b.data, b.n, &earlier[world.n - 1], NULL);
        free(b.data);
    }
    world.previous = earlier;
    world.n_previous = 2;
    ranks_run(2, work, NULL);
    ok(all_ranks_say(2, (char *)one.data), "with earlier evaluations the result is the same");

    struct hash kept = earlier[0].concept[0].picture[0];
    earlier[0].concept[0].picture[0] = world.reference[1][0];
    ranks_run(1, work, NULL);
    again = document(1, 0);
    ok(!strcmp((char *)again.data, "corrupt"),
       "they are read, not drawn: a wrong picture is noticed");
    free(again.data);
    earlier[0].concept[0].picture[0] = (struct hash){{1}};
    ranks_run(1, work, NULL);
    ok(all_ranks_say(1, (char *)one.data), "a picture that is gone is drawn again");
    earlier[0].concept[0].picture[0] = world.reference[1][0];
    earlier[0].conditions.v[0] ^= 1;
    ranks_run(1, work, NULL);
    ok(all_ranks_say(1, (char *)one.data), "an evaluation under other conditions is passed over");
    earlier[0].concept[0].picture[0] = kept;
    ok(hash_equal(earlier[1].conditions, last->conditions),
       "conditions do not depend on the chain");
    world.previous = NULL;
    world.n_previous = 0;
    for (int i = 0; i < 2; i++) evaluation_fini(&earlier[i]);
    free(one.data);
}

static void refusals(void)
{
    struct collectives c = collectives_single();
    struct evaluation v;
    struct err e;
    static const char *const no_hole[] = {"a photo of a dog"}, *const only_style[] = {
                                                                   "style: a {concept}"};
    struct evaluate_task t = task(&c);
    world.cancel_at = 3;
    ranks_run(3, work, NULL);
    ok(all_ranks_say(3, "cancelled"), "a cancelled evaluation ends on every rank");
    world.cancel_at = 0;
    t.n = 0;
    is_code(evaluate_run(&t, &v, &e), ERR_INPUT, &e, "an empty lineage is refused");
    t = task(&c);
    t.pattern = no_hole;
    t.n_patterns = 1;
    is_code(evaluate_run(&t, &v, &e), ERR_USAGE, &e, "a prompt without {concept} is refused");
    is_str(
        e.text,
        "evaluation prompt \"a photo of a dog\" has no {concept}; write it where the concept goes",
        "with what to do");
    t.pattern = only_style;
    is_code(evaluate_run(&t, &v, &e), ERR_USAGE, &e, "a kind without a prompt is refused");
    t = task(&c);
    t.settings.evaluate_per_prompt = 40;
    is_code(evaluate_run(&t, &v, &e), ERR_USAGE, &e, "too many pictures are refused");
    struct evaluate_concept wrong[CONCEPTS];
    memcpy(wrong, world.concept, sizeof wrong);
    wrong[0].token = "<sue>";
    t = task(&c);
    t.concept = wrong;
    is_code(evaluate_run(&t, &v, &e), ERR_CORRUPT, &e, "a commit of another token is refused");
    wrong[0] = world.concept[0];
    wrong[1].n_references = 0;
    is_code(evaluate_run(&t, &v, &e), ERR_INPUT, &e, "a concept without references is refused");
    wrong[1] = world.concept[1];
    wrong[1].commit = world.concept[2].commit;
    wrong[1].token = "<max>", wrong[2].token = "<ink>";
    is_code(evaluate_run(&t, &v, &e), ERR_CORRUPT, &e, "a broken chain is refused");
    ok(!v.concept && !v.iou, "and nothing comes out");
}

int main(void)
{
    static const char *const rex[2] = {"a photo of a <rex> dog", "a <rex> dog in the forest"};
    static const char *const dog[2] = {"a photo of a dog", "a dog in the forest"};
    static const char *const ink[2] = {"a dog in <ink> style", "a house in <ink> style"};
    static const char *const sketch[2] = {"a dog in sketch style", "a house in sketch style"};
    static const char *const max[2] = {"a photo of a <max> dog", "a <max> dog in the forest"};
    struct evaluation v = {0};
    if (!world_make()) return done_testing();
    any_number_of_ranks(&v); /* forks: before this process has threads */
    looked_up(&v);
    parallel_start(1);
    recompute(&v, 0, rex, dog);
    recompute(&v, 1, ink, sketch);
    recompute(&v, 2, max, dog);
    is_int(v.n, 3, "three concepts");
    ok(hash_equal(v.commit, world.concept[2].commit), "of the last commit");
    near(v.concept[0].owned, 1.0 / 3, 0.02, "a third of the neurons is owned");
    ok(v.concept[0].regularised == 0, "the first concept meets no earlier one");
    near(v.concept[1].regularised, 1.0 / 3, 0.02, "a third of the second was the first's");
    near(v.concept[2].regularised, 5.0 / 9, 0.02, "five ninths of the third were theirs");
    near(v.iou[1], 1.0 / 5, 0.02, "two random thirds have an IoU of a fifth");
    ok(v.iou[0] == 1 && v.iou[3] == v.iou[1],
       "the overlap of masks is symmetric with ones on the diagonal");
    refusals();
    evaluation_fini(&v);
    for (int i = 0; i <= CONCEPTS; i++) sampler_free(sampler_of[i]);
    objects_close(world.store);
    clip_model_close(world.clip);
    base_model_close(world.model);
    free(world.w0);
    return done_testing();
}
