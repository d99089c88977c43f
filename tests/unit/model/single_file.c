/* single_file: the full-size checkpoints by their names and shapes, other families by theirs, what is missing or damaged. */
#include "pipeline/model/base_model.h"
#include "pipeline/model/single_file.h"
#include "tests/unit/model/support/files.h"

static struct err e;

/* ---- checkpoints of zeros, in a sparse file --------------------------------------------------------------------------- */

struct header {
    char *text;
    size_t n, room, data;
};

static void add_text(struct header *h, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add_text(struct header *h, const char *fmt, ...)
{
    va_list args;
    if (h->room - h->n < 2048) h->text = realloc(h->text, h->room = 2 * h->room + 4096);
    va_start(args, fmt);
    h->n += (size_t)vsnprintf(h->text + h->n, h->room - h->n, fmt, args);
    va_end(args);
}

/* shape: "320,4,3,3"; "-" or "": a scalar. F16. */
static void add_tensor(struct header *h, const char *name, const char *shape)
{
    size_t bytes = 2;
    if (*shape == '-') shape = "";
    for (const char *s = shape; *s; s += strcspn(s, ","), s += *s == ',')
        bytes *= strtoul(s, NULL, 10);
    add_text(h, "%s\"%s\":{\"dtype\":\"F16\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
             h->n ? "," : "", name, shape, h->data, h->data + bytes);
    h->data += bytes;
}

/* Frees the header. */
static char *sparse_file(const char *name, struct header *h)
{
    char *path = inside(name);
    uint64_t n = h->n + 2;
    FILE *f = fopen(path, "wb");
    fwrite(&n, 8, 1, f);
    fprintf(f, "{%s}", h->text ? h->text : "");
    fclose(f);
    if (truncate(path, (off_t)(8 + n + h->data))) printf("# cannot make %s\n", path);
    free(h->text);
    *h = (struct header){0};
    return path;
}

/* Changes to a listing: the tensor `name` has another shape; NULL: it is left out. The first NULL name ends the list. */
struct edit {
    const char *name, *shape;
};

static char *listed_file(const char *listing, const char *name, const struct edit *edit,
                         const char *more)
{
    char path[200], line[400], tensor[200], known[200], shape[64];
    struct header h = {0};
    snprintf(path, sizeof path, "tests/golden/original/%s.txt", listing);
    FILE *f = fopen(path, "r");
    if (more) add_text(&h, "%s", more);
    while (f && fgets(line, sizeof line, f)) {
        const struct edit *x = edit;
        if (sscanf(line, "%199s %199s %63s", tensor, known, shape) != 3) continue;
        while (x && x->name && strcmp(x->name, tensor) != 0) x++;
        if (x && x->name && !x->shape) continue;
        add_tensor(&h, tensor, x && x->name ? x->shape : shape);
    }
    if (f) fclose(f);
    return sparse_file(name, &h);
}

/* ---- the genuine ones ------------------------------------------------------------------------------------------------- */

static void names_are_those_of_diffusers(const char *listing, int open_clip)
{
    struct original_layout l = {4, 2, 4, open_clip};
    char path[200], line[400], tensor[200], want[200];
    int wrong = 0, n = 0;
    snprintf(path, sizeof path, "tests/golden/original/%s.txt", listing);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        struct original_name name;
        if (sscanf(line, "%199s %199s", tensor, want) != 2) continue;
        int known = original_name_read(&l, tensor, &name),
            is_last = !!strstr(tensor, "resblocks.23.");
        int right = *want == '-' ? !known || is_last : known && !strcmp(name.name, want);
        if (!right) printf("# %s -> %s, want %s\n", tensor, known ? name.name : "-", want);
        wrong += !right;
        n++;
    }
    if (f) fclose(f);
    ok(n > 1100 && !wrong, "all %d names of %s are what diffusers makes of them", n, listing);
}

static void same_unet(const struct unet_config *c, const char *json)
{
    struct unet_config w;
    if (!is_code(config_read_unet(text_file("want.json", json), &w, &e), OK, &e, "a config.json"))
        return;
    ok(c->levels == w.levels && !memcmp(c->channels, w.channels, sizeof w.channels) &&
           !memcmp(c->layers, w.layers, sizeof w.layers) &&
           !memcmp(c->heads, w.heads, sizeof w.heads) &&
           !memcmp(c->depth, w.depth, sizeof w.depth) &&
           !memcmp(c->down_attention, w.down_attention, sizeof w.down_attention) &&
           !memcmp(c->up_attention, w.up_attention, sizeof w.up_attention),
       "is what levels, widths, layers, heads and depths the file is found to have");
    ok(c->sample_size == w.sample_size && c->in_channels == w.in_channels &&
           c->out_channels == w.out_channels && c->cross_attention_dim == w.cross_attention_dim &&
           c->norm_groups == w.norm_groups && c->norm_eps == w.norm_eps &&
           c->linear_projection == w.linear_projection && c->flip_sin_to_cos == w.flip_sin_to_cos &&
           c->freq_shift == w.freq_shift && c->downsample_padding == w.downsample_padding,
       "and all the rest");
}

static void usual_vae(const struct vae_config *c)
{
    ok(c->levels == 4 && c->channels[0] == 128 && c->channels[1] == 256 && c->channels[2] == 512 &&
           c->channels[3] == 512 && c->layers == 2 && c->norm_groups == 32 &&
           c->latent_channels == 4 && c->in_channels == 3 && c->out_channels == 3 &&
           c->mid_attention && c->quant_conv && c->post_quant_conv &&
           c->scaling_factor == 0.18215f && c->shift_factor == 0,
       "the VAE is that of all of them");
}

static int parts_are(const struct single_file *f, size_t unet, size_t vae, size_t text)
{
    return f->part[ORIGINAL_UNET].n == unet && f->part[ORIGINAL_VAE].n == vae &&
           f->part[ORIGINAL_TEXT].n == text;
}

static void sd15(void)
{
    struct single_file *f;
    names_are_those_of_diffusers("sd15", 0);
    char *path = listed_file("sd15", "sd15.safetensors", NULL, NULL);
    if (!is_code(single_file_open(&f, path, &e), OK, &e, "SD 1.5 as one file opens")) return;
    same_unet(&f->shape.unet, "{\"cross_attention_dim\":768}");
    usual_vae(&f->shape.vae);
    const struct clip_text_config *t = &f->shape.text;
    ok(t->vocab == 49408 && t->hidden == 768 && t->intermediate == 3072 && t->layers == 12 &&
           t->heads == 12 && t->positions == 77 && t->act == CLIP_QUICK_GELU && t->eps == 1e-5f,
       "the text encoder is CLIP-L");
    const struct schedule_config *s = &f->schedule;
    ok(s->prediction == PREDICT_EPSILON && s->train_steps == 1000 && s->beta_start == 0.00085 &&
           s->beta_end == 0.012 && s->scaled_linear && s->steps_offset == 1 && !s->set_alpha_to_one,
       "it predicts noise, with the constants of the family");
    ok(parts_are(f, 686, 248, 196), "686, 248 and 196 tensors are read");
    single_file_close(f);
}

static void sd21(void)
{
    struct single_file *f;
    names_are_those_of_diffusers("sd21", 1);
    char *path = listed_file("sd21", "sd21.safetensors", NULL, NULL);
    if (!is_code(single_file_open(&f, path, &e), OK, &e, "SD 2.1 as one file opens")) return;
    same_unet(&f->shape.unet, "{\"cross_attention_dim\":1024,\"attention_head_dim\":[5,10,20,20],"
                              "\"use_linear_projection\":true}");
    usual_vae(&f->shape.vae);
    const struct clip_text_config *t = &f->shape.text;
    ok(t->vocab == 49408 && t->hidden == 1024 && t->intermediate == 4096 && t->layers == 23 &&
           t->heads == 16 && t->positions == 77 && t->act == CLIP_GELU && t->eps == 1e-5f,
       "the text encoder is OpenCLIP-H, of which 23 layers are read");
    ok(parts_are(f, 686, 248, 372), "686, 248 and 372 tensors are read");
    const struct stored *q = NULL, *v = NULL;
    for (size_t i = 0; i < f->part[ORIGINAL_TEXT].n; i++) {
        const struct stored *x = &f->part[ORIGINAL_TEXT].tensor[i];
        if (strstr(x->name, "layers.7.self_attn.q_proj.weight")) q = x;
        if (strstr(x->name, "layers.7.self_attn.v_proj.weight")) v = x;
    }
    ok(q && v && q->rank == 2 && q->dim[0] == 1024 && q->dim[1] == 1024 &&
           v->data == q->data + 2 * q->bytes && q->bytes == 2 * 1024 * 1024,
       "q, k and v lie one after the other where in_proj lies in the map");
    ok(f->schedule.prediction == PREDICT_EPSILON &&
           !strncmp(f->prediction_by, "judged: output_blocks.11.1.", 27),
       "biases of zeros mean noise, and that was judged");
    single_file_close(f);
    static const struct edit last[] = {{"cond_stage_model.model.text_projection", NULL},
                                       {NULL, NULL}};
    path = listed_file("sd21", "sd21.safetensors", last, NULL);
    if (is_code(single_file_open(&f, path, &e), OK, &e, "without text_projection")) {
        is_int(f->shape.text.layers, 23, "the 24th layer is left out all the same");
        single_file_close(f);
    }
}

/* ---- what it predicts ------------------------------------------------------------------------------------------------- */

static void predicts(const char *path, enum prediction want, const char *by)
{
    struct single_file *f;
    if (!is_code(single_file_open(&f, path, &e), OK, &e, "the file opens")) return;
    ok(f->schedule.prediction == want, "and predicts %s", want == PREDICT_V ? "v" : "noise");
    if (!ok(strstr(f->prediction_by, by) != NULL, "as %s says", by))
        printf("#   it is said to be '%s'\n", f->prediction_by);
    is_int(f->shape.unet.sample_size, want == PREDICT_V ? 96 : 64, "in pictures of its family");
    single_file_close(f);
}

static void says_what_it_predicts(void)
{
    static const char *const v = "\"__metadata__\":{\"modelspec.prediction_type\":\"v\"}",
                             *const other =
                                 "\"__metadata__\":{\"modelspec.prediction_type\":\"x0\"}";
    struct single_file *f;
    char path[1024];
    snprintf(path, sizeof path, "%s", listed_file("sd21", "v.safetensors", NULL, v));
    predicts(path, PREDICT_V, "modelspec.prediction_type");
    text_file("v.scheduler_config.json",
              "{\"prediction_type\":\"epsilon\",\"beta_schedule\":\"scaled_linear\"}");
    predicts(path, PREDICT_V, "modelspec.prediction_type");
    listed_file("sd21", "v.safetensors", NULL, NULL);
    text_file("v.scheduler_config.json", "{\"prediction_type\":\"v_prediction\"}");
    predicts(path, PREDICT_V, "v.scheduler_config.json");
    text_file("v.scheduler_config.json", "{\"prediction_type\":\"sample\"}");
    is_code(single_file_open(&f, path, &e), ERR_INPUT, &e,
            "a scheduler that is not computed is refused");
    run_shell("cd '%s' && rm v.scheduler_config.json && mkdir scheduler", tap_folder());
    text_file("scheduler/scheduler_config.json", "{\"prediction_type\":\"v_prediction\"}");
    predicts(path, PREDICT_V, "scheduler/scheduler_config.json");
    run_shell("rm -r '%s/scheduler'", tap_folder());
    listed_file("sd21", "v.safetensors", NULL, other);
    is_code(single_file_open(&f, path, &e), ERR_INPUT, &e,
            "so is metadata that asks for something else");
    says(e, "modelspec.prediction_type is \"x0\"", "by name");
}

/* ---- others, and what is wrong ---------------------------------------------------------------------------------------- */

static const struct {
    const char *tensor, *says;
} families[] = {
    {"conditioner.embedders.1.model.ln_final.weight", "a Stable Diffusion XL checkpoint"},
    {"model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight", "a Stable Diffusion 3"},
    {"double_blocks.0.img_attn.qkv.weight", "a Flux checkpoint"},
    {"model.diffusion_model.double_blocks.0.img_attn.qkv.weight", "a Flux checkpoint"},
    {"control_model.input_blocks.0.0.weight", "a ControlNet"},
    {"lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight", "a LoRA"},
    {"down_blocks.0.resnets.0.conv1.weight", "the UNet of a diffusers folder"},
    {"encoder.down_blocks.0.resnets.0.conv1.weight", "the VAE of a diffusers folder"},
    {"text_model.embeddings.token_embedding.weight", "a text encoder"},
    {"something.else", "no UNet (model.diffusion_model.input_blocks.*)"},
};

#define UNET "model.diffusion_model."
static const struct {
    const char *listing, *tensor, *shape, *says;
} spoilt[] = {
    {"sd15", UNET "input_blocks.0.0.weight", "320,9,3,3", "an inpainting model (9 input channels)"},
    {"sd15", UNET "input_blocks.0.0.weight", "320,8,3,3", "an instruct-pix2pix model (8 input"},
    {"sd21", UNET "input_blocks.0.0.weight", "320,5,3,3", "a depth-to-image model (5 input"},
    {"sd15", UNET "input_blocks.0.0.weight", NULL, "input_blocks.0.0.weight is missing"},
    {"sd15", UNET "out.2.weight", NULL, "out.2.weight is missing"},
    {"sd15", UNET "input_blocks.4.0.in_layers.2.weight", NULL, "4.0.in_layers.2.weight is missing"},
    {"sd15", UNET "input_blocks.4.0.in_layers.2.weight", "650,320,3,3",
     "does not divide into 32 groups"},
    {"sd21", UNET "input_blocks.4.0.in_layers.2.weight", "672,320,3,3",
     "does not divide into heads"},
    {"sd15", UNET "input_blocks.3.0.op.weight", NULL, "input_blocks.3.0.op.bias, which Stable"},
    {"sd15", UNET "middle_block.1.proj_in.weight", NULL,
     "middle_block.1.proj_in.weight is missing"},
    {"sd15", "first_stage_model.decoder.conv_in.weight", NULL, "decoder.conv_in.weight is missing"},
    {"sd15", "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
     "49408,700", "does not divide into heads of 64"},
    {"sd21", "cond_stage_model.model.transformer.resblocks.5.attn.in_proj_weight", "3073,1024",
     "are not three equal parts"},
};

static void refuses(const char *path, const char *why, const char *what)
{
    struct single_file *f;
    is_code(single_file_open(&f, path, &e), ERR_INPUT, &e, "%s is refused", what);
    says(e, why, "  as %s", why);
}

static void refuses_others(void)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        struct header h = {0};
        add_tensor(&h, families[i].tensor, "4,4");
        refuses(sparse_file("other.safetensors", &h), families[i].says, families[i].tensor);
    }
    for (size_t i = 0; i < sizeof spoilt / sizeof *spoilt; i++) {
        struct edit x[] = {{spoilt[i].tensor, spoilt[i].shape}, {NULL, NULL}};
        refuses(listed_file(spoilt[i].listing, "spoilt.safetensors", x, NULL), spoilt[i].says,
                spoilt[i].tensor);
    }
    static const char *const more =
        "\"" UNET
        "input_blocks.1.2.weight\":{\"dtype\":\"F16\",\"shape\":[0],\"data_offsets\":[0,0]}";
    refuses(listed_file("sd15", "spoilt.safetensors", NULL, more),
            "the UNet has model.diffusion_model.input_blocks.1.2.weight, which",
            "a tensor that no UNet of the family has");
    run_shell("printf 'PK\\003\\004 and so on' > '%s'", inside("a.ckpt"));
    refuses(inside("a.ckpt"), "pickle", "a pickle");
}

/* ---- what lies beside it ---------------------------------------------------------------------------------------------- */

static void asks_for_a_tokenizer(void)
{
    struct tokenizer *t;
    char path[1024], out[1200];
    unsetenv("ENGRAM_TOKENIZER");
    snprintf(path, sizeof path, "%s", listed_file("sd21", "alone.safetensors", NULL, NULL));
    is_code(base_model_tokenizer_open(&t, path, &e), ERR_NOT_FOUND, &e,
            "a file without a tokenizer");
    says(e, "copy the tokenizer/ folder of any Stable Diffusion", "says where to get one");
    says(e, "/alone.tokenizer/ or name it by ENGRAM_TOKENIZER", "and where to put it");
    setenv("ENGRAM_TOKENIZER", inside("nowhere"), 1);
    is_code(base_model_tokenizer_open(&t, path, &e), ERR_NOT_FOUND, &e,
            "a name that leads nowhere");
    setenv("ENGRAM_TOKENIZER", "tests/golden/classic/model/tokenizer", 1);
    if (is_code(base_model_tokenizer_open(&t, path, &e), OK, &e, "ENGRAM_TOKENIZER names one")) {
        is_int(tokenizer_pad(t), tokenizer_lookup(t, "!"),
               "SD 2.x pads with ! whatever the folder says");
        tokenizer_close(t);
    }
    run_shell("cp -r tests/golden/micro/model/tokenizer '%s' && chmod -R u+w '%s'",
              inside("tokenizer"), inside("tokenizer"));
    setenv("ENGRAM_TOKENIZER", inside("nowhere"), 1);
    is_code(base_model_tokenizer_open(&t, path, &e), OK, &e,
            "tokenizer/ beside the file comes before it");
    tokenizer_close(t);
    run_shell("mkdir '%s'", inside("alone.tokenizer"));
    is_code(base_model_tokenizer_open(&t, path, &e), ERR_NOT_FOUND, &e,
            "the file's own folder comes first");
    says(e, "alone.tokenizer/merges.txt is missing", "and must be whole");
    unsetenv("ENGRAM_TOKENIZER");
    snprintf(path, sizeof path, "%s", listed_file("sd15", "first.safetensors", NULL, NULL));
    if (is_code(base_model_tokenizer_open(&t, path, &e), OK, &e, "a tokenizer for SD 1.x")) {
        is_int(tokenizer_pad(t), tokenizer_end(t), "pads with its end token");
        tokenizer_close(t);
    }
    base_model_clip_path(path, out, sizeof out, &e);
    ok(strstr(out, "/first.clip") && strlen(strstr(out, "/first.clip")) == 11,
       "the CLIP lies in first.clip/");
    base_model_clip_path("some/model", out, sizeof out, &e);
    is_str(out, "some/model/clip", "and in clip/ of a folder");
    setenv("ENGRAM_CLIP", "elsewhere", 1);
    base_model_clip_path(path, out, sizeof out, &e);
    is_str(out, "elsewhere", "unless ENGRAM_CLIP names another");
    unsetenv("ENGRAM_CLIP");
}

/* Sets one float of a tensor of a file. */
static void spoil_value(const char *path, const char *tensor, size_t element, float v)
{
    struct bytes b;
    struct safetensors *s = NULL;
    const struct stored *t;
    if (file_read(path, 1 << 24, &b, &e) || safetensors_parse(&s, b.data, b.n, path, &e) ||
        !(t = safetensors_find(s, tensor)))
        printf("# cannot spoil %s: %s\n", tensor, e.text);
    else memcpy(b.data + (t->data - b.data) + element * sizeof v, &v, sizeof v);
    safetensors_close(s);
    if (file_write(path, b.data, b.n, &e)) printf("# %s\n", e.text);
    free(b.data);
}

static void finds_damage(void)
{
    struct base_model *m;
    char path[1024];
    snprintf(path, sizeof path, "%s", inside("micro.safetensors"));
    run_shell("cp tests/golden/original/micro.safetensors '%s' && cp -r tests/golden/micro/model "
              "'%s/micro.config' && "
              "rm -rf '%s/tokenizer' && cp -r tests/golden/micro/model/tokenizer '%s'",
              path, tap_folder(), tap_folder(), tap_folder());
    if (!is_code(base_model_open(&m, path, &e), OK, &e, "a small file opens")) return;
    is_code(base_model_check(m, &e), OK, &e, "and is sound");
    base_model_close(m);
    spoil_value(path, "first_stage_model.decoder.mid.attn_1.q.weight", 5, NAN);
    is_code(base_model_open(&m, path, &e), OK, &e, "with one NaN it still opens");
    is_code(base_model_check(m, &e), ERR_CORRUPT, &e, "but the check reads every value");
    says(e, "vae: decoder.mid_block.attentions.0.to_q.weight holds a NaN at element 5",
         "and says which");
    base_model_close(m);
    spoil_value(path, "first_stage_model.decoder.mid.attn_1.q.weight", 5, 0.5f);
    spoil_value(path, "model_ema.diffusion_modelinput_blocks00bias", 1, NAN);
    is_code(base_model_open(&m, path, &e), OK, &e, "what is not read");
    is_code(base_model_check(m, &e), OK, &e, "may hold anything");
    base_model_close(m);
}

static void checks_shapes(void)
{
    struct base_model *m;
    char *dir = folder_copy("micro", "shapes"), path[1200];
    struct bytes b;
    snprintf(path, sizeof path, "%s/unet/diffusion_pytorch_model.safetensors", dir);
    if (file_read(path, 1 << 24, &b, &e)) return;
    char *at = memmem(b.data, b.n, "[8,8,3,3]", 9);
    /* As many values in another shape: the container cannot object. */
    if (at) memcpy(at, "[72,8,1]", 8), at[8] = ' ';
    if (file_write(path, b.data, b.n, &e)) printf("# %s\n", e.text);
    free(b.data);
    is_code(base_model_open(&m, dir, &e), OK, &e,
            "a folder with one tensor in another shape opens");
    is_code(base_model_check(m, &e), ERR_INPUT, &e, "the check builds every network of it");
    says(e, "is [72, 8, 1], expected [8, 8, 3, 3]", "and says what was expected");
    base_model_close(m);
    dir = folder_copy("micro", "shapes");
    snprintf(path, sizeof path, "%s/unet/diffusion_pytorch_model.safetensors", dir);
    if (file_read(path, 1 << 24, &b, &e)) return;
    at = memmem(b.data, b.n, "attn2.to_k", 10);
    if (at) at[9] = 'x';
    if (file_write(path, b.data, b.n, &e)) printf("# %s\n", e.text);
    free(b.data);
    is_code(base_model_open(&m, dir, &e), OK, &e, "without one of the concepts' matrices");
    is_code(base_model_check(m, &e), ERR_INPUT, &e, "it is refused");
    says(e, "attn2.to_k.weight is missing", "by name");
    base_model_close(m);
    struct clip_model *c;
    is_code(clip_model_open(&c, "tests/golden/classic/model/clip", &e), OK, &e, "a CLIP opens");
    is_code(clip_model_check(c, &e), OK, &e, "and is checked likewise");
    clip_model_close(c);
}

static void survives_no_memory(void)
{
    enum code rc = ERR_NOMEM;
    long n, tried = 0;
    for (n = 1; n < 20000 && rc == ERR_NOMEM; n += 1 + n / 20) {
        struct base_model *m = NULL;
        arena_fail_after(n);
        rc = base_model_open(&m, inside("micro.safetensors"), &e);
        arena_fail_after(0);
        base_model_close(m);
        tried++;
    }
    is_code(rc, OK, &e, "%ld of %ld allocations failed: out of memory, nothing lost", tried, n);
}

int main(void)
{
    sd15();
    sd21();
    says_what_it_predicts();
    refuses_others();
    asks_for_a_tokenizer();
    finds_damage();
    checks_shapes();
    survives_no_memory();
    return done_testing();
}
