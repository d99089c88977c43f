/* outlook.c - a learn job, made up as the worker group would get it, and held against the memory of this machine. */
#include "cli/outlook.h"

#include "base/file.h"
#include "base/parallel.h"
#include "pipeline/data/calibration.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

/* Share of K/V that a concept is supposed to own where nobody scored: the paper's 5 % and Storybook's 6 to 7, and some room. */
#define SUPPOSED_DENSITY 0.08

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static size_t heap(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

/* ---- sizes ---------------------------------------------------------------------------------------------------------- */

enum code outlook_bytes(const char *text, size_t *out, struct err *e)
{
    static const char UNITS[] = "KMGT";
    char *end;
    double v = strtod(text, &end);
    const char *unit = *end ? strchr(UNITS, *end) : NULL;
    int ok = end != text && v > 0;
    if (unit) {
        end++;
        for (const char *u = UNITS; u <= unit; u++) v *= 1024;
        if (!strncmp(end, "iB", 2)) end += 2;
        else if (*end == 'B') end++;
    }
    if (!ok || *end || v >= 9e18)
        return err_set(e, ERR_USAGE, "--memory %s: expected a size like 8G or 512M", text);
    *out = (size_t)v;
    return OK;
}

/* ---- making --------------------------------------------------------------------------------------------------------- */

/* Where the group finds it, as far as this shell knows. Without one the evaluation is left out of the plan. */
static void open_clip(struct outlook *o)
{
    char path[4200];
    if (!base_model_clip_path(o->options->base, path, sizeof path, &o->no_clip))
        clip_model_open(&o->clip, path, &o->no_clip);
}

/* What a group opens before its first stage; the heap that this took. */
static enum code open_models(struct outlook *o, struct err *e)
{
    const struct outlook_options *x = o->options;
    char path[4200];
    size_t before = heap();
    enum code rc = base_model_peek(&o->model, x->base, e);
    if (!rc) rc = calibration_read(x->base, &o->calibration, e);
    if (!rc && x->evaluate) open_clip(o);
    snprintf(path, sizeof path, "%s/evaluate.txt", x->base);
    if (!rc && x->evaluate && file_exists(path)) rc = prompts_read(path, &o->patterns, e);
    o->wish.opened = heap() - before;
    return rc;
}

static const char **texts(struct outlook *o, const struct prompts *p)
{
    const char **out = arena_alloc(&o->arena, ((size_t)p->n + 1) * sizeof *out);
    for (int i = 0; out && i < p->n; i++) out[i] = p->prompt[i].text;
    return out;
}

static enum code make_task(struct outlook *o, struct err *e)
{
    const struct outlook_options *x = o->options;
    const struct concept *c = x->concept;
    const char **caption = arena_alloc(&o->arena, ((size_t)c->n + 1) * sizeof *caption);
    const char **calibration = texts(o, &o->calibration);
    if (!caption || !calibration) return err_set(e, ERR_NOMEM, "out of memory for a plan");
    for (int i = 0; i < c->n; i++) caption[i] = c->image[i].caption;
    const struct settings *s = x->settings;
    int side = s->sample_side ? (int)s->sample_side
                              : o->model->unet.sample_size * vae_factor(&o->model->vae);
    int prior = s->prior_weight > 0.0 ? (int)s->prior_count : 0;
    o->lineage.n = (int)x->commits.n;
    o->task = (struct task){.model = o->model,
                            .kernels = kernels_cuda() ? kernels_cuda() : kernels_cpu(),
                            .w0 = o->w0,
                            .lineage = &o->lineage,
                            .settings = *s,
                            .caption = caption,
                            .n_captions = c->n,
                            .calibration = calibration,
                            .n_calibration = o->calibration.n,
                            .instance = {NULL, c->n, side},
                            .prior = {NULL, prior, side},
                            .seed = (uint64_t)s->seed_value,
                            .ranks = &o->ranks};
    snprintf(o->task.token, sizeof o->task.token, "%s", c->token);
    snprintf(o->task.class_word, sizeof o->task.class_word, "%s", c->class_word);
    snprintf(o->task.kind, sizeof o->task.kind, "%s", c->kind);
    return OK;
}

/* As stage_evaluate.c would make it, of the lineage with the new concept as its last. */
static enum code make_evaluation(struct outlook *o, struct err *e)
{
    const struct outlook_options *x = o->options;
    size_t n = x->commits.n;
    struct evaluate_concept *c = arena_alloc(&o->arena, (n + 1) * sizeof *c);
    const char **pattern = texts(o, &o->patterns);
    if (!c || !pattern) return err_set(e, ERR_NOMEM, "out of memory for a plan");
    for (size_t i = 0; i < n; i++) {
        const struct commit_row *r = &x->commits.v[i];
        c[i] = (struct evaluate_concept){.token = r->token,
                                         .class_word = r->class_word,
                                         .kind = proto_concept_kind(r->kind),
                                         .n_references = (int)cli_n_images(r)};
    }
    c[n] = (struct evaluate_concept){.token = o->task.token,
                                     .class_word = o->task.class_word,
                                     .kind = o->task.kind,
                                     .n_references = x->concept->n};
    o->evaluation = (struct evaluate_task){.model = o->model,
                                           .clip = o->clip,
                                           .kernels = o->task.kernels,
                                           .concept = c,
                                           .n = (int)n + 1,
                                           .pattern = pattern,
                                           .n_patterns = o->patterns.n,
                                           .settings = *x->settings,
                                           .ranks = &o->ranks};
    o->wish.evaluate = &o->evaluation;
    return OK;
}

/* The score stage itself, of one rank, on the lineage as it is now. */
static enum code score(struct outlook *o, struct err *e)
{
    const struct outlook_options *x = o->options;
    const struct base_model *m = o->model;
    struct collectives alone = collectives_single();
    struct hash *chain = arena_alloc(&o->arena, (x->commits.n + 1) * sizeof *chain);
    o->w0 = mem_alloc(m->kv.n_weights + 1, sizeof *o->w0);
    if (!chain || !o->w0) return err_set(e, ERR_NOMEM, "out of memory for a plan");
    for (size_t i = 0; i < x->commits.n; i++) chain[i] = x->commits.v[i].commit;
    enum code rc = kv_read(&m->kv, m->unet_weights, o->w0, e);
    if (!rc) /* the model's own hash is not known: it would be read from four gigabytes */
        rc = lineage_open(&o->lineage, o->w0, m->kv.n_weights, x->base_hash,
                          (uint32_t)m->text.hidden, x->store, chain, (int)x->commits.n, e);
    if (rc) return rc;
    struct task t = o->task;
    double begin = now();
    t.w0 = o->w0;
    t.ranks = &alone;
    rc = method_list()[t.settings.method_name]->score(&t, &o->masks, e);
    o->wish.score_seconds = now() - begin;
    if (!rc) o->wish.neurons = mask_count(&o->masks.concept);
    return rc;
}

static int threads_of_a_rank(int ranks)
{
    int cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
    return cores > ranks ? cores / ranks : 1;
}

static struct memory_limit limit_of(const struct outlook_options *x)
{
    struct memory_limit l = memory_free();
    if (x->memory) return (struct memory_limit){x->memory, "given by --memory"};
    if (x->home && l.bytes != SIZE_MAX) l.bytes += memory_held("engram-worker", x->home);
    return l;
}

static size_t disk_free(const char *home)
{
    struct statvfs v;
    if (!home || statvfs(home, &v)) return SIZE_MAX;
    return (size_t)v.f_bavail * v.f_frsize;
}

static size_t image_bytes(const struct concept *c)
{
    size_t sum = 0;
    struct stat s;
    for (int i = 0; i < c->n; i++)
        if (!stat(c->image[i].path, &s)) sum += (size_t)s.st_size;
    return sum;
}

enum code outlook_make(struct outlook *o, const struct outlook_options *x, struct err *e)
{
    double begin = now();
    *o = (struct outlook){.options = x, .threads = threads_of_a_rank(x->ranks)};
    o->ranks = collectives_single();
    o->ranks.size = x->ranks;
    o->limit = limit_of(x);
    o->disk_free = disk_free(x->home);
    o->images = image_bytes(x->concept);
    parallel_start(o->threads);
    enum code rc = open_models(o, e);
    if (!rc) rc = make_task(o, e);
    if (rc) return rc;
    o->wish.task = &o->task;
    o->wish.previews = x->previews;
    o->wish.neurons = (size_t)(SUPPOSED_DENSITY * (double)o->model->kv.n_weights);
    o->wish.memory = o->limit.bytes == SIZE_MAX ? 0 : o->limit.bytes;
    if (o->clip) rc = make_evaluation(o, e);
    if (!rc && x->score) rc = score(o, e);
    base_model_sketch(o->model, 1);
    if (o->clip) weights_sketch(o->clip->weights, 1);
    if (!rc) rc = forecast_make(&o->forecast, &o->wish, x->clock ? &o->pace : NULL, e);
    o->seconds = now() - begin;
    return rc;
}

void outlook_close(struct outlook *o)
{
    masks_fini(&o->masks);
    if (!o->lineage.mask) o->lineage.n = 0; /* it was only counted */
    lineage_fini(&o->lineage);
    base_model_close(o->model);
    clip_model_close(o->clip);
    prompts_fini(&o->calibration);
    prompts_fini(&o->patterns);
    free(o->w0);
    arena_fini(&o->arena);
    *o = (struct outlook){0};
}

/* ---- does it fit ---------------------------------------------------------------------------------------------------- */

enum code outlook_again(struct outlook *o, int recompute, int ranks, int side, struct forecast *out,
                        struct err *e)
{
    struct task t = o->task;
    struct evaluate_task v = o->evaluation;
    struct collectives c = o->ranks;
    struct forecast_task wish = o->wish;
    c.size = ranks;
    t.ranks = v.ranks = &c;
    t.settings.train_recompute = recompute;
    t.settings.sample_side = v.settings.sample_side = side;
    t.instance.side = t.prior.side = side;
    wish.task = &t;
    if (wish.evaluate) wish.evaluate = &v;
    parallel_start(threads_of_a_rank(ranks));
    enum code rc = forecast_make(out, &wish, NULL, e);
    parallel_start(o->threads);
    return rc;
}

/* One change of the job; its need, or 0 where it does not fit. */
static size_t need_with(struct outlook *o, int recompute, int ranks, int side)
{
    struct forecast f;
    if (outlook_again(o, recompute, ranks, side, &f, NULL)) return 0;
    size_t need = forecast_host(&f, forecast_widest(&f));
    return need <= o->limit.bytes ? need : 0;
}

/* Ways that fit, least harm first: the same bytes in more time, then fewer ranks, then smaller pictures. */
static void ways(struct outlook *o, struct text *out)
{
    int side = o->task.instance.side, ranks = o->ranks.size, how = o->task.settings.train_recompute;
    int f = vae_factor(&o->model->vae), narrow[] = {side * 3 / 4, side / 2, side / 4};
    char size[32];
    size_t need;
    if (how == RECOMPUTE_NEVER && (need = need_with(o, RECOMPUTE_ALWAYS, ranks, side)))
        text_printf(out, "; it would fit with --set train.recompute=always (%s)",
                    cli_size(need, size));
    for (int r = ranks - 1; r > 0 && !out->n; r--)
        if ((need = need_with(o, RECOMPUTE_ALWAYS, r, side)))
            text_printf(out, "; it would fit with engram up --ranks %d%s (%s)", r,
                        how == RECOMPUTE_NEVER ? " and --set train.recompute=always" : "",
                        cli_size(need, size));
    for (int i = 0; i < 3; i++) {
        int s = narrow[i] / (8 * f) * 8 * f;
        if (s > 0 && (need = need_with(o, RECOMPUTE_ALWAYS, ranks, s))) {
            text_printf(out, "%s --set sample.side=%d%s (%s)",
                        out->n ? " or with" : "; it would fit with", s,
                        how == RECOMPUTE_NEVER ? " and train.recompute=always" : "",
                        cli_size(need, size));
            break;
        }
    }
    if (!out->n) text_add(out, "; nothing smaller that was tried fits either");
}

size_t outlook_disk(const struct outlook *o)
{
    const struct forecast_disk *d = &o->forecast.disk;
    return o->images + d->class_images + d->masks + d->commit + d->pictures + d->checkpoint;
}

static enum code disk_fits(const struct outlook *o, struct err *e)
{
    char need[32], left[32];
    if (outlook_disk(o) <= o->disk_free) return OK;
    return err_set(e, ERR_FULL,
                   "learning %s needs up to %s of disk, %s is free in %s; a smaller prior.count or "
                   "evaluate.per_prompt, or --no-evaluate, needs less",
                   o->task.token, cli_size(outlook_disk(o), need), cli_size(o->disk_free, left),
                   o->options->home);
}

enum code outlook_fits(struct outlook *o, struct err *e)
{
    const struct forecast *f = &o->forecast;
    const struct forecast_stage *s = forecast_widest(f);
    char need[32], own[32], shared[32], limit[32];
    struct text t = {0};
    if (forecast_host(f, s) <= o->limit.bytes) return disk_fits(o, e);
    ways(o, &t);
    err_set(e, ERR_NOMEM,
            "stage %s of %s needs %s of memory (%d rank%s of %s, and %s that they share); "
            "%s %s%s",
            s->name, o->task.token, cli_size(forecast_host(f, s), need), f->ranks,
            f->ranks == 1 ? "" : "s", cli_size(s->own, own), cli_size(f->shared, shared),
            cli_size(o->limit.bytes, limit), o->limit.what, t.s ? t.s : "");
    text_fini(&t);
    return ERR_NOMEM;
}
