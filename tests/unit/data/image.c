/* image.c - what is read, how it comes out, and what is refused with which line. */
#include "pipeline/data/image.h"
#include "base/file.h"
#include "tests/tap.h"
#include "tests/unit/data/support/encode.h"

#include <png.h>
#include <stdio.h>

#include <jpeglib.h>

enum { W = 3, H = 2 };

/* Six pixels that differ from each other far beyond what a JPEG loses. */
static const uint8_t colours[W * H * 3] = {250, 10,  10, 10,  240, 10,  10,  10,  245,
                                           240, 240, 10, 240, 10,  240, 128, 128, 128};

static struct bytes png_rgb(int exif)
{
    return png_make(&(struct png_wish){
        .w = W, .h = H, .color = 2, .depth = 8, .rows = colours, .row_bytes = 9, .exif = exif});
}

/* Decodes and frees b; the worst distance to want, or 999. */
static int apart(struct bytes b, const uint8_t *want, int w, int h, struct image_info *info,
                 const char *name)
{
    struct image im;
    struct err e;
    enum code rc = image_decode(b.data, b.n, name, &im, info, &e);
    int worst = 0;
    free(b.data);
    if (rc) {
        printf("#   %s\n", e.text);
        return 999;
    }
    if (im.w != w || im.h != h) worst = 998;
    else
        for (int i = 0; i < w * h * 3; i++) {
            int d = abs((int)im.rgb[i] - (int)want[i]);
            if (d > worst) worst = d;
        }
    image_fini(&im);
    return worst;
}

static int refused(struct bytes b, const char *name, const char *line)
{
    struct image im = {(uint8_t *)1, 1, 1};
    struct err e = {0};
    enum code rc = image_decode(b.data, b.n, name, &im, NULL, &e);
    int held = rc == ERR_INPUT && !im.rgb && !strcmp(e.text, line);
    if (!held) printf("#   %s: %s\n", err_name(rc), e.text);
    free(b.data);
    return held;
}

static struct bytes literal(const char *s, size_t n)
{
    struct bytes b = {malloc(n + 1), n};
    memcpy(b.data, s, n);
    return b;
}

static void png_kinds(void)
{
    struct image_info info;
    ok(apart(png_rgb(0), colours, W, H, &info, "a.png") == 0, "a PNG of RGB comes out as it is");
    is_str(info.format, "PNG", "and is called a PNG");
    ok(!info.rotated && !info.had_alpha && !info.had_16_bit && !info.was_grey,
       "and nothing was done to it");

    struct png_wish p = {.w = W, .h = H, .color = 2, .depth = 8, .rows = colours, .row_bytes = 9};
    p.gamma = 1.0;
    ok(apart(png_make(&p), colours, W, H, &info, "a.png") == 0, "gamma is ignored");
    p.interlaced = 1;
    ok(apart(png_make(&p), colours, W, H, &info, "a.png") == 0,
       "an interlaced PNG comes out as it is");

    static const uint8_t rgba[2 * 4] = {200, 100, 0, 255, 200, 100, 0, 51};
    static const uint8_t on_white[6] = {200, 100, 0, 244, 224, 204};
    p = (struct png_wish){.w = 2, .h = 1, .color = 6, .depth = 8, .rows = rgba, .row_bytes = 8};
    ok(apart(png_make(&p), on_white, 2, 1, &info, "a.png") == 0, "alpha is laid on white");
    ok(info.had_alpha, "and said");

    static const uint8_t deep[2 * 6] = {0xff, 0xff, 0x80, 0x00, 0x7f, 0x80,
                                        0x00, 0x80, 0x00, 0x81, 0x01, 0x00};
    static const uint8_t shallow[6] = {255, 128, 127, 0, 0, 1};
    p = (struct png_wish){.w = 2, .h = 1, .color = 2, .depth = 16, .rows = deep, .row_bytes = 12};
    ok(apart(png_make(&p), shallow, 2, 1, &info, "a.png") == 0, "of 16 bits the upper 8 are taken");
    ok(info.had_16_bit, "and said");

    static const uint8_t grey[3] = {0, 77, 255}, grey_rgb[9] = {0, 0, 0, 77, 77, 77, 255, 255, 255};
    p = (struct png_wish){.w = 3, .h = 1, .color = 0, .depth = 8, .rows = grey, .row_bytes = 3};
    ok(apart(png_make(&p), grey_rgb, 3, 1, &info, "a.png") == 0, "grey becomes RGB");
    ok(info.was_grey, "and is said");
    static const uint8_t bits[1] = {0xa0}, bits_rgb[9] = {255, 255, 255, 0, 0, 0, 255, 255, 255};
    p = (struct png_wish){.w = 3, .h = 1, .color = 0, .depth = 1, .rows = bits, .row_bytes = 1};
    ok(apart(png_make(&p), bits_rgb, 3, 1, &info, "a.png") == 0,
       "a PNG of one bit a pixel is read");
    static const uint8_t grey_alpha[4] = {100, 255, 100, 0},
                         grey_white[6] = {100, 100, 100, 255, 255, 255};
    p = (struct png_wish){
        .w = 2, .h = 1, .color = 4, .depth = 8, .rows = grey_alpha, .row_bytes = 4};
    ok(apart(png_make(&p), grey_white, 2, 1, &info, "a.png") == 0,
       "grey with alpha is laid on white");

    static const uint8_t index[3] = {2, 0, 1}, palette[9] = {1, 2, 3, 40, 50, 60, 250, 251, 252},
                         clear[1] = {0};
    static const uint8_t painted[9] = {250, 251, 252, 1, 2, 3, 40, 50, 60};
    static const uint8_t painted_clear[9] = {250, 251, 252, 255, 255, 255, 40, 50, 60};
    p = (struct png_wish){.w = 3,
                          .h = 1,
                          .color = 3,
                          .depth = 8,
                          .rows = index,
                          .row_bytes = 3,
                          .palette = palette,
                          .n_palette = 3};
    ok(apart(png_make(&p), painted, 3, 1, &info, "a.png") == 0, "a palette is looked up");
    p.transparent = clear;
    p.n_transparent = 1;
    ok(apart(png_make(&p), painted_clear, 3, 1, &info, "a.png") == 0,
       "a transparent palette entry is white");
}

static void jpeg_kinds(void)
{
    struct image_info info;
    struct jpeg_wish j = {
        .w = W, .h = H, .channels = 3, .space = JCS_RGB, .file = JCS_YCbCr, .in = colours};
    ok(apart(jpeg_make(&j), colours, W, H, &info, "a.jpg") <= 6,
       "a JPEG comes out near what went in");
    is_str(info.format, "JPEG", "and is called a JPEG");
    j.progressive = 1;
    ok(apart(jpeg_make(&j), colours, W, H, &info, "a.jpg") <= 6, "so does a progressive one");
    ok(apart(jpeg_make(&j), colours, W, H, &info, "a.png") <= 6, "whatever its name says");

    static const uint8_t grey[2] = {10, 200}, grey_rgb[6] = {10, 10, 10, 200, 200, 200};
    j = (struct jpeg_wish){
        .w = 2, .h = 1, .channels = 1, .space = JCS_GRAYSCALE, .file = JCS_GRAYSCALE, .in = grey};
    ok(apart(jpeg_make(&j), grey_rgb, 2, 1, &info, "a.jpg") <= 2 && info.was_grey,
       "a grey JPEG becomes RGB");

    /* Cyan ink full, no black; then half black alone. As Adobe writes them: 255 - ink. */
    static const uint8_t adobe[8] = {0, 255, 255, 255, 255, 255, 255, 127};
    static const uint8_t want[6] = {0, 255, 255, 127, 127, 127};
    j = (struct jpeg_wish){
        .w = 2, .h = 1, .channels = 4, .space = JCS_CMYK, .file = JCS_YCCK, .in = adobe};
    ok(apart(jpeg_make(&j), want, 2, 1, &info, "a.jpg") <= 6 && info.was_cmyk,
       "a YCCK JPEG of Adobe is converted");
    j.file = JCS_CMYK;
    ok(apart(jpeg_make(&j), want, 2, 1, &info, "a.jpg") <= 4,
       "a CMYK JPEG with Adobe's marker is light, not ink");
    j.no_adobe = 1;
    ok(apart(jpeg_make(&j), want, 2, 1, &info, "a.jpg") <= 4, "and so is one without it");
}

static void webp_kinds(void)
{
    struct image_info info;
    ok(apart(webp_make(colours, W, H, 3), colours, W, H, &info, "a.webp") == 0,
       "a lossless WebP comes out as it is");
    is_str(info.format, "WebP", "and is called a WebP");
    static const uint8_t rgba[2 * 4] = {200, 100, 0, 255, 200, 100, 0, 51};
    static const uint8_t on_white[6] = {200, 100, 0, 244, 224, 204};
    ok(apart(webp_make(rgba, 2, 1, 4), on_white, 2, 1, &info, "a.webp") == 0 && info.had_alpha,
       "alpha of a WebP is laid on white");
    ok(refused(webp_extend(webp_make(colours, W, H, 3), W, H, 0, 1), "a.webp",
               "a.webp is an animation; save one of its pictures as PNG or JPEG"),
       "an animated WebP is refused");
}

/* What a camera must have stored so that the upright image is `colours`: the inverse of each orientation. */
static void stored(int orientation, uint8_t *out, int *w, int *h)
{
    *w = orientation > 4 ? H : W;
    *h = orientation > 4 ? W : H;
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            int mx = W - 1 - x, my = H - 1 - y;
            int at[9][2] = {{0, 0}, {x, y},  {mx, y},  {mx, my}, {x, my},
                            {y, x}, {y, mx}, {my, mx}, {my, x}};
            memcpy(out + (at[orientation][1] * *w + at[orientation][0]) * 3,
                   colours + (y * W + x) * 3, 3);
        }
}

static void orientations(void)
{
    struct image_info info;
    for (int o = 1; o <= 8; o++) {
        uint8_t in[W * H * 3];
        int w, h;
        stored(o, in, &w, &h);
        struct jpeg_wish j = {.w = w,
                              .h = h,
                              .channels = 3,
                              .space = JCS_RGB,
                              .file = JCS_YCbCr,
                              .exif = o,
                              .in = in};
        ok(apart(jpeg_make(&j), colours, W, H, &info, "a.jpg") <= 6 && info.rotated == (o > 1),
           "a JPEG of orientation %d stands upright", o);
        struct png_wish p = {.w = w,
                             .h = h,
                             .color = 2,
                             .depth = 8,
                             .rows = in,
                             .row_bytes = (size_t)w * 3,
                             .exif = o};
        ok(apart(png_make(&p), colours, W, H, &info, "a.png") == 0,
           "a PNG of orientation %d stands upright", o);
        ok(apart(webp_extend(webp_make(in, w, h, 3), w, h, o, 0), colours, W, H, &info, "a.webp") ==
               0,
           "a WebP of orientation %d stands upright", o);
    }
    ok(apart(png_rgb(9), colours, W, H, &info, "a.png") == 0,
       "an orientation that does not exist changes nothing");
}

/* Every proper beginning of a file is refused as truncated or as no image, and nothing crashes. */
static void beginnings(struct bytes b, const char *name)
{
    int wrong = 0;
    for (size_t n = 0; n < b.n; n++) {
        uint8_t *cut = malloc(n ? n : 1);
        struct image im;
        struct err e = {0};
        char line[200];
        memcpy(cut, b.data, n);
        if (n)
            snprintf(line, sizeof line, "%s is truncated after %zu bytes; export it again", name,
                     n);
        else snprintf(line, sizeof line, "%s is empty; export it again", name);
        if (image_decode(cut, n, name, &im, NULL, &e) != ERR_INPUT || strcmp(e.text, line) != 0) {
            if (!wrong++) printf("#   at %zu of %zu: %s\n", n, b.n, e.text);
            image_fini(&im);
        }
        free(cut);
    }
    is_int(wrong, 0, "%s is refused at each of %zu lengths", name, b.n);
    free(b.data);
}

/* One byte turned over anywhere: an image or one line, never a crash. */
static void damages(struct bytes b, const char *name)
{
    size_t refusals = 0;
    for (size_t i = 0; i < b.n; i++)
        for (int bit = 0; bit < 8; bit += 3) {
            struct image im;
            struct err e = {0};
            b.data[i] ^= (uint8_t)(1 << bit);
            refusals += image_decode(b.data, b.n, name, &im, NULL, &e) != OK;
            b.data[i] ^= (uint8_t)(1 << bit);
            image_fini(&im);
        }
    ok(refusals > 0, "%s survives a bit turned over anywhere (%zu refusals)", name, refusals);
    free(b.data);
}

static void broken_files(void)
{
    static uint8_t noise[40 * 30 * 3];
    for (size_t i = 0; i < sizeof noise; i++) noise[i] = (uint8_t)(i * i * 7 + i / 90);
    struct jpeg_wish j = {.w = 40,
                          .h = 30,
                          .channels = 3,
                          .space = JCS_RGB,
                          .file = JCS_YCbCr,
                          .in = noise,
                          .quality = 60};
    beginnings(png_rgb(6), "rex.png");
    beginnings(jpeg_make(&j), "rex.jpg");
    damages(jpeg_make(&j), "rex.jpg");
    j.progressive = 1;
    beginnings(jpeg_make(&j), "progressive.jpg");
    beginnings(webp_make(noise, 12, 9, 3), "rex.webp");
    beginnings(webp_extend(webp_make(colours, W, H, 3), W, H, 6, 0), "extended.webp");
    damages(png_rgb(6), "rex.png");
    damages(webp_extend(webp_make(colours, W, H, 3), W, H, 6, 0), "rex.webp");
}

static void put_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t crc(const uint8_t *p, size_t n)
{
    uint32_t c = ~0u;
    while (n--) {
        c ^= *p++;
        for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
    }
    return ~c;
}

static void sizes(void)
{
    static const struct {
        uint32_t w, h;
        const char *says;
    } huge[] = {{1000000, 1000000, "1000000x1000000"},
                {32769, 1, "32769x1"},
                {20000, 20000, "20000x20000"},
                {0x7fffffff, 0x7fffffff, "2147483647x2147483647"}};
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++) {
        struct bytes b = png_rgb(0);
        char line[200];
        put_u32(b.data + 16, huge[i].w);
        put_u32(b.data + 20, huge[i].h);
        put_u32(b.data + 29, crc(b.data + 12, 17));
        snprintf(line, sizeof line,
                 "a.png says it is %s; at most 32768 pixels a side and 100 million in all are "
                 "read: make it smaller",
                 huge[i].says);
        ok(refused(b, "a.png", line), "a tiny PNG that says it is %s is refused unread",
           huge[i].says);
    }
    struct jpeg_wish j = {
        .w = W, .h = H, .channels = 3, .space = JCS_RGB, .file = JCS_YCbCr, .in = colours};
    struct bytes b = jpeg_make(&j);
    for (size_t i = 0; i + 8 < b.n; i++)
        if (b.data[i] == 0xff && b.data[i + 1] == 0xc0) memset(b.data + i + 5, 0xfe, 4);
    ok(refused(b, "a.jpg",
               "a.jpg says it is 65278x65278; at most 32768 pixels a side and 100 million in all "
               "are read: make it "
               "smaller"),
       "so is a JPEG");
}

static void strangers(void)
{
    ok(refused(literal("", 0), "a.png", "a.png is empty; export it again"),
       "an empty file is refused");
    ok(refused(literal("hello there", 11), "a.png", "a.png is not a PNG, JPEG or WebP image"),
       "a text is refused");
    ok(refused(literal("GIF89a..........", 16), "a.gif",
               "a.gif is GIF, which is not read here; save it as PNG or JPEG"),
       "a GIF is named");
    ok(refused(literal("\0\0\0\x18"
                       "ftypheic....",
                       16),
               "IMG_7.HEIC", "IMG_7.HEIC is HEIC, which is not read here; save it as PNG or JPEG"),
       "a HEIC is named");
    ok(refused(literal("RIFF\x04\0\0\0WAVE", 12), "a.webp",
               "a.webp is not a PNG, JPEG or WebP image"),
       "another RIFF file is refused");
}

static void writing(void)
{
    struct image im = {malloc(sizeof colours), W, H}, back;
    const char *const text[] = {
        "prompt", "a <rex> dog, caf\xc3\xa9", "json", "{\"v\":\"\xe7\x8c\xab\"}", "tab", "a\tb",
        NULL};
    struct bytes a, b;
    struct err e;
    char path[300];
    memcpy(im.rgb, colours, sizeof colours);
    is_code(image_encode_png(&im, text, &a, &e), OK, &e, "a PNG is written");
    is_code(image_encode_png(&im, text, &b, &e), OK, &e, "and again");
    ok(a.n == b.n && !memcmp(a.data, b.data, a.n), "with the same bytes");
    ok(memmem(a.data, a.n, "tEXtprompt\0a <rex> dog, caf\xe9", 28) != NULL,
       "a text that Latin-1 can hold is tEXt");
    ok(memmem(a.data, a.n, "iTXtjson\0\0\0\0\0{\"v\":\"\xe7\x8c\xab\"}", 24) != NULL,
       "another is iTXt in UTF-8");
    ok(memmem(a.data, a.n, "iTXttab\0\0\0\0\0a\tb", 15) != NULL,
       "control characters have no place in tEXt");
    free(b.data);
    ok(apart(a, colours, W, H, NULL, "a.png") == 0, "and reads back as it was");
    snprintf(path, sizeof path, "%s/a.jpg", tap_folder());
    is_code(image_write_png(path, &im, NULL, &e), OK, &e, "a PNG is written to a file");
    is_code(image_read(path, &back, NULL, &e), OK, &e, "and read, whatever its name says");
    image_fini(&back);
    is_code(image_read(tap_folder(), &back, NULL, &e), ERR_INPUT, &e, "a folder is no image");
    is_code(image_read("/nowhere/a.png", &back, NULL, &e), ERR_NOT_FOUND, &e,
            "a missing file is not found");
    image_fini(&im);
}

int main(void)
{
    png_kinds();
    jpeg_kinds();
    webp_kinds();
    orientations();
    sizes();
    strangers();
    writing();
    broken_files();
    return done_testing();
}
