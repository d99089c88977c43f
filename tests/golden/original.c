/* original.c - one checkpoint, two layouts: as a folder of diffusers and as a single file that Python wrote in original
 * names. The same name, and every part of it puts out the same bytes. */
#include "pipeline/model/base_model.h"
#include "pipeline/model/parts.h"
#include "pipeline/tensor/kernels.h"
#include "tests/unit/model/support/files.h"

static struct err e;

/* <tap folder>/<name>.safetensors with its configuration and tokenizer beside it. */
static char *file_of(const char *name, const char *folder)
{
    char *path = inside(name);
    run_shell("cp tests/golden/original/%s.safetensors '%s.safetensors' && rm -rf '%s.config' && "
              "cp -r '%s' '%s.config' && chmod -R u+w '%s.config' && "
              "mv '%s.config/tokenizer' '%s.tokenizer' && rm '%s.tokenizer/vocab.json'",
              name, path, path, folder, path, path, path, path, path);
    return strcat(path, ".safetensors");
}

static void same_name(const char *folder, const char *file)
{
    struct base_model *a = NULL, *b = NULL;
    if (is_code(base_model_open(&a, folder, &e), OK, &e, "%s opens", folder) &&
        is_code(base_model_open(&b, file, &e), OK, &e, "so does its single file"))
        ok(hash_equal(a->hash, b->hash), "and they have one name");
    if (a && b)
        ok(base_model_check(b, &e) == OK && a->unet.sample_size == b->unet.sample_size &&
               a->kv.n_weights == b->kv.n_weights &&
               a->schedule.config.prediction == b->schedule.config.prediction,
           "and pictures, neurons, prediction alike");
    base_model_close(a);
    base_model_close(b);
}

/* Two runs of a part: as many results, each with the same bytes. */
static int same_results(const struct part_run *a, const struct part_run *b)
{
    int same = a->n_out == b->n_out && a->n_out > 0;
    for (size_t i = 0; same && i < a->n_out; i++) {
        const struct stored_entry *x = &a->out[i], *y = &b->out[i];
        size_t n = 4;
        for (int k = 0; k < x->rank; k++) n *= (size_t)x->dim[k];
        same = !strcmp(x->name, y->name) && x->rank == y->rank &&
               !memcmp(x->dim, y->dim, sizeof *x->dim * (size_t)x->rank) &&
               !memcmp(x->data, y->data, n);
    }
    return same;
}

static void same_bytes(const char *folder, const char *file, const char *inputs, const char *name)
{
    const struct part_table *tables = &parts_model;
    const struct part *p = part_find(&tables, 1, name);
    struct part_run a = {0}, b = {0};
    char in[300];
    snprintf(in, sizeof in, "%s/%s.in.safetensors", inputs, name);
    if (is_code(part_open(&a, p, folder, kernels_cpu(), in, NULL, &e), OK, &e, "%s of the folder",
                name) &&
        is_code(part_open(&b, p, file, kernels_cpu(), in, NULL, &e), OK, &e, "%s of the file",
                name) &&
        is_code(p->run(&a, &e), OK, &e, "  the first runs") &&
        is_code(p->run(&b, &e), OK, &e, "  and the second"))
        ok(same_results(&a, &b), "  to the same bytes");
    part_close(&a);
    part_close(&b);
}

int main(void)
{
    static const struct {
        const char *name, *folder;
    } models[] = {{"micro", "tests/golden/micro/model"},
                  {"open", "tests/golden/original/open/model"}};
    static const char *const parts[] = {"text", "unet", "vae-encode", "vae-decode", "loss"};
    for (int i = 0; i < 2; i++) {
        const char *file = file_of(models[i].name, models[i].folder);
        char kept[1024];
        snprintf(kept, sizeof kept, "%s", file);
        same_name(models[i].folder, kept);
        for (int k = 0; k < 5; k++)
            same_bytes(models[i].folder, kept, "tests/golden/micro", parts[k]);
    }
    return done_testing();
}
