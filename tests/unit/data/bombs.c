/* Small files that ask for much memory: refused by what they declare, before anything is decoded. Each is read by a process
 * that may have 48 MB more than it has, so taking the memory would be seen as another error. */
#include "base/file.h"
#include "pipeline/data/image.h"
#include "tests/tap.h"
#include "tests/unit/data/support/encode.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include <stdio.h>

#include <jpeglib.h>

enum { MORE = 48 << 20 };

static void put(struct bytes *b, const void *data, size_t n)
{
    b->data = realloc(b->data, b->n + n);
    memcpy(b->data + b->n, data, n);
    b->n += n;
}

static void be32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t crc(const uint8_t *p, size_t n)
{
    uint32_t c = 0xffffffffu;
    while (n--) {
        c ^= *p++;
        for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
    }
    return ~c;
}

/* says: the length that the chunk claims. */
static void chunk(struct bytes *png, const char *name, const void *data, size_t n, uint32_t says)
{
    uint8_t head[8], tail[4], all[64] = {0};
    be32(head, says);
    memcpy(head + 4, name, 4);
    memcpy(all, name, 4);
    memcpy(all + 4, data, n);
    be32(tail, crc(all, n + 4));
    put(png, head, 8);
    put(png, data, n);
    put(png, tail, 4);
}

static struct bytes png(uint32_t w, uint32_t h, const char *extra, uint32_t extra_says)
{
    struct bytes b = {0};
    uint8_t header[13] = {[8] = 8, [9] = 2};
    be32(header, w);
    be32(header + 4, h);
    put(&b, "\x89PNG\r\n\x1a\n", 8);
    chunk(&b, "IHDR", header, 13, 13);
    if (extra) chunk(&b, extra, "abcd", 4, extra_says);
    chunk(&b, "IDAT", "abcd", 4, 4);
    chunk(&b, "IEND", "", 0, 0);
    return b;
}

/* A sound little JPEG whose frame header is told another size. */
static struct bytes jpeg(int w, int h)
{
    static const uint8_t grey[64] = {0};
    struct bytes b = jpeg_make(&(struct jpeg_wish){
        .w = 8, .h = 8, .channels = 1, .space = JCS_GRAYSCALE, .file = JCS_GRAYSCALE, .in = grey});
    for (size_t i = 0; i + 9 < b.n; i++)
        if (b.data[i] == 0xff && b.data[i + 1] == 0xc0) {
            b.data[i + 5] = (uint8_t)(h >> 8);
            b.data[i + 6] = (uint8_t)h;
            b.data[i + 7] = (uint8_t)(w >> 8);
            b.data[i + 8] = (uint8_t)w;
            break;
        }
    return b;
}

/* Lossless: 14 bits each of width - 1 and height - 1 behind the signature byte. */
static struct bytes webp(uint32_t w, uint32_t h)
{
    static const uint8_t rgb[12] = {1, 2, 3, 200, 2, 3, 1, 200, 3, 1, 2, 200};
    struct bytes b = webp_make(rgb, 2, 2, 3);
    uint32_t bits = (w - 1) | (h - 1) << 14;
    for (int i = 0; i < 4; i++) b.data[21 + i] = (uint8_t)(bits >> 8 * i);
    return b;
}

/* In a child with little room: did it end in this refusal? */
static int refused(struct bytes b, const char *part)
{
    struct image im;
    struct err e = {0};
    long pages = 0;
    int status = 0;
    pid_t child = fork();
    if (!child) {
        FILE *f = fopen("/proc/self/statm", "r");
        if (!f || fscanf(f, "%ld", &pages) != 1) _exit(2);
        fclose(f);
        rlim_t room = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + MORE;
        if (setrlimit(RLIMIT_AS, &(struct rlimit){room, room})) _exit(3);
        enum code rc = image_decode(b.data, b.n, "bomb", &im, NULL, &e);
        if (rc == ERR_INPUT && strstr(e.text, part)) _exit(0);
        printf("#   %s: %s\n", err_name(rc), e.text);
        fflush(stdout);
        _exit(1);
    }
    waitpid(child, &status, 0);
    free(b.data);
    return WIFEXITED(status) && !WEXITSTATUS(status);
}

int main(void)
{
#ifdef __SANITIZE_ADDRESS__
    return skip_all("the address sanitizer needs more address space than a bomb");
#endif
    fflush(stdout);
    ok(refused(png(30000, 30000, NULL, 0), "bomb says it is 30000x30000; at most"),
       "a PNG of 900 million pixels");
    ok(refused(png(0x7fffffff, 1, NULL, 0), "bomb says it is 2147483647x1; at most"),
       "a PNG of one line without end");
    ok(refused(png(8, 8, "eXIf", 0x7ffffff0), "bomb is truncated after"),
       "a PNG with a chunk of two gigabytes");
    ok(refused(png(8, 8, "zTXt", 0x7ffffff0), "bomb is truncated after"), "or a text of that size");
    ok(refused(png(8, 8, "PLTE", 0x7ffffff0), "bomb is truncated after"), "or a palette");
    ok(refused(jpeg(65500, 65500), "bomb says it is 65500x65500; at most"),
       "a JPEG of four billion pixels");
    ok(refused(jpeg(32000, 32000), "bomb says it is 32000x32000; at most"),
       "a JPEG of a billion pixels");
    ok(refused(webp(16383, 16383), "bomb says it is 16383x16383; at most"),
       "a WebP of 268 million pixels");
    return done_testing();
}
