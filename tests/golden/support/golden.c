/* golden.c - runs a part on a stored input and measures how far its results are from the stored output. */
#include "tests/golden/support/golden.h"

#include "base/file.h"
#include "pipeline/model/parts.h"

/* What is the part of "loss_detach"? */
static const struct part *part_of(const char *stem, const struct part_table *parts)
{
    char name[64];
    snprintf(name, sizeof name, "%s", stem);
    name[strcspn(name, "_")] = '\0';
    return part_find(&parts, 1, name);
}

/* README.md, "Tolerances". */
static double tolerance(const char *tensor)
{
    if (!strcmp(tensor, "latents")) return 2e-4;
    return !strncmp(tensor, "grad.", 5) ? 1e-3 : 1e-4;
}

static double used(const struct golden_figures *f)
{
    return fmax(f->l2, f->peak) / f->allowed;
}

static const struct stored_entry *entry_find(const struct part_run *r, const char *name)
{
    for (size_t i = 0; i < r->n_out; i++)
        if (strcmp(r->out[i].name, name) == 0) return &r->out[i];
    return NULL;
}

static int same_kind(const struct stored *want, const struct stored_entry *got)
{
    if (want->dtype != got->dtype || want->rank != got->rank) return 0;
    for (int i = 0; i < want->rank; i++)
        if (want->dim[i] != got->dim[i]) return 0;
    return 1;
}

static void measure(const float *got, const float *want, int64_t n, struct golden_figures *f)
{
    double difference = 0, size = 0, worst = 0, largest = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)got[i] - (double)want[i], w = (double)want[i];
        if (!isfinite(d)) { /* fmax would step over a NaN */
            f->l2 = f->peak = f->rms = INFINITY;
            return;
        }
        difference += d * d;
        size += w * w;
        worst = fmax(worst, fabs(d));
        largest = fmax(largest, fabs(w));
    }
    f->l2 = difference > 0 ? sqrt(difference / size) : 0;
    f->peak = worst > 0 ? worst / largest : 0;
    f->rms = worst > 0 ? worst / sqrt(size / (double)n) : 0;
}

static enum code compare(const struct stored *want, const struct stored_entry *got, struct arena *a,
                         struct golden_figures *f, struct err *e)
{
    if (!got) return err_set(e, ERR_FAILED, "no result is called %s", want->name);
    if (!same_kind(want, got))
        return err_set(e, ERR_FAILED, "%s has another type or shape than wanted", want->name);
    if (want->dtype != STORED_F32) {
        if (memcmp(want->data, got->data, want->bytes) != 0)
            return err_set(e, ERR_FAILED, "%s is not equal", want->name);
        return OK;
    }
    float *values = arena_alloc(a, want->bytes + 1);
    if (!values) return err_set(e, ERR_NOMEM, "no memory");
    enum code rc = stored_to_float(want, values, e);
    if (!rc) measure(got->data, values, stored_count(want), f);
    return rc;
}

static enum code compare_all(struct part_run *r, const struct safetensors *want,
                             struct golden_figures *out, struct err *e)
{
    if (safetensors_count(want) != r->n_out)
        return err_set(e, ERR_FAILED, "%zu results, %zu wanted", r->n_out, safetensors_count(want));
    for (size_t i = 0; i < safetensors_count(want); i++) {
        const struct stored *t = safetensors_at(want, i);
        struct golden_figures f = {.allowed = tolerance(t->name)};
        enum code rc = compare(t, entry_find(r, t->name), &r->arena, &f, e);
        if (rc) return rc;
        out->tensors++;
        if (out->worst[0] && used(&f) <= used(out)) continue;
        f.tensors = out->tensors;
        snprintf(f.worst, sizeof f.worst, "%s", t->name);
        *out = f;
    }
    return OK;
}

enum code golden_run(const char *model_case, const char *stem, const struct part_table *parts,
                     const struct kernels *k, struct golden_figures *out, struct err *e)
{
    char model[200], in[200], options[200], out_path[200];
    snprintf(model, sizeof model, "tests/golden/%s/model", model_case);
    snprintf(in, sizeof in, "tests/golden/%s/%s.in.safetensors", model_case, stem);
    snprintf(options, sizeof options, "tests/golden/%s/%s.json", model_case, stem);
    snprintf(out_path, sizeof out_path, "tests/golden/%s/%s.out.safetensors", model_case, stem);
    *out = (struct golden_figures){0};

    const struct part *p = part_of(stem, parts);
    struct safetensors *want;
    struct part_run r;
    if (!p) return err_set(e, ERR_NOT_FOUND, "no part for %s", stem);
    enum code rc = part_open(&r, p, model, k, in, file_exists(options) ? options : NULL, e);
    if (rc) return rc;
    rc = p->run(&r, e);
    if (!rc && !(rc = safetensors_open(&want, out_path, e))) {
        rc = compare_all(&r, want, out, e);
        safetensors_close(want);
    }
    part_close(&r);
    return rc;
}
