/* A single-file checkpoint by its tensors: lines "name 320,4,3,3", F16 zeros in a sparse file. The container's own lies are the
 * target safetensors; here names and shapes lie. */
#include "pipeline/model/single_file.h"
#include "tests/fuzz/support/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEADER_MOST = 1 << 18, DATA_MOST = 1 << 28, LINE_MOST = 200 };

struct header {
    char text[HEADER_MOST];
    size_t n, data;
};

/* One entry, if the line is one and fits. */
static void add(struct header *h, const char *line)
{
    char name[LINE_MOST], shape[80] = "";
    size_t bytes = 2;
    int dims = 0;
    if (sscanf(line, "%199[A-Za-z0-9_.] %79[0-9,]", name, shape) < 1 || h->n > HEADER_MOST - 600)
        return;
    for (char *s = shape; *s; dims++) {
        char *end;
        unsigned long dim = strtoul(s, &end, 10);
        if (end == s || dim > 1 << 16 || (bytes *= dim) > DATA_MOST || dims == STORED_RANK) return;
        s = end + (*end == ',' && end[1]);
        if (*s == ',') return;
    }
    if (h->data + bytes > DATA_MOST) return;
    h->n += (size_t)sprintf(
        h->text + h->n, "%s\"%s\":{\"dtype\":\"F16\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
        h->n > 1 ? "," : "", name, shape, h->data, h->data + bytes);
    h->data += bytes;
}

/* Views lie inside the map and are as long as their shape says. */
static void look(const struct single_file *f)
{
    for (int c = 0; c < ORIGINAL_COMPONENTS; c++)
        for (size_t i = 0; i < f->part[c].n; i++) {
            const struct stored *t = &f->part[c].tensor[i];
            must((size_t)stored_count(t) * 2 == t->bytes);
        }
    must(f->shape.unet.levels >= 1 && f->shape.unet.levels <= CONFIG_LEVELS);
    must(f->shape.vae.levels >= 1 && f->shape.vae.levels <= CONFIG_LEVELS);
    must(f->shape.text.layers >= 1 && f->shape.text.hidden % f->shape.text.heads == 0);
    must(f->prediction_by && f->shape.unet.sample_size > 0);
    for (int i = 0; i < f->shape.unet.levels; i++)
        must(f->shape.unet.channels[i] % f->shape.unet.norm_groups == 0 &&
             f->shape.unet.depth[i] > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct header h;
    struct fuzz_part part = {data, n};
    struct single_file *f;
    struct err e = {0};
    char *text = fuzz_text(part), *rest = text;
    h.n = h.data = 0;
    h.text[h.n++] = '{';
    for (char *line; (line = strsep(&rest, "\n"));) add(&h, line);
    h.text[h.n++] = '}';
    free(text);
    uint64_t length = h.n;
    uint8_t *all = malloc(8 + h.n);
    memcpy(all, &length, 8);
    memcpy(all + 8, h.text, h.n);
    const char *path = fuzz_file("x.safetensors", (struct fuzz_part){all, 8 + h.n});
    free(all);
    if (truncate(path, (off_t)(8 + h.n + h.data))) return 0;
    enum code rc = single_file_open(&f, path, &e);
    if (rc) fuzz_refused(rc, &e);
    else look(f);
    if (!rc) single_file_close(f);
    return 0;
}
