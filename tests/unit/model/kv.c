/* kv: which matrices concepts live in, in which order, and their values from a checkpoint. */
#include "pipeline/model/kv.h"
#include "tests/unit/model/support/files.h"

static struct err e;

static void sd15(void)
{
    static const char *const names[] = {
        "down_blocks.0.attentions.0", "down_blocks.0.attentions.1", "down_blocks.1.attentions.0",
        "down_blocks.1.attentions.1", "down_blocks.2.attentions.0", "down_blocks.2.attentions.1",
        "mid_block.attentions.0",     "up_blocks.1.attentions.0",   "up_blocks.1.attentions.1",
        "up_blocks.1.attentions.2",   "up_blocks.2.attentions.0",   "up_blocks.2.attentions.1",
        "up_blocks.2.attentions.2",   "up_blocks.3.attentions.0",   "up_blocks.3.attentions.1",
        "up_blocks.3.attentions.2"};
    struct unet_config c;
    struct kv_layout l;
    size_t offset = 0;
    int in_order = 1, chained = 1;
    config_read_unet(text_file("u.json", "{\"cross_attention_dim\":768}"), &c, &e);
    is_code(kv_layout_make(&l, &c, &e), OK, &e, "the layout of SD 1.5");
    is_int(l.n, 32, "has 32 matrices");
    is_int(l.n_weights, 19169280, "and 19,169,280 weights");
    for (int i = 0; i < l.n; i++) {
        char want[160];
        const struct kv_matrix *m = &l.matrix[i];
        snprintf(want, sizeof want, "%s.transformer_blocks.0.attn2.to_%c.weight", names[i / 2],
                 i % 2 ? 'v' : 'k');
        in_order &= !strcmp(m->name, want) && m->layer == i / 2 && m->is_v == i % 2;
        chained &= m->offset == offset && m->cols == 768;
        offset += (size_t)(m->rows * m->cols);
    }
    ok(in_order, "K then V of each layer, in order of use: down, mid, up");
    ok(chained && offset == l.n_weights, "each begins where the one before it ends");
    ok(l.matrix[0].rows == 320 && l.matrix[12].rows == 1280 && l.matrix[31].rows == 320,
       "as wide as their level");
    kv_layout_free(&l);
    kv_layout_free(&l);
    arena_fail_after(1);
    is_code(kv_layout_make(&l, &c, &e), ERR_NOMEM, &e, "no memory is said");
}

static void depths_and_uneven_layers(void)
{
    struct unet_config c;
    struct kv_layout l;
    config_read_unet(
        text_file("u.json",
                  "{\"block_out_channels\":[32,64],\"layers_per_block\":[1,2],"
                  "\"transformer_layers_per_block\":[1,3],\"cross_attention_dim\":10,"
                  "\"down_block_types\":[\"CrossAttnDownBlock2D\",\"CrossAttnDownBlock2D\"],"
                  "\"up_block_types\":[\"CrossAttnUpBlock2D\",\"CrossAttnUpBlock2D\"]}"),
        &c, &e);
    is_code(kv_layout_make(&l, &c, &e), OK, &e, "levels with their own depth and number of layers");
    is_int(l.n, 2 * (1 * 1 + 2 * 3 + 3 + 3 * 3 + 2 * 1),
           "down 1 and 2x3, mid 3, up 3x3 (the deepest first) and 2");
    is_str(l.matrix[2 * 10].name, "up_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight",
           "up 0 is the deepest");
    is_int(l.matrix[2 * 10].rows, 64, "and as wide");
    is_str(l.matrix[2 * 12].name, "up_blocks.0.attentions.0.transformer_blocks.2.attn2.to_k.weight",
           "its third block");
    kv_layout_free(&l);
}

static void values(const char *golden_case)
{
    char path[200];
    struct unet_config c;
    struct kv_layout l;
    struct weights *w;
    snprintf(path, sizeof path, "tests/golden/%s/model/unet/config.json", golden_case);
    if (!is_code(config_read_unet(path, &c, &e), OK, &e, "%s", path)) return;
    snprintf(path, sizeof path, "tests/golden/%s/model/unet", golden_case);
    if (!is_code(weights_open(&w, path, "diffusion_pytorch_model", &e), OK, &e, "%s", path)) return;
    kv_layout_make(&l, &c, &e);
    float *got = calloc(l.n_weights, sizeof *got);
    is_code(kv_read(&l, w, got, &e), OK, &e, "its K and V are read");
    int same = 1;
    for (int i = 0; i < l.n; i++) {
        const struct kv_matrix *m = &l.matrix[i];
        const float *want = weights_float(w, m->name, m->rows * m->cols, &e);
        same &= want && !memcmp(want, got + m->offset, (size_t)(m->rows * m->cols) * sizeof *want);
    }
    ok(same, "each lies at its offset");
    l.matrix[3].rows++;
    is_code(kv_read(&l, w, got, &e), ERR_INPUT, &e, "a matrix of another shape is refused");
    says(e, l.matrix[3].name, "by name");
    strcpy(l.matrix[2].name, "absent.weight");
    is_code(kv_read(&l, w, got, &e), ERR_INPUT, &e, "a missing matrix is refused");
    says(e, "absent.weight is missing", "by name");
    free(got);
    kv_layout_free(&l);
    weights_close(w);
}

int main(void)
{
    sd15();
    depths_and_uneven_layers();
    values("classic");
    values("ragged");
    values("storybook");
    return done_testing();
}
