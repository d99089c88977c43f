/* card.c - README.md: what this is, how to use it, what it was made of, as far as the commits and the base's folder say.
 *
 * Nothing is claimed that no file says: a licence that is not there is unknown, a likeness that nobody measured is not
 * measured, consent is the publisher's to state.
 */
#include "pipeline/exchange/exchange.h"
#include "pipeline/exchange/folder.h"
#include "pipeline/exchange/modelspec.h"

#include "base/text.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MOST 60

struct licence {
    char id[NAME_MOST]; /* as the base's own card says; "" where it does not */
    const char *file;   /* LICENSE, ... ; NULL: none */
    struct bytes text;  /* of the file; owned */
};

/* ---- the base's licence --------------------------------------------------------------------------------------------- */

/* "license: creativeml-openrail-m" between the first two lines of dashes of a card. */
static void licence_of_card(const char *card, char out[NAME_MOST])
{
    static const char key[] = "license:";
    *out = '\0';
    if (strncmp(card, "---", 3) != 0) return;
    for (const char *line = strchr(card, '\n'); line && strncmp(line, "\n---", 4) != 0;
         line = strchr(line + 1, '\n')) {
        if (strncmp(line + 1, key, sizeof key - 1) != 0) continue;
        const char *at = line + sizeof key;
        size_t n = 0;
        while (*at == ' ' || *at == '"' || *at == '\'') at++;
        while (n + 1 < NAME_MOST && (isalnum((unsigned char)at[n]) || strchr(".-_", at[n])) &&
               at[n])
            n++;
        memcpy(out, at, n);
        out[n] = '\0';
        return;
    }
}

static enum code licence_read(const struct exchange *x, struct licence *l, struct err *e)
{
    static const char *const files[] = {"LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE",
                                        "COPYING"};
    struct bytes card;
    *l = (struct licence){0};
    if (x->model->file) return OK; /* what lies beside a checkpoint is of no one model */
    enum code rc = folder_read(x->base_path, "README.md", &card, e);
    if (!rc && card.data) licence_of_card((const char *)card.data, l->id);
    free(card.data);
    for (size_t i = 0; !rc && !l->text.data && i < sizeof files / sizeof *files; i++) {
        rc = folder_read(x->base_path, files[i], &l->text, e);
        l->file = l->text.data ? files[i] : NULL;
    }
    return rc;
}

/* ---- front matter --------------------------------------------------------------------------------------------------- */

/* A text as a double-quoted scalar: JSON's spelling is YAML's too. */
static void add_quoted(struct text *t, const char *s)
{
    json_t *j = json_string(s);
    char *quoted = j ? json_dumps(j, JSON_ENCODE_ANY) : NULL;
    if (quoted) text_add(t, quoted);
    else t->failed = 1;
    free(quoted);
    json_decref(j);
}

static void add_front_matter(struct text *t, const struct exchange *x, const struct licence *l,
                             int has_diffusers, struct arena *a)
{
    const char *base = modelspec_base_name(x, a);
    text_printf(t, "---\nlicense: %s\n", *l->id ? l->id : l->file ? "other" : "unknown");
    if (!*l->id && l->file) text_printf(t, "license_link: %s\n", l->file);
    text_add(t, "base_model: ");
    add_quoted(t, base ? base : "");
    text_add(t, "\npipeline_tag: text-to-image\n");
    if (has_diffusers) text_add(t, "library_name: diffusers\n");
    if (x->state->n) {
        const char *phrase = modelspec_phrase(&x->concept[x->state->n - 1], a);
        text_add(t, "instance_prompt: ");
        add_quoted(t, phrase ? phrase : "");
        text_add(t, "\n");
    }
    text_add(t, "tags:\n- stable-diffusion\n- text-to-image\n- engram\n- custom-diffusion\n");
    if (has_diffusers) text_add(t, "- diffusers\n");
    text_add(t, "---\n\n");
}

/* ---- sections ------------------------------------------------------------------------------------------------------- */

static void add_head(struct text *t, const struct exchange *x, struct arena *a)
{
    char base[HASH_TEXT], head[HASH_TEXT];
    const char *name = modelspec_base_name(x, a);
    text_printf(t, "# %s\n\n", x->lineage);
    if (!x->state->n) {
        text_add(t, "A base model itself, without any concept, written by Engram.\n\n");
    } else {
        size_t used = mask_count(&x->state->used);
        text_printf(t,
                    "A text-to-image model that was taught %d concept%s by Engram (Concept Neuron "
                    "Selection, arXiv 2510.02296)%s. %zu weights "
                    "(%.1f %%) of the UNet's cross-attention keys and values may differ from the "
                    "base model, and each concept has a new word.\n\n",
                    x->state->n, x->state->n == 1 ? "" : "s",
                    x->state->n == 1 ? "" : ", one after another", used,
                    100.0 * mask_density(&x->state->used));
        text_printf(t, "- lineage %s, commit `%s`\n", x->lineage, hash_text(x->state->head, head));
    }
    text_printf(t, "- base model `%s` (%s)\n\n", hash_text(x->model->hash, base), name ? name : "");
}

static void add_figure(struct text *t, int is_measured, double v)
{
    if (is_measured) text_printf(t, " %.3f |", v);
    else text_add(t, " not measured |");
}

static void add_concepts(struct text *t, const struct exchange *x, struct arena *a)
{
    int any = 0;
    if (!x->state->n) return;
    text_add(
        t, "## Concepts\n\n| write | what | own neurons | pictures | likeness | base | fit to the "
           "prompt | base | drift |\n|---|---|---|---|---|---|---|---|---|\n");
    for (int i = 0; i < x->state->n; i++) {
        const struct exchange_concept *c = &x->concept[i];
        const char *phrase = modelspec_phrase(c, a);
        text_printf(t, "| `%s` | %s | %zu (%.2f %%) | %zu |", phrase ? phrase : c->token, c->kind,
                    c->n_neurons, 100.0 * (double)c->n_neurons / (double)x->state->n_weights,
                    c->n_images);
        add_figure(t, c->is_measured, c->clip_i);
        add_figure(t, c->is_measured, c->before_i);
        add_figure(t, c->is_measured, c->clip_t);
        add_figure(t, c->is_measured, c->before_t);
        add_figure(t, c->is_measured, c->drift);
        text_add(t, "\n");
        any |= c->is_measured;
    }
    text_add(t, "\n");
    if (any)
        text_add(t,
                 "Measured by Engram on this commit. Likeness: mean cosine of CLIP's image "
                 "features between drawn and taught pictures (CLIP-I); fit: between drawn picture "
                 "and prompt (CLIP-T); base: the base model with the class word alone; drift: how "
                 "far pictures of a concept have moved since it was learned (0: not at all). "
                 "Figures of other CLIP models or prompts do not compare.\n\n");
    else text_add(t, "Nobody has measured this commit; `engram evaluate` does.\n\n");
}

static void add_use_diffusers(struct text *t, const char *phrase)
{
    text_printf(t,
                "`diffusers/` is a whole pipeline, its tokenizer knows the new words:\n\n"
                "```python\nfrom diffusers import StableDiffusionPipeline\n"
                "pipe = StableDiffusionPipeline.from_pretrained(\"diffusers\")\n"
                "pipe(\"a photo of a %s\").images[0].save(\"picture.png\")\n```\n\n",
                phrase);
}

static void add_use_single(struct text *t, const struct exchange *x)
{
    text_printf(
        t,
        "`%s.safetensors` is a checkpoint in original names, for ComfyUI (`models/checkpoints`), "
        "A1111 (`models/Stable-diffusion`) and programs that read those. ",
        x->lineage);
    if (x->state->n)
        text_add(t,
                 "It holds what was learned, but a checkpoint cannot hold new words: those are the "
                 "embeddings, and both are needed.");
    text_add(t, "\n\n");
}

static void add_use_embeddings(struct text *t, const struct exchange *x)
{
    char name[EXCHANGE_NAME] = "";
    const char *token = "", *word = "";
    for (int i = 0; i < x->state->n && !*name; i++)
        if (exchange_is_wanted(x, i)) {
            exchange_file_name(x->concept[i].token, name);
            token = x->concept[i].token;
            word = x->concept[i].class_word;
        }
    text_printf(
        t,
        "`embeddings/comfyui-a1111/` goes into `models/embeddings` (ComfyUI, written "
        "`embedding:%s %s` in a prompt) or `embeddings` (A1111, written `%s %s`); "
        "`embeddings/diffusers/` is for `pipe.load_textual_inversion(file)` on the pipeline of "
        "the single file, where `%s` is the word. An embedding without this model's weights "
        "gives another picture.\n\n",
        name, word, name, word, token);
}

static void add_use(struct text *t, const struct exchange *x, const struct output *out,
                    struct arena *a)
{
    const char *path,
        *phrase = x->state->n ? modelspec_phrase(&x->concept[x->state->n - 1], a) : "cat";
    int has[4] = {0};
    uint64_t bytes;
    for (size_t i = 0; (path = output_file(out, i, &bytes)); i++) {
        has[0] |= !strcmp(path, "diffusers/model_index.json");
        has[1] |= !strncmp(path, "embeddings/", 11);
        has[2] |= strstr(path, ".engram.safetensors") != NULL;
        has[3] |= !strchr(path, '/') && strstr(path, ".safetensors") && !strstr(path, ".engram.");
    }
    text_add(t, "## Files\n\n");
    if (has[0]) add_use_diffusers(t, phrase ? phrase : "");
    if (has[3]) add_use_single(t, x);
    if (has[1]) add_use_embeddings(t, x);
    if (has[2])
        text_printf(
            t,
            "`%s.engram.safetensors` holds the commits themselves, without the base model: "
            "masks, changed values, words. `engram check %s.engram.safetensors` proves them.\n\n",
            x->lineage, x->lineage);
    if (has[0] || has[3])
        text_printf(t, "Weights: %s.\n\n",
                    x->dtype == STORED_F16   ? "half precision, rounded from what was learned"
                    : x->dtype == STORED_F32 ? "float32"
                                             : "each of the base's type, but for what was learned, "
                                               "which is float32");
}

static void add_data(struct text *t, const struct exchange *x)
{
    char hex[HASH_TEXT];
    if (!x->state->n) return;
    text_add(t, "## Training data\n\nThe pictures are not in here; these are their SHA-256.\n\n");
    for (int i = 0; i < x->state->n; i++) {
        const struct exchange_concept *c = &x->concept[i];
        json_t *made = json_loads(c->made, 0, NULL);
        text_printf(t, "`%s`, commit `%s`", c->token, hash_text(c->commit, hex));
        const json_t *steps = json_object_get(made, "steps"), *seed = json_object_get(made, "seed");
        const char *method = json_string_value(json_object_get(made, "method"));
        if (method) text_printf(t, ", method %s", method);
        if (json_is_integer(steps))
            text_printf(t, ", %lld steps", (long long)json_integer_value(steps));
        if (json_is_integer(seed))
            text_printf(t, ", seed %lld", (long long)json_integer_value(seed));
        text_add(t, ":\n\n");
        for (size_t k = 0; k < c->n_images; k++)
            text_printf(t, "- `%s`\n", hash_text(c->image[k], hex));
        text_add(t, "\n");
        json_decref(made);
    }
}

static void add_terms(struct text *t, const struct licence *l)
{
    text_add(t, "## Licence, consent, use\n\n");
    if (*l->id)
        text_printf(t,
                    "The base model's card says its licence is %s%s. A model made from it is bound "
                    "by it.\n\n",
                    l->id, l->file ? "; its text is beside this page" : "");
    else if (l->file)
        text_printf(
            t,
            "The base model's licence is beside this page (%s). A model made from it is bound "
            "by it.\n\n",
            l->file);
    else
        text_add(t, "No licence lies with the base model: it is unknown here. Find it before this "
                    "is given to anybody; a model made from it is bound by it.\n\n");
    text_add(
        t,
        "Whether the people, animals' owners and artists whose pictures were used have agreed is "
        "not recorded. Whoever publishes this states it here. Intended use: pictures of these "
        "concepts, by those who may make them. There is no safety checker in here; "
        "`safety_checker` is absent on purpose and is the user's to add.\n");
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

static enum code plan_in(struct output *out, const char *folder, const struct text *card,
                         const struct licence *l, struct err *e)
{
    char path[200];
    snprintf(path, sizeof path, "%sREADME.md", folder);
    enum code rc = output_add_text(out, path, card->s, card->n, e);
    snprintf(path, sizeof path, "%s%s", folder, l->file ? l->file : "");
    return rc || !l->file ? rc : output_add_text(out, path, l->text.data, l->text.n, e);
}

static int holds_diffusers(const struct output *out)
{
    uint64_t bytes;
    const char *path;
    for (size_t i = 0; (path = output_file(out, i, &bytes)); i++)
        if (!strncmp(path, "diffusers/", 10)) return 1;
    return 0;
}

enum code card_plan(const struct exchange *x, struct output *out, struct err *e)
{
    struct arena *a = output_arena(out);
    struct licence l;
    struct text t = {0};
    int has_diffusers = holds_diffusers(out);
    enum code rc = licence_read(x, &l, e);
    if (rc) return rc;
    add_front_matter(&t, x, &l, has_diffusers, a);
    add_head(&t, x, a);
    add_concepts(&t, x, a);
    add_use(&t, x, out, a);
    add_data(&t, x);
    add_terms(&t, &l);
    if (!text_ok(&t)) rc = err_set(e, ERR_NOMEM, "no memory for a model card");
    if (!rc) rc = plan_in(out, "", &t, &l, e);
    if (!rc && has_diffusers) rc = plan_in(out, "diffusers/", &t, &l, e);
    text_fini(&t);
    free(l.text.data);
    return rc;
}
