/* image_resize.c - Pillow's antialiased bicubic to the last bit, and CLIP's centre crop.
 *
 * A weight is Keys' cubic (a = -0.5), stretched by the reduction so that every source pixel counts; weights of an output
 * pixel are made in double, sum to 1, and become integers of 22 fractional bits, rounded half away from zero. First rows,
 * rounded to 8 bits, then columns (Pillow 13 turns the order round for images that grow in width and shrink in height;
 * squares never do). A crop is known before resizing, so only what stays is computed: the pixels are
 * those of the whole, and a picture of 32768 x 1 costs no more than a square one. */
#include "base/arena.h"
#include "pipeline/data/codec.h"

#include <math.h>
#include <stdlib.h>

#define FRACTION 22 /* 32 bits - 8 of the pixel - 2 for sums beyond 1 */
#define RADIUS 2.0  /* of the cubic */

struct axis {
    int in, out, from, to;
}; /* sizes; [from, to) of the output is wanted */
struct span {
    int first, n;
}; /* source pixels of one output pixel */
struct filter {
    struct span *span;
    int *weight;
    int room;
}; /* owned; room weights per output pixel */

static double cubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static void filter_fini(struct filter *f)
{
    free(f->span);
    free(f->weight);
}

static int fixed(double w)
{
    return (int)(w * (1 << FRACTION) + (w < 0 ? -0.5 : 0.5));
}

static enum code filter_init(struct filter *f, const struct axis *a, struct err *e)
{
    double scale = (double)a->in / a->out, stretch = scale < 1.0 ? 1.0 : scale,
           support = RADIUS * stretch;
    size_t n = (size_t)(a->to - a->from);
    f->room = (int)ceil(support) * 2 + 1;
    f->span = mem_alloc(n, sizeof *f->span);
    f->weight = mem_alloc(n * (size_t)f->room, sizeof *f->weight);
    double *w = mem_alloc((size_t)f->room, sizeof *w);
    if (!f->span || !f->weight || !w) {
        free(w);
        return err_set(e, ERR_NOMEM, "no memory to resize an image");
    }
    for (size_t i = 0; i < n; i++) {
        double centre = ((double)a->from + (double)i + 0.5) * scale, sum = 0;
        int first = (int)(centre - support + 0.5), end = (int)(centre + support + 0.5);
        if (first < 0) first = 0;
        if (end > a->in) end = a->in;
        for (int j = 0; j < end - first; j++)
            sum += w[j] = cubic((j + first - centre + 0.5) * (1.0 / stretch));
        for (int j = 0; j < end - first; j++)
            f->weight[i * (size_t)f->room + (size_t)j] = fixed(sum != 0.0 ? w[j] / sum : w[j]);
        f->span[i] = (struct span){first, end - first};
    }
    free(w);
    return OK;
}

static uint8_t clip8(int acc)
{
    int v = acc >> FRACTION;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* One output pixel: `step` values lie between two source pixels. */
static void weigh(const uint8_t *from, size_t step, const int *weight, int n, uint8_t *to)
{
    int r = 1 << (FRACTION - 1), g = r, b = r;
    for (int j = 0; j < n; j++, from += step) {
        r += from[0] * weight[j];
        g += from[1] * weight[j];
        b += from[2] * weight[j];
    }
    to[0] = clip8(r);
    to[1] = clip8(g);
    to[2] = clip8(b);
}

/* Rows [y0, y1) of im, columns a: out [y1-y0][to-from][3]. */
static enum code pass_rows(const struct image *im, int y0, int y1, const struct axis *a,
                           uint8_t *out, struct err *e)
{
    struct filter f = {0};
    enum code rc = filter_init(&f, a, e);
    for (int y = y0; !rc && y < y1; y++)
        for (int x = 0; x < a->to - a->from; x++, out += 3) {
            const uint8_t *row = im->rgb + (size_t)y * (size_t)im->w * 3;
            weigh(row + (size_t)f.span[x].first * 3, 3, f.weight + (size_t)x * (size_t)f.room,
                  f.span[x].n, out);
        }
    filter_fini(&f);
    return rc;
}

/* in holds w columns and the source's rows from y0 on. */
static void pass_columns(const uint8_t *in, int w, int y0, const struct filter *f, int n,
                         uint8_t *out)
{
    size_t row = (size_t)w * 3;
    for (int y = 0; y < n; y++) {
        const int *weight = f->weight + (size_t)y * (size_t)f->room;
        const uint8_t *from = in + (size_t)(f->span[y].first - y0) * row;
        for (int x = 0; x < w; x++, out += 3)
            weigh(from + (size_t)x * 3, row, weight, f->span[y].n, out);
    }
}

/* Pillow leaves an axis alone whose size does not change; with a scale of 1 the weights are 1 and 0, the same pixels. */
static enum code resize(struct image *im, const struct axis *ax, const struct axis *ay,
                        struct err *e)
{
    struct filter fy = {0};
    uint8_t *narrow = NULL, *out = NULL;
    int w = ax->to - ax->from, h = ay->to - ay->from;
    enum code rc = filter_init(&fy, ay, e);
    if (!rc) {
        int y0 = fy.span[0].first, y1 = fy.span[h - 1].first + fy.span[h - 1].n;
        narrow = mem_alloc((size_t)w * (size_t)(y1 - y0), 3);
        out = mem_alloc((size_t)w * (size_t)h, 3);
        rc = narrow && out ? pass_rows(im, y0, y1, ax, narrow, e)
                           : err_set(e, ERR_NOMEM, "no memory to resize an image to %dx%d", w, h);
        if (!rc) pass_columns(narrow, w, y0, &fy, h, out);
    }
    if (!rc) {
        free(im->rgb);
        *im = (struct image){out, w, h};
        out = NULL;
    }
    filter_fini(&fy);
    free(narrow);
    free(out);
    return rc;
}

enum code image_resize(struct image *im, int w, int h, struct err *e)
{
    if (w < 1 || h < 1 || (uint64_t)w * (uint64_t)h > IMAGE_PIXELS)
        return err_set(e, ERR_INPUT, "an image cannot be resized to %dx%d", w, h);
    return resize(im, &(struct axis){im->w, w, 0, w}, &(struct axis){im->h, h, 0, h}, e);
}

/* CLIP's own preprocessing (torchvision): the longer side is cut to an integer, the crop begins at half the excess,
 * a half rounded to even. transformers rounds that half down; the two differ where the excess is 3, 7, 11 ... */
static struct axis square_axis(int size, int shorter, int side)
{
    int whole = (int)((int64_t)side * size / shorter), excess = whole - side;
    int from = excess / 2 + (excess % 4 == 3);
    return (struct axis){size, whole, from, from + side};
}

enum code image_square(struct image *im, int side, struct err *e)
{
    if (side < 1 || (uint64_t)side * (uint64_t)side > IMAGE_PIXELS)
        return err_set(e, ERR_INPUT, "an image cannot be made a square of %d", side);
    int shorter = im->w < im->h ? im->w : im->h;
    struct axis x = square_axis(im->w, shorter, side), y = square_axis(im->h, shorter, side);
    return resize(im, &x, &y, e);
}
