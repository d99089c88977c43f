/* Exports of the golden models: the base comes back by its name, W_m comes back bit for bit, all else is the base's bytes. */
#include "pipeline/model/original_names.h"
#include "tests/unit/exchange/support/study.h"

#include <jansson.h>

static const char *const CASES[] = {"classic", "ragged", "micro", "storybook"};
static const char *const TOKENS[] = {"<rex>", "<con>", "<.a>", "<-a>"};
static struct err e;

static char *golden(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "tests/golden/%s/model", name);
    return path;
}

static json_t *json_in(const char *path)
{
    json_t *j = json_load_file(inside(path), 0, NULL);
    if (!j) printf("# no JSON: %s\n", path);
    return j;
}

static int same_bytes(const struct stored *a, const struct stored *b)
{
    return a && b && a->dtype == b->dtype && a->bytes == b->bytes &&
           !memcmp(a->data, b->data, a->bytes);
}

/* As it is written by default: W_m is F32. */
static int same_floats(const struct stored *t, const float *want, size_t n)
{
    return t && t->dtype == STORED_F32 && t->bytes == n * sizeof(float) &&
           !memcmp(t->data, want, t->bytes);
}

static const struct kv_matrix *kv_named(const struct study *s, const char *name)
{
    for (int i = 0; i < s->model->kv.n; i++)
        if (!strcmp(s->model->kv.matrix[i].name, name)) return &s->model->kv.matrix[i];
    return NULL;
}

/* ---- the base comes back --------------------------------------------------------------------------------------------- */

static void base_comes_back(const char *name)
{
    struct study s;
    struct base_model *m;
    study_open(&s, golden(name), 0, NULL);
    is_code(study_export(&s, "w0", diffusers_plan, &e), OK, &e, "%s: exported without concepts",
            name);
    if (is_code(base_model_open(&m, inside("w0/diffusers"), &e), OK, &e, "%s: it opens", name))
        ok(hash_equal(m->hash, s.model->hash), "%s: it has the base's name", name);
    base_model_close(m);
    study_close(&s);
}

static void base_is_widened(const char *name)
{
    struct study s;
    struct base_model *m;
    study_open(&s, golden(name), 0, NULL);
    s.x.dtype = STORED_F32;
    is_code(study_export(&s, "wide", diffusers_plan, &e), OK, &e, "%s: exported in fp32", name);
    if (is_code(base_model_open(&m, inside("wide/diffusers"), &e), OK, &e, "%s: it opens", name)) {
        float *w = malloc(m->kv.n_weights * sizeof *w);
        is_code(kv_read(&m->kv, m->unet_weights, w, &e), OK, &e, "%s: its K and V are read", name);
        ok(!memcmp(w, s.w0, m->kv.n_weights * sizeof *w), "%s: and are W_0", name);
        free(w);
    }
    base_model_close(m);
    study_close(&s);
}

/* ---- a lineage ------------------------------------------------------------------------------------------------------- */

static void unet_is_w_m(const struct study *s, const char *name)
{
    struct weights *w;
    const char *tensor;
    size_t wrong = 0, kv = 0;
    if (!is_code(weights_open(&w, inside("wm/diffusers/unet"), "diffusion_pytorch_model", &e), OK,
                 &e, "%s: the UNet opens", name))
        return;
    is_int(weights_count(w), weights_count(s->model->unet_weights), "%s: with all tensors", name);
    for (size_t i = 0; i < weights_count(w); i++) {
        const struct stored *t = weights_at(w, i, &tensor);
        const struct kv_matrix *m = kv_named(s, tensor);
        kv += m != NULL;
        wrong += m ? !same_floats(t, s->state.kv + m->offset, (size_t)(m->rows * m->cols))
                   : !same_bytes(t, weights_find(s->model->unet_weights, tensor));
    }
    is_int(kv, s->model->kv.n, "%s: K and V among them", name);
    is_int(wrong, 0, "%s: K and V are W_m's bytes, all others the base's", name);
    weights_close(w);
}

static void text_has_rows(const struct study *s, const char *name)
{
    static const char table[] = "text_model.embeddings.token_embedding.weight";
    struct weights *w;
    const char *tensor;
    size_t wrong = 0;
    int64_t D = s->model->text.hidden, V = s->model->text.vocab, n = s->state.n;
    if (!is_code(weights_open(&w, inside("wm/diffusers/text_encoder"), "model", &e), OK, &e,
                 "%s: the text encoder opens", name))
        return;
    for (size_t i = 0; i < weights_count(w); i++) {
        const struct stored *t = weights_at(w, i, &tensor);
        if (strcmp(tensor, table) != 0)
            wrong += !same_bytes(t, weights_find(s->model->text_weights, tensor));
    }
    is_int(wrong, 0, "%s: all but its table are the base's bytes", name);
    const struct stored *t = weights_find(w, table),
                        *old = weights_find(s->model->text_weights, table);
    float *want = malloc((size_t)((V + n) * D) * sizeof *want);
    stored_to_float(old, want, &e);
    memcpy(want + V * D, s->state.rows, (size_t)(n * D) * sizeof *want);
    ok(t->dim[0] == V + n && same_floats(t, want, (size_t)((V + n) * D)),
       "%s: the table is the base's and below it the new rows", name);
    free(want);
    json_t *j = json_in("wm/diffusers/text_encoder/config.json");
    is_int(json_integer_value(json_object_get(j, "vocab_size")), V + n, "%s: config.json says so",
           name);
    json_decref(j);
    weights_close(w);
}

static void tokenizer_knows(const struct study *s, const char *name)
{
    json_t *added = json_in("wm/diffusers/tokenizer/added_tokens.json"),
           *config = json_in("wm/diffusers/tokenizer/tokenizer_config.json"),
           *index = json_in("wm/diffusers/model_index.json");
    int V = tokenizer_vocab(s->model->tokenizer), wrong = 0;
    for (int i = 0; i < s->state.n; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", V + i);
        const json_t *t = json_object_get(json_object_get(config, "added_tokens_decoder"), id);
        const char *content = json_string_value(json_object_get(t, "content"));
        wrong += json_integer_value(json_object_get(added, TOKENS[i])) != V + i || !content ||
                 strcmp(content, TOKENS[i]) != 0 ||
                 !json_is_false(json_object_get(t, "normalized"));
    }
    is_int(wrong, 0, "%s: the tokenizer has the tokens in order", name);
    is_str(json_string_value(json_object_get(config, "pad_token")),
           tokenizer_piece(s->model->tokenizer, tokenizer_pad(s->model->tokenizer)),
           "%s: its pad token is the one that counts", name);
    ok(json_is_null(json_array_get(json_object_get(index, "safety_checker"), 1)),
       "%s: the pipeline has no safety checker and says so", name);
    json_decref(added);
    json_decref(config);
    json_decref(index);
}

/* A folder becomes one file in original names, and that, without the folder's own configurations but for those that no
 * checkpoint holds, becomes a folder again: one name through all of it. */
static void goes_round(const char *folder)
{
    struct study s;
    struct base_model *m;
    char command[2000], file[512];
    snprintf(file, sizeof file, "%.400s/pets.safetensors", inside("round"));
    study_open(&s, folder, 0, NULL);
    struct hash name = s.model->hash;
    is_code(study_export(&s, "round", single_file_plan, &e), OK, &e, "%s: exported as one file",
            folder);
    study_close(&s);
    snprintf(
        command, sizeof command,
        "d='%s'; cd '%.400s' && cp -r \"$OLDPWD/$d\" pets.config && chmod -R u+w pets.config && "
        "mv pets.config/tokenizer pets.tokenizer && rm pets.tokenizer/vocab.json",
        folder, inside("round"));
    ok(!system(command), "%s: what a file cannot hold lies beside it", folder);
    if (!is_code(base_model_open(&m, file, &e), OK, &e, "%s: it opens", folder)) return;
    ok(hash_equal(m->hash, name), "%s: it has the folder's name", folder);
    base_model_close(m);
    study_open(&s, file, 0, NULL);
    is_code(study_export(&s, "again", diffusers_plan, &e), OK, &e, "%s: the file becomes a folder",
            folder);
    if (is_code(base_model_open(&m, inside("again/diffusers"), &e), OK, &e, "%s: it opens", folder))
        ok(hash_equal(m->hash, name) && m->unet.sample_size == s.model->unet.sample_size &&
               m->schedule.config.file_class != SCHEDULER_OTHER,
           "%s: and has the name again", folder);
    base_model_close(m);
    study_close(&s);
    study_open(&s, file, 2, TOKENS);
    is_code(study_export(&s, "wm", diffusers_plan, &e), OK, &e, "%s: a lineage of the file too",
            folder);
    unet_is_w_m(&s, folder);
    text_has_rows(&s, folder);
    tokenizer_knows(&s, folder);
    study_close(&s);
}

/* ---- a single file ---------------------------------------------------------------------------------------------------- */

/* One third of a fused matrix, or the whole. */
static int holds(const struct study *s, const struct stored *t, const struct original_name *n)
{
    const struct weights *const part[] = {[ORIGINAL_UNET] = s->model->unet_weights,
                                          [ORIGINAL_VAE] = s->model->vae_weights,
                                          [ORIGINAL_TEXT] = s->model->text_weights};
    const struct stored *base = weights_find(part[n->component], n->name);
    const struct kv_matrix *m = n->component == ORIGINAL_UNET ? kv_named(s, n->name) : NULL;
    if (m) return same_floats(t, s->state.kv + m->offset, (size_t)(m->rows * m->cols));
    if (!base || t->dtype != base->dtype || t->bytes != base->bytes * (n->third < 0 ? 1 : 3))
        return 0;
    if (n->third < 0)
        return same_bytes(t, base) &&
               (n->component != ORIGINAL_VAE || !strstr(n->name, ".to_q.weight") ||
                (t->rank == 4 && t->dim[2] == 1 && t->dim[3] == 1));
    for (int i = 0; i < 3; i++) {
        char name[WEIGHTS_NAME_MOST];
        const char *q = strstr(n->name, "q_proj");
        snprintf(name, sizeof name, "%.*s%c_proj%s", (int)(q - n->name), n->name, "qkv"[i], q + 6);
        const struct stored *third = weights_find(s->model->text_weights, name);
        if (!third || memcmp(t->data + (size_t)i * base->bytes, third->data, base->bytes) != 0)
            return 0;
    }
    return 1;
}

/* Of all tensors' bytes as they lie in the file. */
static void is_hashed(const struct safetensors *f, const char *name)
{
    char want[2 + HASH_TEXT] = "0x";
    const char *said = safetensors_metadata(f, "modelspec.hash_sha256");
    struct hash_stream *h = hash_begin();
    for (size_t i = 0; i < safetensors_count(f); i++)
        hash_add(h, safetensors_at(f, i)->data, safetensors_at(f, i)->bytes);
    hash_text(hash_end(h), want + 2);
    ok(said && !strcmp(said, want), "%s: the header names its tensors by their hash", name);
}

static void single_file_is_w_m(struct study *s, const char *name)
{
    struct safetensors *f;
    struct original_layout l = {.unet_levels = s->model->unet.levels,
                                .unet_layers = s->model->unet.layers[0],
                                .vae_levels = s->model->vae.levels,
                                .open_clip = s->model->text.act == CLIP_GELU};
    size_t wrong = 0, inside_tensors = 0,
           want = weights_count(s->model->unet_weights) + weights_count(s->model->vae_weights) +
                  weights_count(s->model->text_weights);
    is_code(study_export(s, "one", single_file_plan, &e), OK, &e, "%s: exported as one file", name);
    if (!is_code(safetensors_open(&f, inside("one/pets.safetensors"), &e), OK, &e, "%s: it opens",
                 name))
        return;
    for (size_t i = 0; i < safetensors_count(f); i++) {
        const struct stored *t = safetensors_at(f, i);
        struct original_name n;
        if (original_name_read(&l, t->name, &n) && holds(s, t, &n))
            inside_tensors += n.third < 0 ? 1 : 3;
        else if (!wrong++) note("%s", t->name);
    }
    is_int(wrong, 0, "%s: every tensor is the right one, under its original name", name);
    is_int(inside_tensors, want, "%s: and all are there", name);
    ok(safetensors_metadata(f, "modelspec.trigger_phrase") &&
           !strcmp(safetensors_metadata(f, "modelspec.trigger_phrase"),
                   "<rex> dog, <con>, <.a> dog, <-a> dog"),
       "%s: the header says what to write", name);
    is_hashed(f, name);
    safetensors_close(f);
}

static void embeddings_are_rows(struct study *s, const char *name)
{
    static const char *const file[][2] = {
        {"rex", "<rex>"}, {"con~", "<con>"}, {"~.a", "<.a>"}, {"~-a", "<-a>"}};
    int wrong = 0;
    is_code(study_export(s, "words", embeddings_plan, &e), OK, &e, "%s: words are exported", name);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 2; k++) {
            char path[200];
            struct safetensors *f;
            snprintf(path, sizeof path, "words/embeddings/%s/%s.safetensors",
                     k ? "diffusers" : "comfyui-a1111", file[i][0]);
            if (safetensors_open(&f, inside(path), &e)) {
                wrong++;
                continue;
            }
            const struct stored *t = safetensors_find(f, k ? file[i][1] : "emb_params");
            wrong += safetensors_count(f) != 1 || !t || t->rank != 2 || t->dim[0] != 1 ||
                     !same_floats(t, s->state.rows + (size_t)i * s->state.dim, s->state.dim);
            safetensors_close(f);
        }
    is_int(wrong, 0, "%s: each word has its row in two files, with names for every system", name);
}

static void halves(struct study *s, const char *name)
{
    struct weights *w;
    size_t wrong = 0;
    s->x.dtype = STORED_F16;
    is_code(study_export(s, "half", diffusers_plan, &e), OK, &e, "%s: exported in fp16", name);
    if (weights_open(&w, inside("half/diffusers/unet"), "diffusion_pytorch_model", &e)) wrong = 1;
    for (int i = 0; w && i < s->model->kv.n; i++) {
        const struct kv_matrix *m = &s->model->kv.matrix[i];
        size_t n = (size_t)(m->rows * m->cols);
        uint16_t *want = malloc(n * sizeof *want);
        const struct stored *t = weights_find(w, m->name);
        stored_from_float(STORED_F16, s->state.kv + m->offset, (int64_t)n, want);
        wrong += !t || t->bytes != n * sizeof *want || memcmp(t->data, want, t->bytes) != 0;
        free(want);
    }
    is_int(wrong, 0, "%s: K and V are W_m's, rounded", name);
    weights_close(w);
    s->x.dtype = STORED_OTHER;
}

static void lineage_comes_out(const char *name)
{
    struct study s;
    study_open(&s, golden(name), 4, TOKENS);
    is_code(study_export(&s, "wm", diffusers_plan, &e), OK, &e, "%s: a lineage is exported", name);
    unet_is_w_m(&s, name);
    text_has_rows(&s, name);
    tokenizer_knows(&s, name);
    single_file_is_w_m(&s, name);
    embeddings_are_rows(&s, name);
    halves(&s, name);
    study_close(&s);
}

/* ---- the card --------------------------------------------------------------------------------------------------------- */

static int card_says(const char *what)
{
    struct bytes b;
    if (file_read(inside("wm/README.md"), 1 << 20, &b, &e)) return 0;
    int found = strstr((const char *)b.data, what) != NULL;
    free(b.data);
    return found;
}

static void card_tells(void)
{
    struct study s;
    char command[1200], base[1024];
    study_open(&s, golden("classic"), 2, TOKENS);
    snprintf(base, sizeof base, "%s", inside("licensed"));
    snprintf(command, sizeof command, "cp -r tests/golden/classic/model '%s'", base);
    ok(!system(command), "a base is copied");
    s.x.base_path = base;
    study_export(&s, "wm", diffusers_plan, &e);
    ok(card_says("\nlicense: unknown\n") && card_says("No licence lies with the base model"),
       "a licence that is not there is said to be unknown");
    ok(card_says("not measured") && card_says("Nobody has measured"), "so is a likeness");
    ok(card_says("safety checker"), "the missing safety checker is told");
    file_write(inside("licensed/LICENSE"), "Be good.\n", 9, &e);
    study_export(&s, "wm", diffusers_plan, &e);
    ok(card_says("\nlicense: other\nlicense_link: LICENSE\n") &&
           file_exists(inside("wm/LICENSE")) && file_exists(inside("wm/diffusers/LICENSE")),
       "one that is a file is copied");
    static const char card[] =
        "---\nlanguage: en\nlicense: creativeml-openrail-m\n---\nlicense: no\n";
    file_write(inside("licensed/README.md"), card, sizeof card - 1, &e);
    s.concept[0].is_measured = 1;
    s.concept[0].clip_i = 0.8125;
    study_export(&s, "wm", diffusers_plan, &e);
    ok(card_says("\nlicense: creativeml-openrail-m\n"), "one that the base's card names is named");
    ok(card_says("| 0.812 |"), "what was measured is told");
    ok(card_says("\ninstance_prompt: \"<con>\"\n"), "a style is its token alone");
    study_close(&s);
}

static void refuses(void)
{
    struct study s;
    study_open(&s, golden("micro"), 1, TOKENS);
    s.model->unet.layers[1] = 2;
    is_code(study_export(&s, "uneven", single_file_plan, &e), ERR_INPUT, &e,
            "levels of different depth have no original names");
    s.model->unet.layers[1] = 1;
    ok(!file_exists(inside("uneven")) && !file_exists(inside("uneven.part")),
       "and nothing is left");
    study_close(&s);
}

static void survives_no_memory(void)
{
    struct study s;
    enum code rc = ERR_NOMEM;
    long n, step = 1;
    study_open(&s, golden("micro"), 2, TOKENS);
    for (n = 1; n < 100000 && rc; n += step, step += n / 20) {
        arena_fail_after(n);
        struct output *o;
        rc = output_open(&o, inside("memory"), &e);
        if (!rc) rc = diffusers_plan(&s.x, o, &e);
        if (!rc) rc = single_file_plan(&s.x, o, &e);
        if (!rc) rc = embeddings_plan(&s.x, o, &e);
        if (!rc) rc = delta_plan(&s.x, o, &e);
        if (!rc) rc = card_plan(&s.x, o, &e);
        arena_fail_after(0);
        output_close(o);
        if (rc && rc != ERR_NOMEM) note("allocation %ld: %s", n, e.text);
        if (rc && rc != ERR_NOMEM) break;
    }
    ok(!rc && n > 30, "any allocation of a plan may fail (up to %ld)", n);
    study_close(&s);
}

int main(void)
{
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) base_comes_back(CASES[i]);
    base_is_widened("storybook"); /* F16 */
    lineage_comes_out("classic");
    lineage_comes_out("ragged"); /* OpenCLIP's names */
    lineage_comes_out("storybook");
    goes_round("tests/golden/micro/model");
    goes_round("tests/golden/original/open/model");
    card_tells();
    refuses();
    survives_no_memory();
    return done_testing();
}
