/* golden.h - a part of a model held against what diffusers and transformers computed (tests/golden/README.md).
 *
 *     golden_agrees("classic", "unet", &parts_model, kernels_cpu());
 *
 * runs the part on tests/golden/classic/unet.in.safetensors. Two measures per tensor must keep the tolerance of the README:
 * |got - want|_2 / |want|_2, and max|got - want| / max|want|. The figures of the tensor that uses most of its tolerance are
 * printed always. Tensors of bytes must be equal. A tensor that is missing, or there without being wanted, fails.
 */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include "pipeline/model/parts.h"
#include "pipeline/tensor/kernels.h"
#include "tests/tap.h"

struct golden_figures {
    char worst[200];            /* name of the tensor that uses most of its tolerance */
    double l2, peak, rms;       /* its relative errors; rms: max|got - want| / root mean square of want */
    double allowed;             /* its tolerance */
    int tensors;
};
/* stem: "loss_detach" is part "loss" with its own options. ERR_FAILED: results that cannot be compared. */
enum code golden_run(const char *model_case, const char *stem, const struct part_table *parts, const struct kernels *k,
                     struct golden_figures *out, struct err *e);

TAP_FN void golden_agrees(const char *model_case, const char *stem, const struct part_table *parts,
                          const struct kernels *k)
{
    struct golden_figures f = {0};
    struct err e = {0};
    enum code rc = golden_run(model_case, stem, parts, k, &f, &e);
    if (!is_code(rc, OK, &e, "%s: %s runs (backend %s)", model_case, stem, k->backend)) return;
    printf("# %-9s %-11s %-5s l2 %.1e  peak %.1e  peak/rms %.1e  of %.0e  %2d tensors, worst %s\n", model_case, stem,
           k->backend, f.l2, f.peak, f.rms, f.allowed, f.tensors, f.worst);
    ok(f.l2 <= f.allowed && f.peak <= f.allowed, "%s: %s agrees with diffusers within %.0e", model_case, stem, f.allowed);
}

#endif
