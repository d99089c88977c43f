/* Files of every kind become the squares that Pillow makes of them, within 1 of 255 in every channel: see make_pictures.py. */
#include "base/file.h"
#include "pipeline/data/image.h"
#include "tests/tap.h"

#define FOLDER "tests/unit/data/pictures/"
#define FILE_BYTES (1u << 20)

/* The worst distance of a file's square to want, or 999. */
static int apart(const char *name, int side, const uint8_t *want)
{
    char path[300];
    struct image im;
    struct err e;
    int worst = 0;
    snprintf(path, sizeof path, FOLDER "%s", name);
    if (image_read(path, &im, NULL, &e) || image_square(&im, side, &e)) {
        note("%s", e.text);
        image_fini(&im);
        return 999;
    }
    for (int i = 0; i < side * side * 3; i++) {
        int d = abs((int)im.rgb[i] - (int)want[i]);
        if (d > worst) worst = d;
    }
    image_fini(&im);
    return worst;
}

int main(void)
{
    struct bytes list, want;
    struct err e;
    size_t at = 0;
    int n = 0, exact = 0;
    if (!is_code(file_read(FOLDER "list.txt", FILE_BYTES, &list, &e), OK, &e, "the list is read") ||
        !is_code(file_read(FOLDER "expected.rgb", FILE_BYTES, &want, &e), OK, &e, "and the pixels"))
        return done_testing();
    for (char *rest = (char *)list.data, *line; (line = strtok_r(rest, "\n", &rest));) {
        char name[100];
        int side = 0;
        if (sscanf(line, "%99s %d", name, &side) != 2) break;
        size_t bytes = (size_t)side * (size_t)side * 3;
        if (at + bytes > want.n) break;
        int worst = apart(name, side, want.data + at);
        ok(worst <= 1, "%s becomes what Pillow makes of it: %d of 255 apart at worst", name, worst);
        exact += !worst;
        at += bytes;
        n++;
    }
    ok(n >= 70 && at == want.n, "all of them were looked at: %d, %d of them equal to the byte", n,
       exact);
    free(list.data);
    free(want.data);
    return done_testing();
}
