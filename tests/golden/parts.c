/* parts.c - what a part refuses: every wrong file or option ends in one line that names it, and nothing is left open. */
#include "base/file.h"
#include "pipeline/model/parts.h"
#include "tests/golden/support/golden.h"
#include "tests/tap.h"

#define MICRO "tests/golden/micro/"

/* Runs a part that must fail with `code` and a line that contains `says`. */
static void refused(const char *name, const char *in, const char *options, enum code code,
                    const char *says)
{
    const struct part_table *tables[] = {&parts_model, &parts_sample};
    struct part_run r;
    struct err e = {0};
    const struct part *p = part_find(tables, 2, name);
    ok(p != NULL, "there is a part %s", name);
    if (!p) return;
    enum code rc = part_open(&r, p, MICRO "model", kernels_cpu(), in, options, &e);
    if (!rc) {
        rc = p->run(&r, &e);
        part_close(&r);
    }
    is_code(rc, code, &e, "%s is refused: %s", name, says);
    if (!ok(strstr(e.text, says) != NULL, "and the line says so")) printf("#   %s\n", e.text);
}

static const char *file(const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", tap_folder(), name);
    return path;
}

/* A file of one tensor of ones, or of ids that all are `id`. */
static const char *tensor(const char *name, enum stored_dtype dtype, int rank, const int64_t *dim,
                          int64_t id)
{
    static float ones[4096];
    static int64_t ids[4096];
    struct stored_entry entry = {.name = name,
                                 .dtype = dtype,
                                 .rank = rank,
                                 .data = dtype == STORED_I64 ? (const void *)ids : ones};
    struct err e = {0};
    memcpy(entry.dim, dim, (size_t)rank * sizeof *dim);
    for (int i = 0; i < 4096; i++) {
        ones[i] = 1;
        ids[i] = id;
    }
    const char *path = file("in.safetensors");
    is_code(safetensors_write(path, &entry, 1, NULL, &e), OK, &e, "writes %s", name);
    return path;
}

static const char *json(const char *text)
{
    const char *path = file("options.json");
    struct err e = {0};
    is_code(file_write(path, text, strlen(text), &e), OK, &e, "writes %s", text);
    return path;
}

int main(void)
{
    const char *noise = MICRO "sample_ddim.in.safetensors";
    const struct part_table *tables[] = {&parts_model, &parts_sample};
    ok(!part_find(tables, 2, "teapot"), "there is no part teapot");

    refused("unet", MICRO "text.in.safetensors", NULL, ERR_INPUT, "no tensor \"sample\"");
    refused("unet", "tests/golden/classic/unet.in.safetensors", NULL, ERR_INPUT,
            "encoder_hidden_states is 24, expected 8");
    refused("text", MICRO "none.safetensors", NULL, ERR_NOT_FOUND, "none.safetensors");
    refused("text", tensor("input_ids", STORED_I64, 1, (int64_t[]){77}, 1), NULL, ERR_INPUT,
            "has 1 dimensions, expected 2");
    refused("text", tensor("input_ids", STORED_I64, 2, (int64_t[]){1, 78}, 1), NULL, ERR_INPUT,
            "78 tokens");
    refused("text", tensor("input_ids", STORED_I64, 2, (int64_t[]){1, 77}, 814), NULL, ERR_INPUT,
            "814, expected 0 to 813");
    refused("text", tensor("input_ids", STORED_I64, 2, (int64_t[]){1, 0}, 1), NULL, ERR_INPUT,
            "is 0, expected 1");
    refused("vae-decode", tensor("latent", STORED_F32, 4, (int64_t[]){1, 3, 4, 4}, 0), NULL,
            ERR_INPUT, "dimension 1 of latent is 3, expected 4");
    refused("clip-text", MICRO "text.in.safetensors", NULL, ERR_NOT_FOUND, "micro/model/clip");

    refused("sample", noise, MICRO "loss.json", ERR_INPUT, "no option \"detach_bos\"");
    refused("sample", noise, json("{\"steps\": \"ten\"}"), ERR_INPUT, "steps is not a number");
    refused("sample", noise, json("{\"steps\": [1, 2]}"), ERR_INPUT, "steps needs 1 number");
    refused("sample", noise, json("{\"steps\": 0}"), ERR_INPUT, "steps is 0, expected 1 to 1000");
    refused("sample", noise, json("{\"steps\": 1e300}"), ERR_INPUT, "steps is 1e+300, expected");
    refused("sample", noise, json("{\"sampler\": \"heun\"}"), ERR_INPUT,
            "sampler is \"heun\"; choose one of ddim|pndm|");
    refused("sample", noise, json("{\"sampler\": 3}"), ERR_INPUT, "sampler is not a text");
    refused("sample", noise, json("{\"sampler\": \"euler\", \"eta\": 1}"), ERR_INPUT,
            "sampler euler has none");
    refused("sample", noise, json("[1]"), ERR_INPUT, "object of options");
    refused("sample", noise, json("{\"steps\": 1"), ERR_INPUT, "options.json:1");
    return done_testing();
}
