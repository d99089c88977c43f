/* Sparse deltas as the program writes them, read and applied by a reader that was written from docs/formats.md only. */
#include "base/file.h"
#include "pipeline/exchange/exchange.h"
#include "tests/formats/support/delta_reader.h"
#include "tests/unit/exchange/support/study.h"

static const char *const TOKENS[] = {"<rex>", "<zig>", "<ink>"};

static void is_applied(const char *model)
{
    struct study s;
    struct err e;
    study_open(&s, model, 3, TOKENS);
    size_t n = s.model->kv.n_weights, width = s.state.dim, proved = 0;
    float *weight = malloc(n * sizeof *weight), *row = malloc(3 * width * sizeof *row);
    memcpy(weight, s.w0, n * sizeof *weight);
    is_code(study_export(&s, "delta", delta_plan, &e), OK, &e, "%s: a delta is written", model);
    const char *wrong =
        read_delta_file(inside("delta/pets.engram.safetensors"), weight, n, row, width, 3, &proved);
    is_str(wrong ? wrong : "nothing", "nothing", "%s: the page's reader finds wrong", model);
    ok(!memcmp(weight, s.state.kv, n * sizeof *weight), "%s: applied to W_0 it gives W_m", model);
    ok(!memcmp(row, s.state.rows, 3 * width * sizeof *row), "%s: and the rows", model);
    is_int(proved, 3, "%s: every commit hashes to its name", model);
    free(weight);
    free(row);
    study_close(&s);
}

int main(void)
{
    is_applied("tests/golden/micro/model");
    is_applied("tests/golden/ragged/model");
    return done_testing();
}
