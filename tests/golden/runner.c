/* runner.c - what the golden vectors do not say about the runner: a picture depends on its own request only, guidance of two
 * equal halves is one half, images are read and rounded as promised, mistakes are named, and no failed allocation leaks. */
#include "base/arena.h"
#include "base/parallel.h"
#include "pipeline/model/loss.h"
#include "pipeline/model/networks.h"
#include "pipeline/model/runner.h"
#include "tests/tap.h"

enum { SIDE = 16, STEPS = 3, LENGTH = 77 };
static struct base_model *m;
static float *kv;
static int32_t prompt[LENGTH], other[LENGTH];
static struct err e;

struct picture {
    float latent[8 * 8 * 4];
    uint8_t rgb[SIDE * SIDE * 3];
};

static struct sample_request request(void)
{
    return (struct sample_request){.prompt = prompt,
                                   .negative = other,
                                   .kv = kv,
                                   .steps = STEPS,
                                   .guidance = 5.0f,
                                   .seed = 7,
                                   .index = 3};
}

static struct picture take(struct sampler *s, struct sample_request q, const char *what)
{
    struct picture p;
    memset(&p, 0, sizeof p);
    is_code(sampler_run(s, &q, p.latent, p.rgb, NULL, &e), OK, &e, "samples %s", what);
    return p;
}

static int same(const struct picture *a, const struct picture *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static void pictures_stand_alone(struct sampler *s)
{
    struct sample_request q = request(), next = request(), seed = request();
    next.index = 4;
    seed.seed = 8;
    struct picture first = take(s, q, "a picture");
    struct picture second = take(s, next, "the next index"), third = take(s, seed, "another seed");
    struct picture again = take(s, q, "the first again");
    ok(same(&first, &again), "a picture does not depend on those before it");
    ok(!same(&first, &second) && !same(&first, &third), "index and seed make the noise");

    parallel_start(3);
    struct sampler *fresh;
    is_code(sampler_make(&fresh, m, kernels_cpu(), SIDE, SIDE, 0, &e), OK, &e,
            "a sampler for 3 threads");
    struct picture threads = take(fresh, q, "with three threads");
    sampler_free(fresh);
    parallel_start(1);
    ok(same(&first, &threads), "a picture does not depend on threads or on its sampler");
}

static void equal_halves_are_one(struct sampler *s)
{
    struct sample_request both = request(), one = request();
    both.negative = both.prompt;
    one.guidance = 1.0f;
    one.negative = NULL;
    struct picture a = take(s, both, "two equal halves"), b = take(s, one, "one half");
    ok(same(&a, &b), "two equal halves give the bytes of one: no sample sees its batch");
}

static void stochastic(struct sampler *s)
{
    struct sample_request q = request();
    struct picture plain = take(s, q, "eta 0");
    q.eta = 1.0f;
    struct picture a = take(s, q, "eta 1"), b = take(s, q, "eta 1 again");
    ok(same(&a, &b) && !same(&a, &plain), "eta adds noise, the same each time");
}

/* An added token whose row is that of a word is that word. */
static void added_token(struct sampler *without)
{
    struct sampler *s;
    struct sample_request q = request();
    int D = m->text.hidden, word = 320;
    const float *table =
        weights_float(m->text_weights, "text_model.embeddings.token_embedding.weight",
                      (int64_t)m->text.vocab * D, &e);
    int32_t with_word[LENGTH], with_token[LENGTH];
    memcpy(with_word, prompt, sizeof prompt);
    memcpy(with_token, prompt, sizeof prompt);
    with_word[2] = word;
    with_token[2] = m->text.vocab + 1;
    float rows[2 * 64] = {0};
    memcpy(rows + D, table + (size_t)word * (size_t)D, (size_t)D * sizeof *rows);

    is_code(sampler_make(&s, m, kernels_cpu(), SIDE, SIDE, 2, &e), OK, &e,
            "a sampler with 2 added tokens");
    q.prompt = with_word;
    struct picture a = take(without, q, "a word");
    q.prompt = with_token;
    q.extra = rows;
    q.n_extra = 2;
    struct picture b = take(s, q, "an added token with the word's row");
    ok(same(&a, &b), "an added token is its row");
    with_token[2] = m->text.vocab + 2;
    is_code(sampler_run(s, &q, NULL, NULL, NULL, &e), ERR_INPUT, &e, "a third token is refused");
    sampler_free(s);
}

static void refusals(struct sampler *s)
{
    struct sampler *none;
    struct sample_request q = request();
    float moments[8];
    uint8_t rgb[3 * 15] = {0};
    q.steps = 0;
    is_code(sampler_run(s, &q, NULL, NULL, NULL, &e), ERR_INPUT, &e, "no steps are refused");
    q.steps = 1001;
    is_code(sampler_run(s, &q, NULL, NULL, NULL, &e), ERR_INPUT, &e, "1001 steps are refused");
    is_code(sampler_make(&none, m, kernels_cpu(), 15, 16, 0, &e), ERR_INPUT, &e,
            "15x16 is refused");
    ok(strstr(e.text, "multiples of 2") != NULL, "and the line says which sides will do");
    is_code(image_moments(m, kernels_cpu(), rgb, 1, 15, 1, moments, &e), ERR_INPUT, &e,
            "so is an image to encode");
}

/* Images go in as x / 127.5 - 1 and come out as 255 * clamp(x / 2 + 1/2), half to even. */
static void images(struct sampler *s)
{
    uint8_t rgb[2 * SIDE * SIDE * 3];
    float two[2 * 8 * 8 * 8], one[8 * 8 * 8];
    for (size_t i = 0; i < sizeof rgb; i++) rgb[i] = (uint8_t)(i * 37 % 256);
    is_code(image_moments(m, kernels_cpu(), rgb, 2, SIDE, SIDE, two, &e), OK, &e,
            "encodes two images");
    is_code(image_moments(m, kernels_cpu(), rgb + sizeof rgb / 2, 1, SIDE, SIDE, one, &e), OK, &e,
            "encodes one");
    ok(memcmp(two + 8 * 8 * 8, one, sizeof one) == 0, "an image does not depend on its neighbours");

    struct picture p = take(s, request(), "to compare its pixels");
    struct graph *g;
    struct exec *x;
    float scaled[8 * 8 * 4];
    for (int i = 0; i < 8 * 8 * 4; i++) scaled[i] = p.latent[i] / m->vae.scaling_factor;
    graph_make(&g, &e);
    struct value in = graph_input(g, "latent", DTYPE_F32, SHAPE(1, 8, 8, 4));
    struct value out = vae_decode_build(g, &m->vae, m->vae_weights, in);
    graph_keep(g, out);
    if (!is_code(exec_open(&x, g, kernels_cpu(), &e), OK, &e, "a decoder of our own")) return;
    exec_bind(x, in, scaled);
    is_code(exec_run(x, &e), OK, &e, "decodes");
    int wrong = 0;
    for (int i = 0; i < SIDE * SIDE * 3; i++) {
        double v = (double)exec_data(x, out)[i] / 2 + 0.5;
        long want = lrint(255 * (v < 0 ? 0 : v > 1 ? 1 : v));
        wrong += labs(want - p.rgb[i]) > 0 && fabs(255 * v - floor(255 * v) - 0.5) > 1e-3;
    }
    is_int(wrong, 0, "pixels are the rounded decoding of the scaled latent");
    exec_close(x);
}

static void gradients(void)
{
    int D = m->text.hidden;
    float x[8 * 8 * 4], target[8 * 8 * 4], row[64] = {0}, moved[64];
    for (int i = 0; i < 8 * 8 * 4; i++) {
        x[i] = sinf((float)i);
        target[i] = cosf((float)i);
    }
    for (int i = 0; i < D; i++) row[i] = 0.3f * sinf(5.0f * (float)i);
    int32_t ids[LENGTH];
    memcpy(ids, prompt, sizeof ids);
    ids[2] = m->text.vocab;
    struct loss_shape shape = {.h = 8, .w = 8, .length = LENGTH, .n_extra = 1};
    struct loss_sample sample = {
        .noisy = x, .target = target, .t = 500, .ids = ids, .weight = 2.0f};
    struct loss_graph *all, *token;
    struct loss_outputs a, b;
    memcpy(moved, row, sizeof row);
    is_code(loss_make(&all, m, kernels_cpu(), &shape, kv, moved, &e), OK, &e, "a loss");
    shape.skip_kv = 1;
    is_code(loss_make(&token, m, kernels_cpu(), &shape, kv, row, &e), OK, &e, "one for the token");
    is_code(loss_run(all, &sample, &a, &e), OK, &e, "runs");
    is_code(loss_run(token, &sample, &b, &e), OK, &e, "runs, too");
    ok(!b.d_kv && a.d_kv && a.loss == b.loss && a.loss == 2 * a.error, "skips what is not wanted");
    ok(memcmp(a.d_extra, b.d_extra, (size_t)D * sizeof(float)) == 0, "and gives the same rest");
    ok(loss_peak(token) <= loss_peak(all) && loss_flops(token) < loss_flops(all),
       "for less memory and work");

    float before = a.loss, slope = 0;
    for (int i = 0; i < D; i++) slope += a.d_extra[i] * a.d_extra[i];
    for (int i = 0; i < D; i++) moved[i] -= 1e-3f / slope * a.d_extra[i];
    is_code(loss_run(all, &sample, &a, &e), OK, &e, "runs on a moved row");
    near(before - a.loss, 1e-3, 1e-4, "rows are read anew; downhill is down by slope times step");
    loss_free(all);
    loss_free(token);
}

/* Every allocation fails once (strided: there are thousands), and the answer is one line. Leaks show under SAN=1. */
static void memory_out(void)
{
    struct sampler *s = NULL;
    struct loss_graph *l = NULL;
    struct loss_shape shape = {.h = 8, .w = 8, .length = LENGTH, .n_extra = 1, .detach_first = 1};
    float row[64] = {0};
    int failures = 0, strange = 0;
    for (long n = 1; n < 4000; n += n < 50 ? 1 : 61) {
        arena_fail_after(n);
        enum code rc = n % 2 ? sampler_make(&s, m, kernels_cpu(), SIDE, SIDE, 1, &e)
                             : loss_make(&l, m, kernels_cpu(), &shape, kv, row, &e);
        arena_fail_after(0);
        failures += rc == ERR_NOMEM;
        strange += rc != OK && rc != ERR_NOMEM;
        if (!rc && n % 2) sampler_free(s);
        if (!rc && n % 2 == 0) loss_free(l);
    }
    ok(failures > 20, "running out of memory was tried (%d failures)", failures);
    is_int(strange, 0, "and always ended as out of memory");
}

int main(void)
{
    struct sampler *s;
    struct encoded info;
    parallel_start(1);
    if (!is_code(base_model_open(&m, "tests/golden/classic/model", &e), OK, &e, "opens the model"))
        return done_testing();
    kv = mem_alloc(m->kv.n_weights, sizeof *kv);
    is_code(kv_read(&m->kv, m->unet_weights, kv, &e), OK, &e, "reads W0");
    is_code(tokenizer_encode(m->tokenizer, "a photo of a dog", prompt, LENGTH, &info, &e), OK, &e,
            "reads a prompt");
    is_code(tokenizer_encode(m->tokenizer, "blurry", other, LENGTH, &info, &e), OK, &e,
            "reads another");
    if (!is_code(sampler_make(&s, m, kernels_cpu(), SIDE, SIDE, 0, &e), OK, &e, "makes a sampler"))
        return done_testing();
    is_int(sampler_latent_count(s), 8 * 8 * 4, "a latent of 8x8x4");

    pictures_stand_alone(s);
    equal_halves_are_one(s);
    stochastic(s);
    added_token(s);
    refusals(s);
    images(s);
    gradients();
    memory_out();

    sampler_free(s);
    free(kv);
    base_model_close(m);
    parallel_stop();
    return done_testing();
}
