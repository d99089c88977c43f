/* weights: which files are found, under which names tensors answer, how they are laid out, and what is refused. */
#include "pipeline/model/weights.h"
#include "tests/unit/model/support/files.h"

#define STEM "diffusion_pytorch_model"
static struct err e;

/* The bytes of a graph's parameter. */
static const float *param(const struct graph *g, struct value x)
{
    return value_is(x) ? graph_tensor(g, x)->data : NULL;
}

/* A folder with one file of the given entries. */
static char *folder_of(const char *name, const char *file, const struct stored_entry *entry,
                       size_t n)
{
    char path[2048];
    char *dir = inside(name);
    run_shell("rm -rf '%s'; mkdir -p '%s'", dir, dir);
    snprintf(path, sizeof path, "%s/%s", dir, file);
    if (safetensors_write(path, entry, n, NULL, &e)) printf("# %s\n", e.text);
    return dir;
}

static void layouts(void)
{
    float conv[2 * 3 * 2 * 2], linear[6] = {0, 1, 2, 3, 4, 5};
    uint16_t half[4] = {0x3c00, 0xc000, 0x3555, 0x0001};
    for (int i = 0; i < 24; i++) conv[i] = (float)i;
    struct stored_entry entry[] = {
        {"c.weight", STORED_F32, 4, {2, 3, 2, 2}, conv},
        {"l.weight", STORED_F32, 2, {2, 3}, linear},
        {"p.weight", STORED_F32, 4, {2, 3, 1, 1}, linear},
        {"h.weight", STORED_F16, 2, {2, 2}, half},
    };
    struct weights *w;
    struct graph *g;
    if (!is_code(weights_open(&w, folder_of("unet", STEM ".safetensors", entry, 4), STEM, &e), OK,
                 &e, "a folder opens"))
        return;
    graph_make(&g, &e);
    struct value c = weights_conv(w, g, 3, 2, 2, "%s.weight", "c"),
                 l = weights_linear(w, g, 3, 2, "l.weight");
    const float *got = param(g, c);
    int right = got != NULL;
    for (int o = 0; right && o < 2; o++)
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 4; k++)
                right &= got[(k * 3 + i) * 2 + o] == (float)((o * 3 + i) * 4 + k);
    ok(right, "[O,I,kh,kw] becomes [kh,kw,I,O]");
    ok(shape_equal(graph_shape(g, c), SHAPE(2, 2, 3, 2)), "and its shape says so");
    ok(param(g, weights_conv(w, g, 3, 2, 2, "c.weight")) == got,
       "once: the second use is the same memory");
    ok(param(g, l) && !memcmp(param(g, l), linear, sizeof linear), "a linear weight stays [O,I]");
    ok(param(g, l) == (const void *)weights_find(w, "l.weight")->data,
       "float32 is used where it lies in the map");
    ok(value_is(weights_linear(w, g, 3, 2, "p.weight")), "[O,I,1,1] is a linear weight too");
    got = param(g, weights_conv(w, g, 3, 2, 1, "l.weight"));
    ok(got && got[0] == 0 && got[1] == 3 && got[2] == 1, "[O,I] is a 1x1 convolution too");
    got = param(g, weights_param(w, g, SHAPE(2, 2), "h.weight"));
    ok(got && got[0] == 1 && got[1] == -2 && got[3] == 0x1p-24f, "halves become floats");
    is_code(graph_finish(g, &e), OK, &e, "nothing was wrong");
    ok(weights_float(w, "h.weight", 4, &e) == got, "weights_float gives the same floats");
    ok(!weights_float(w, "h.weight", 5, &e), "of the right count only");
    says(e, "unet: h.weight holds 4 values, expected 5", "and says both counts");
    graph_free(g);
    weights_close(w);
    weights_close(NULL);
}

/* A sketch promises exactly what the real thing then takes, and takes nothing itself. */
static void sketches(void)
{
    uint16_t half[36] = {0};
    float f[36] = {0};
    struct stored_entry entry[] = {{"c.weight", STORED_F16, 4, {2, 2, 3, 3}, half},
                                   {"d.weight", STORED_F32, 4, {2, 2, 3, 3}, f},
                                   {"h.weight", STORED_F16, 1, {5}, half},
                                   {"f.weight", STORED_F32, 1, {5}, f},
                                   {"unused.weight", STORED_F32, 1, {7}, f}};
    struct weights_use use[2];
    for (int sketch = 1; sketch >= 0; sketch--) {
        struct weights *w;
        struct graph *g;
        weights_open(&w, folder_of("unet", STEM ".safetensors", entry, 5), STEM, &e);
        weights_sketch(w, sketch);
        graph_make(&g, &e);
        struct value c = weights_conv(w, g, 2, 2, 3, "c.weight"),
                     h = weights_param(w, g, SHAPE(5), "h.weight");
        weights_conv(w, g, 2, 2, 3, "d.weight");
        weights_param(w, g, SHAPE(5), "f.weight");
        is_code(graph_finish(g, &e), OK, &e, "%s", sketch ? "a sketch" : "the real thing");
        ok(shape_equal(graph_shape(g, c), SHAPE(3, 3, 2, 2)) && (param(g, c) == NULL) == sketch &&
               (param(g, h) == NULL) == sketch,
           "has its shapes, and %s", sketch ? "no bytes" : "its bytes");
        weights_param(w, g, SHAPE(6), "f.weight");
        ok(graph_finish(g, &e) == ERR_INPUT, "a wrong shape is refused");
        use[sketch] = weights_use(w);
        graph_free(g);
        weights_close(w);
    }
    is_int((long long)use[0].mapped, 4 * 5, "what is read where it lies stays mapped");
    is_int((long long)use[0].converted, 4 * (36 + 36 + 5), "halves and convolutions are converted");
    ok(use[1].converted == use[0].converted && use[1].mapped == use[0].mapped,
       "as the sketch had said");
}

/* A shelf on which everything is made once, whoever asks. */
static struct {
    const void *item[64];
    int made, put;
} kept;

static enum code kept_get(struct shelf *s, const struct shelf_item *item, const void **out,
                          struct err *why)
{
    const void **here = &kept.item[item->number % 64];
    struct shelf alone = shelf_private();
    enum code rc = OK;
    (void)s;
    if (!*here && !(rc = alone.get(&alone, item, here, why))) kept.made++;
    *out = *here;
    return rc;
}

static void kept_put(struct shelf *s, const void *data)
{
    (void)s;
    kept.put += data != NULL;
}

static void shelves(void)
{
    uint16_t half[36] = {0x3c00, 0x4000};
    float f[36] = {5, 6};
    struct stored_entry entry[] = {{"c.weight", STORED_F16, 4, {2, 2, 3, 3}, half},
                                   {"d.weight", STORED_F32, 4, {2, 2, 3, 3}, f},
                                   {"f.weight", STORED_F32, 1, {5}, f},
                                   {"h.weight", STORED_F16, 1, {5}, half}};
    struct shelf shelf = {.name = "kept", .get = kept_get, .put = kept_put};
    const float *got[2][4];
    char *dir = folder_of("unet", STEM ".safetensors", entry, 4);
    for (int i = 0; i < 2; i++) {
        struct weights *w;
        struct graph *g;
        weights_open(&w, dir, STEM, &e);
        weights_shelve(w, &shelf, 16);
        graph_make(&g, &e);
        got[i][0] = param(g, weights_conv(w, g, 2, 2, 3, "c.weight"));
        got[i][1] = weights_float(w, "c.weight", 36, &e);
        got[i][2] = param(g, weights_conv(w, g, 2, 2, 3, "d.weight"));
        got[i][3] = param(g, weights_param(w, g, SHAPE(5), "h.weight"));
        weights_param(w, g, SHAPE(5), "f.weight");
        is_code(graph_finish(g, &e), OK, &e, "weights on a shelf");
        is_int((long long)weights_use(w).converted, 4 * (3 * 36 + 5), "are counted as converted");
        graph_free(g);
        weights_close(w);
    }
    is_int(kept.made, 4, "each layout of each tensor is made once for two models");
    is_int(kept.put, 8, "and put by both");
    ok(!memcmp(got[0], got[1], sizeof got[0]), "both read the same memory");
    ok(got[0][0] && got[0][0] != got[0][1] && got[0][1][1] == 2 && got[0][2][0] == 5 &&
           got[0][3][0] == 1,
       "and the layouts of a tensor do not meet");
    ok(kept.item[16] && kept.item[17] && kept.item[19] && kept.item[22],
       "under numbers that begin where they were told to");
    for (int i = 0; i < 64; i++) free((void *)(uintptr_t)kept.item[i]);
}

static void large_convolutions(void)
{
    enum { O = 37, I = 5, K = 9 };
    uint16_t half[O * I * K];
    for (int i = 0; i < O * I * K; i++) half[i] = (uint16_t)(0x3c00 + i % 997);
    struct stored_entry entry = {"c.weight", STORED_F16, 4, {O, I, 3, 3}, half};
    struct weights *w;
    struct graph *g;
    weights_open(&w, folder_of("unet", STEM ".safetensors", &entry, 1), STEM, &e);
    graph_make(&g, &e);
    const float *got = param(g, weights_conv(w, g, I, O, 3, "c.weight")),
                *flat = weights_float(w, "c.weight", O * I * K, &e);
    int right = got && flat;
    for (int o = 0; right && o < O; o++)
        for (int i = 0; i < I; i++)
            for (int k = 0; k < K; k++)
                right &= got[(k * I + i) * O + o] == flat[(o * I + i) * K + k];
    ok(right, "37 outputs (not a multiple of the block) are laid out right, from halves");
    graph_free(g);
    weights_close(w);
}

static void refused_in_graphs(void)
{
    float x[4] = {1, 2, NAN, 4}, y[4] = {1, INFINITY, 3, 4};
    uint16_t h[2] = {0x3c00, 0x7e00};
    uint32_t o[1] = {7};
    struct stored_entry entry[] = {{"n.weight", STORED_F32, 1, {4}, x},
                                   {"i.weight", STORED_F32, 4, {2, 2, 1, 1}, y},
                                   {"h.weight", STORED_F16, 1, {2}, h},
                                   {"t.weight", STORED_I32, 1, {1}, o}};
    static const char *const lines[] = {
        "unet: n.weight holds a NaN at element 2", "unet: i.weight holds an infinity at element 1",
        "unet: h.weight holds a NaN at element 1", "unet: gone.weight is missing, expected [4]",
        "unet: i.weight is [2, 2, 1, 1], expected [2, 3, 1, 1]"};
    struct weights *w;
    weights_open(&w, folder_of("unet", STEM ".safetensors", entry, 4), STEM, &e);
    for (int i = 0; i < 5; i++) {
        struct graph *g;
        graph_make(&g, &e);
        if (i == 0) weights_param(w, g, SHAPE(4), "n.weight");
        if (i == 1) weights_conv(w, g, 2, 2, 1, "i.weight");
        if (i == 2) weights_param(w, g, SHAPE(2), "h.weight");
        if (i == 3) weights_param(w, g, SHAPE(4), "gone.weight");
        if (i == 4) weights_conv(w, g, 3, 2, 1, "i.weight");
        is_code(graph_finish(g, &e), i < 3 ? ERR_CORRUPT : ERR_INPUT, &e, "refused by the graph");
        says(e, lines[i], "  %s", lines[i]);
        graph_free(g);
    }
    weights_close(w);
}

static void old_names(void)
{
    struct weights *w;
    static const char *const now[] = {"to_q", "to_k", "to_v", "to_out.0"}, *const old[] = {
                                                                               "query", "key",
                                                                               "value",
                                                                               "proj_attn"};
    if (is_code(weights_open(&w, "tests/golden/classic/model/vae", STEM, &e), OK, &e,
                "a VAE with the names of 2022")) {
        for (int i = 0; i < 4; i++) {
            char a[100], b[100];
            snprintf(a, sizeof a, "decoder.mid_block.attentions.0.%s.weight", now[i]);
            snprintf(b, sizeof b, "decoder.mid_block.attentions.0.%s.weight", old[i]);
            ok(weights_find(w, a) && weights_find(w, a) == weights_find(w, b), "%s answers to %s",
               old[i], now[i]);
        }
        weights_close(w);
    }
    if (!is_code(weights_open(&w, "tests/golden/classic/model/text_encoder", "model", &e), OK, &e,
                 "a text encoder"))
        return;
    ok(!weights_find(w, "text_model.embeddings.position_ids"), "position_ids is left out");
    ok(weights_find(w, "text_model.final_layer_norm.weight") != NULL,
       "it has the text_model level");
    ok(weights_find(w, "final_layer_norm.weight") ==
           weights_find(w, "text_model.final_layer_norm.weight"),
       "and answers without it");
    struct hash with = weights_hash(w);
    /* The same file without the level: the same answers and the same hash. */
    struct safetensors *s;
    safetensors_open(&s, "tests/golden/classic/model/text_encoder/model.safetensors", &e);
    struct stored_entry entry[100];
    size_t n = 0;
    for (size_t i = 0; i < safetensors_count(s); i++) {
        const struct stored *t = safetensors_at(s, i);
        if (strstr(t->name, "position_ids")) continue;
        entry[n] =
            (struct stored_entry){t->name + strlen("text_model."), t->dtype, t->rank, {0}, t->data};
        memcpy(entry[n++].dim, t->dim, sizeof t->dim);
    }
    char *dir = folder_of("bare", "model.safetensors", entry, n);
    safetensors_close(s);
    weights_close(w);
    if (!is_code(weights_open(&w, dir, "model", &e), OK, &e, "a text encoder without the level"))
        return;
    ok(weights_find(w, "text_model.encoder.layers.0.mlp.fc1.weight") &&
           weights_find(w, "text_model.encoder.layers.0.mlp.fc1.weight") ==
               weights_find(w, "encoder.layers.0.mlp.fc1.weight"),
       "answers to both names");
    ok(hash_equal(weights_hash(w), with),
       "and has the same hash: the name does not depend on the spelling");
    weights_close(w);
}

static void shards_and_variants(void)
{
    struct weights *w, *whole;
    struct stored_entry entry[400];
    size_t n = 0;
    if (!is_code(weights_open(&w, "tests/golden/ragged/model/unet", STEM, &e), OK, &e,
                 "four shards open by their index"))
        return;
    /* Joined into one file, the weights have the same hash. */
    struct safetensors *s[4];
    for (int f = 0; f < 4; f++) {
        char path[200];
        snprintf(path, sizeof path,
                 "tests/golden/ragged/model/unet/" STEM "-0000%d-of-00004.safetensors", f + 1);
        if (safetensors_open(&s[f], path, &e)) printf("# %s\n", e.text);
        for (size_t i = 0; i < safetensors_count(s[f]); i++) {
            const struct stored *t = safetensors_at(s[f], i);
            entry[n] = (struct stored_entry){t->name, t->dtype, t->rank, {0}, t->data};
            memcpy(entry[n++].dim, t->dim, sizeof t->dim);
        }
    }
    is_code(weights_open(&whole, folder_of("joined", STEM ".fp16.safetensors", entry, n), STEM, &e),
            OK, &e, "a folder with only the fp16 variant opens");
    ok(hash_equal(weights_hash(w), weights_hash(whole)), "shards do not matter for the hash");
    weights_close(whole);
    entry[0].data = (const uint8_t *)entry[0].data + 4;
    weights_open(&whole, folder_of("joined", STEM ".safetensors", entry, n), STEM, &e);
    ok(!hash_equal(weights_hash(w), weights_hash(whole)), "other bytes do");
    weights_close(whole);
    weights_close(w);
    for (int f = 0; f < 4; f++) safetensors_close(s[f]);
}

static void bad_folders(void)
{
    static const struct {
        const char *shard, *says;
    } evil[] = {
        {"../secret.safetensors", "only a file name beside the index"},
        {"/etc/x.safetensors", "only a file name"},
        {"a\\\\b.safetensors", "only a file name"},
        {"", "only a file name"},
        {"..", "only a file name"},
        {"gone.safetensors", "shard gone.safetensors is missing"},
    };
    struct weights *w;
    char *dir = inside("bad"), text[500];
    run_shell("mkdir -p '%s'", dir);
    is_code(weights_open(&w, dir, STEM, &e), ERR_NOT_FOUND, &e, "an empty folder");
    says(e, "no weights; expected " STEM ".safetensors", "says what is expected there");
    text_file("bad/" STEM ".non_ema.safetensors", "");
    is_code(weights_open(&w, inside("bad"), STEM, &e), ERR_NOT_FOUND, &e, "a variant alone");
    says(e, "only " STEM ".non_ema.safetensors, a variant with other values",
         "is not taken silently");
    run_shell("rm '%s'", inside("bad/" STEM ".non_ema.safetensors"));
    text_file("bad/" STEM ".bin", "PK");
    is_code(weights_open(&w, inside("bad"), STEM, &e), ERR_INPUT, &e,
            "a folder with a pickle only");
    says(e, "convert it with safetensors", "gives the way out");
    for (size_t i = 0; i < sizeof evil / sizeof *evil; i++) {
        snprintf(text, sizeof text, "{\"weight_map\":{\"a\":\"%s\"}}", evil[i].shard);
        text_file("bad/" STEM ".safetensors.index.json", text);
        is_code(weights_open(&w, inside("bad"), STEM, &e), ERR_INPUT, &e,
                "a shard named \"%s\" is refused", evil[i].shard);
        says(e, evil[i].says, "  with its reason");
    }
    text_file("bad/" STEM ".safetensors.index.json", "{}");
    is_code(weights_open(&w, inside("bad"), STEM, &e), ERR_INPUT, &e,
            "an index without weight_map is refused");
    struct stored_entry entry = {"b", STORED_U8, 1, {1}, "x"};
    if (safetensors_write(inside("bad/one.safetensors"), &entry, 1, NULL, &e))
        printf("# %s\n", e.text);
    if (safetensors_write(inside("bad/two.safetensors"), &entry, 1, NULL, &e))
        printf("# %s\n", e.text);
    text_file("bad/" STEM ".safetensors.index.json",
              "{\"weight_map\":{\"a\":\"one.safetensors\"}}");
    is_code(weights_open(&w, inside("bad"), STEM, &e), ERR_INPUT, &e,
            "a tensor that its shard lacks is refused");
    says(e, "puts a into one.safetensors, which does not hold it", "by name");
    text_file("bad/" STEM ".safetensors.index.json",
              "{\"weight_map\":{\"b\":\"one.safetensors\",\"c\":\"two.safetensors\"}}");
    ok(weights_open(&w, inside("bad"), STEM, &e) != OK, "a tensor in two shards is refused");
}

static void survives_no_memory(void)
{
    enum code rc = ERR_NOMEM;
    long n;
    for (n = 1; n < 3000 && rc == ERR_NOMEM; n++) {
        struct weights *w = NULL;
        arena_fail_after(n);
        rc = weights_open(&w, "tests/golden/storybook/model/vae", STEM, &e);
        if (!rc && !weights_float(w, "decoder.conv_in.weight", 16 * 16 * 9, &e)) rc = e.code;
        arena_fail_after(0);
        weights_close(w);
    }
    is_code(rc, OK, &e, "each of %ld allocations may fail: out of memory, nothing lost", n - 1);
}

int main(void)
{
    layouts();
    sketches();
    shelves();
    large_convolutions();
    refused_in_graphs();
    old_names();
    shards_and_variants();
    bad_folders();
    survives_no_memory();
    return done_testing();
}
