/* clip.c - CLIP features as evaluation uses them: of length 1, each alone, and those of the parts once normalised. */
#include "pipeline/model/networks.h"
#include "pipeline/model/runner.h"
#include "tests/tap.h"

enum { P = 12, S = 32, LENGTH = 77 };

static double length_of(const float *x)
{
    double sum = 0;
    for (int i = 0; i < P; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

static double cosine(const float *a, const float *b)
{
    double sum = 0;
    for (int i = 0; i < P; i++) sum += (double)a[i] * (double)b[i];
    return sum / length_of(a) / length_of(b);
}

/* Runs a graph of one output once. */
static void run(struct graph *g, struct value out, struct value in, const void *data,
                struct value in2, const void *data2, float *result)
{
    struct exec *x;
    struct err e;
    graph_keep(g, out);
    if (!is_code(exec_open(&x, g, kernels_cpu(), &e), OK, &e, "a graph of our own")) return;
    exec_bind(x, in, data);
    if (value_is(in2)) exec_bind(x, in2, data2);
    is_code(exec_run(x, &e), OK, &e, "runs");
    memcpy(result, exec_data(x, out), P * sizeof *result);
    exec_close(x);
}

static void texts(const struct clip_model *m)
{
    const char *const text[] = {"a drawing of a dog", "snow"};
    float two[2 * P], one[P], bare[P] = {0};
    struct err e;
    is_code(clip_text_features(m, kernels_cpu(), text, 2, two, &e), OK, &e, "two texts");
    is_code(clip_text_features(m, kernels_cpu(), text + 1, 1, one, &e), OK, &e, "one text");
    ok(memcmp(two + P, one, sizeof one) == 0, "a text does not depend on its neighbours");
    near(length_of(two), 1, 1e-6, "its feature has length 1");

    struct encoded info;
    struct graph *g;
    int32_t ids[LENGTH];
    is_code(tokenizer_encode(m->tokenizer, text[0], ids, LENGTH, &info, &e), OK, &e, "its ids");
    int32_t at = info.end;
    is_int(ids[at], tokenizer_end(m->tokenizer), "end where the tokenizer says");
    graph_make(&g, &e);
    struct value in = graph_input(g, "ids", DTYPE_I32, SHAPE(1, LENGTH));
    struct value end = graph_input(g, "end", DTYPE_I32, SHAPE(1));
    struct value hidden = clip_text_build(g, &m->text, m->weights, in, VALUE_NONE);
    run(g, clip_text_feature(g, &m->text, m->weights, hidden, end), in, ids, end, &at, bare);
    near(cosine(two, bare), 1, 1e-6, "and the direction of the projection");
}

static void images(const struct clip_model *m)
{
    static const double mean[3] = {0.48145466, 0.4578275, 0.40821073};
    static const double std[3] = {0.26862954, 0.26130258, 0.27577711};
    static uint8_t rgb[2 * S * S * 3];
    static float pixels[S * S * 3];
    float two[2 * P], one[P], bare[P] = {0};
    struct err e;
    for (size_t i = 0; i < sizeof rgb; i++) rgb[i] = (uint8_t)(i * i / 5 % 256);
    is_code(clip_image_features(m, kernels_cpu(), rgb, 2, two, &e), OK, &e, "two images");
    is_code(clip_image_features(m, kernels_cpu(), rgb + S * S * 3, 1, one, &e), OK, &e, "one");
    ok(memcmp(two + P, one, sizeof one) == 0, "an image does not depend on its neighbours");
    near(length_of(two), 1, 1e-6, "its feature has length 1");

    struct graph *g;
    for (int i = 0; i < S * S * 3; i++)
        pixels[i] = (float)((rgb[i] / 255.0 - mean[i % 3]) / std[i % 3]);
    graph_make(&g, &e);
    struct value in = graph_input(g, "pixels", DTYPE_F32, SHAPE(1, S, S, 3));
    run(g, clip_vision_build(g, &m->vision, m->weights, in), in, pixels, VALUE_NONE, NULL, bare);
    near(cosine(two, bare), 1, 1e-6,
         "and the direction of the projection of its normalised pixels");
}

int main(void)
{
    struct clip_model *m;
    struct err e;
    if (!is_code(clip_model_open(&m, "tests/golden/classic/model/clip", &e), OK, &e,
                 "opens a CLIP"))
        return done_testing();
    is_int(m->vision.projection, P, "projects to %d", P);
    texts(m);
    images(m);
    clip_model_close(m);
    return done_testing();
}
