/* resize.c - bicubic against Pillow to the last bit and against the formula in double; CLIP's crop. */
#include "base/hash.h"
#include "pipeline/data/image.h"
#include "tests/tap.h"

#include "tests/unit/data/resize_golden.h"

static struct image source(int w, int h)
{
    uint32_t s = (uint32_t)w * 65537u + (uint32_t)h;
    struct image im = {malloc((size_t)w * (size_t)h * 3), w, h};
    for (size_t i = 0; i < (size_t)w * (size_t)h * 3; i++) {
        s = s * 1664525u + 1013904223u;
        im.rgb[i] = (uint8_t)(s >> 24);
    }
    return im;
}

static int same_as_golden(const struct image *im, const struct golden *g)
{
    char text[HASH_TEXT];
    size_t n = (size_t)im->w * (size_t)im->h * 3;
    if (im->w != g->to_w || im->h != g->to_h) return 0;
    for (int i = 0; i < g->n; i++)
        if (im->rgb[i] != g->pixel[i])
            printf("#   byte %d: got %d, want %d\n", i, im->rgb[i], g->pixel[i]);
    return !strcmp(hash_text(hash_bytes(im->rgb, n), text), g->hash);
}

static double cubic(double x)
{
    x = fabs(x);
    return x < 1   ? 1.5 * x * x * x - 2.5 * x * x + 1
           : x < 2 ? -0.5 * x * x * x + 2.5 * x * x - 4 * x + 2
                   : 0;
}

/* One axis in double: n lines of `in` values, `stride` apart. */
static void axis_double(const double *from, double *to, int in, int out, int lines, int from_line,
                        int to_line, int from_step, int to_step)
{
    double scale = (double)in / out, stretch = scale > 1 ? scale : 1;
    for (int l = 0; l < lines; l++)
        for (int o = 0; o < out; o++) {
            double sum = 0, total = 0, centre = (o + 0.5) * scale;
            for (int i = 0; i < in; i++) {
                if (fabs(i + 0.5 - centre) >= 2 * stretch) continue;
                double weight = cubic((i + 0.5 - centre) / stretch);
                sum += weight * from[l * from_line + i * from_step];
                total += weight;
            }
            to[l * to_line + o * to_step] = sum / total;
        }
}

/* Worst difference to the formula, in 1/255. The rows are clipped between the passes, as 8 bits are. */
static double apart_from_double(int w, int h, int to_w, int to_h)
{
    struct image im = source(w, h);
    double *a = calloc((size_t)w * (size_t)h, sizeof *a),
           *b = calloc((size_t)to_w * (size_t)h, sizeof *b);
    double *c = calloc((size_t)to_w * (size_t)to_h, sizeof *c), worst = 0;
    double *want = calloc((size_t)to_w * (size_t)to_h * 3, sizeof *want);
    for (int ch = 0; ch < 3; ch++) {
        for (int i = 0; i < w * h; i++) a[i] = im.rgb[3 * i + ch];
        axis_double(a, b, w, to_w, h, w, to_w, 1, 1);
        for (int i = 0; i < to_w * h; i++) b[i] = fmin(255, fmax(0, b[i]));
        axis_double(b, c, h, to_h, to_w, 1, 1, to_w, to_w);
        for (int i = 0; i < to_w * to_h; i++) want[3 * i + ch] = fmin(255, fmax(0, c[i]));
    }
    if (image_resize(&im, to_w, to_h, NULL)) worst = 999;
    else
        for (int i = 0; i < to_w * to_h * 3; i++) worst = fmax(worst, fabs(im.rgb[i] - want[i]));
    image_fini(&im);
    free(a), free(b), free(c), free(want);
    return worst;
}

static void golden_values(void)
{
    struct err e;
    for (size_t i = 0; i < sizeof resizes / sizeof *resizes; i++) {
        const struct golden *g = &resizes[i];
        struct image im = source(g->w, g->h);
        is_code(image_resize(&im, g->to_w, g->to_h, &e), OK, &e, "%dx%d is resized", g->w, g->h);
        ok(same_as_golden(&im, g), "%dx%d to %dx%d has Pillow's bytes", g->w, g->h, g->to_w,
           g->to_h);
        image_fini(&im);
    }
    for (size_t i = 0; i < sizeof squares / sizeof *squares; i++) {
        const struct golden *g = &squares[i];
        struct image im = source(g->w, g->h);
        is_code(image_square(&im, g->to_w, &e), OK, &e, "%dx%d is squared", g->w, g->h);
        ok(same_as_golden(&im, g), "%dx%d as a square of %d has Pillow's bytes", g->w, g->h,
           g->to_w);
        image_fini(&im);
    }
}

int main(void)
{
    struct err e;
    golden_values();
    /* Rounding twice to 8 bits: half a step in each pass, the first one weighed by a sum of |weights| below 1.3. */
    static const int sizes[][4] = {
        {40, 30, 17, 11}, {17, 11, 40, 30}, {31, 1, 7, 1}, {3, 50, 3, 5}, {64, 64, 63, 65}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int *s = sizes[i];
        near(apart_from_double(s[0], s[1], s[2], s[3]), 0, 1.2,
             "%dx%d to %dx%d agrees with the formula in double", s[0], s[1], s[2], s[3]);
    }
    struct image im = source(12, 9), same = source(12, 9);
    image_resize(&im, 12, 9, &e);
    ok(!memcmp(im.rgb, same.rgb, 12 * 9 * 3), "the same size keeps every byte");
    is_code(image_resize(&im, 0, 9, &e), ERR_INPUT, &e, "a width of nothing is refused");
    is_code(image_square(&im, -1, &e), ERR_INPUT, &e, "a negative side is refused");
    is_int(im.w, 12, "a refusal leaves the image alone");
    image_fini(&im);
    im = source(1, 30000);
    is_code(image_square(&im, 512, &e), OK, &e,
            "a line of 1x30000 becomes a square without gigabytes");
    ok(im.w == 512 && im.h == 512, "of the side asked for");
    image_fini(&im);
    image_flip(&same);
    struct image twice = source(12, 9);
    ok(!memcmp(same.rgb, twice.rgb + 11 * 3, 3), "flipped, the right pixel stands left");
    image_flip(&same);
    ok(!memcmp(same.rgb, twice.rgb, 12 * 9 * 3), "flipped twice, all is as before");
    image_fini(&same);
    image_fini(&twice);
    return done_testing();
}
