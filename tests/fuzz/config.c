/* The JSON files of a model. The first byte says which: u UNet, v VAE, t text encoder, c both halves of a CLIP and, as a
 * second part, its preprocessor, s schedule, m model_index.json, i an index of shards, one of which is there. */
#include "pipeline/model/base_model.h"
#include "pipeline/model/safetensors.h"
#include "tests/fuzz/support/fuzz.h"

#include <string.h>

static enum code read_unet(const char *path, struct err *e)
{
    struct unet_config c;
    enum code rc = config_read_unet(path, &c, e);
    for (int i = 0; !rc && i < c.levels; i++)
        must(c.channels[i] > 0 && c.norm_groups > 0 && c.channels[i] % c.norm_groups == 0);
    must(rc || (c.levels >= 1 && c.levels <= CONFIG_LEVELS));
    return rc;
}

static enum code read_vae(const char *path, struct err *e)
{
    struct vae_config c;
    enum code rc = config_read_vae(path, &c, e);
    must(rc || (c.levels >= 1 && c.levels <= CONFIG_LEVELS && vae_factor(&c) >= 1));
    return rc;
}

static enum code read_text(const char *path, struct err *e)
{
    struct clip_text_config c;
    enum code rc = config_read_clip_text(path, &c, e);
    must(rc || (c.heads > 0 && c.hidden % c.heads == 0 && c.positions > 0 && c.vocab > 0));
    return rc;
}

static enum code read_clip(const char *path, struct err *e)
{
    struct clip_text_config t;
    struct clip_vision_config v;
    enum code rc = config_read_clip(path, &t, &v, e);
    must(rc || (v.patch > 0 && v.image_size % v.patch == 0 && v.heads > 0));
    for (int i = 0; !rc && i < 3; i++) must(v.std[i] > 0);
    return rc;
}

/* What was read makes a table of noise or is refused there. */
static enum code read_schedule(const char *path, struct err *e)
{
    struct schedule_config c;
    struct schedule s = {0};
    enum code rc = config_read_schedule(path, &c, e);
    if (rc) return rc;
    rc = schedule_make(&s, &c, e);
    if (!rc) schedule_free(&s);
    return rc;
}

static enum code read_index(const char *path, struct err *e)
{
    struct base_model *m;
    (void)path;
    enum code rc = base_model_open(&m, fuzz_folder(), e);
    must(rc); /* nothing else is there */
    return rc;
}

static enum code read_shards(const char *path, struct err *e)
{
    static const char shard[] =
        "\x38\0\0\0\0\0\0\0"
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}   x";
    struct weights *w;
    (void)path;
    fuzz_file("one.safetensors", (struct fuzz_part){(const uint8_t *)shard, sizeof shard - 1});
    enum code rc = weights_open(&w, fuzz_folder(), "model", e);
    if (!rc) {
        must(weights_find(w, "a"));
        weights_close(w);
    }
    return rc;
}

static const struct {
    uint8_t first;
    const char *file;
    enum code (*read)(const char *path, struct err *e);
} kinds[] = {
    {'u', "unet.json", read_unet},
    {'v', "vae.json", read_vae},
    {'t', "text.json", read_text},
    {'c', "clip.json", read_clip},
    {'s', "schedule.json", read_schedule},
    {'m', "model_index.json", read_index},
    {'i', "model.safetensors.index.json", read_shards},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_part part[2];
    struct err e = {0};
    for (size_t i = 0; n && i < sizeof kinds / sizeof *kinds; i++) {
        if (data[0] != kinds[i].first) continue;
        fuzz_split(data + 1, n - 1, part, 2);
        const char *path = fuzz_file(kinds[i].file, part[0]);
        fuzz_file("preprocessor_config.json", part[1]);
        enum code rc = kinds[i].read(path, &e);
        if (rc) fuzz_refused(rc, &e);
    }
    return 0;
}
