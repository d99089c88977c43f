/* train.c - the loop: draw samples, gather their gradients, add in order, regularise, clip, Adam. */
#include "pipeline/method/train.h"

#include "base/arena.h"
#include "base/memory.h"
#include "base/philox.h"
#include "pipeline/method/adam.h"
#include "pipeline/method/cns.h"
#include "pipeline/method/latents.h"
#include "pipeline/method/regulariser.h"
#include "pipeline/model/loss.h"
#include "pipeline/model/runner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BALANCE_STEPS 20 /* steps that the regulariser's probe averages over */
#define TAIL 3           /* floats after a sample's gradient: error, "something failed", "stop" */

struct trainer {
    const struct task *t;
    struct train_state *s;
    struct latents instance, prior;
    int32_t *ids; /* [n_images + 1][length]; the last row is the class prompt */
    int length;
    uint32_t *position;   /* [n] neurons in the flat vector, ascending */
    size_t *begin;        /* [n_matrices + 1] where each matrix begins in the list */
    uint8_t *shared;      /* [n] in M_reg */
    float *parent, *base; /* [n] */
    float *kv, *extra;    /* what the graph reads: all K/V weights, all token rows */
    struct loss_graph *graph;
    float *noise, *clean, *noisy, *target; /* [latent] */
    float *mine, *all;      /* gathered gradients: [slots][n + dim + TAIL], times ranks */
    float *grad, *grad_row; /* sums: [n], [dim] */
    size_t width;           /* n + dim + TAIL */
    int samples, slots;     /* per step; per rank */
};

static int instances(const struct trainer *r)
{
    return (int)r->t->settings.train_batch;
}

static int class_images(const struct trainer *r)
{
    return r->prior.n > 0 && r->t->settings.prior_weight > 0.0 ? instances(r) : 0;
}

/* ---- making ---------------------------------------------------------------------------------------------------- */

static enum code tokenize(struct trainer *r, struct err *e)
{
    const struct task *t = r->t;
    struct tokenizer *k = tokenizer_clone(t->model->tokenizer);
    enum code rc = k ? OK : err_set(e, ERR_NOMEM, "out of memory for a tokenizer");
    int32_t id;
    struct encoded enc;
    char text[2048];
    for (int i = 0; !rc && i < t->lineage->n; i++)
        rc = tokenizer_add(k, t->lineage->token[i], &id, e);
    if (!rc) rc = tokenizer_add(k, t->token, &id, e);
    for (int i = 0; !rc && i <= t->instance.n; i++) {
        int style = !strcmp(t->kind, "style");
        if (i < t->instance.n) instance_prompt(t, i, text, sizeof text);
        else
            prompt_fill(style ? t->settings.prior_style_prompt : t->settings.prior_prompt, "",
                        t->class_word, text, sizeof text);
        rc = tokenizer_encode(k, text, r->ids + (size_t)i * (size_t)r->length, r->length, &enc, e);
        if (!rc && enc.n_full > enc.n && i < t->instance.n)
            rc = err_set(e, ERR_INPUT,
                         "training prompt \"%s\" has %d tokens; the text encoder reads %d", text,
                         enc.n_full, enc.n);
    }
    tokenizer_close(k);
    return rc;
}

static void list_matrices(struct trainer *r)
{
    const struct kv_layout *l = &r->t->model->kv;
    size_t at = 0;
    for (int i = 0; i < l->n; i++) {
        r->begin[i] = at;
        size_t end = l->matrix[i].offset + (size_t)(l->matrix[i].rows * l->matrix[i].cols);
        while (at < r->s->n && r->position[at] < end) at++;
    }
    r->begin[l->n] = at;
}

static void list_values(struct trainer *r, const struct masks *m)
{
    for (size_t i = 0; i < r->s->n; i++) {
        uint32_t at = r->position[i];
        r->parent[i] = r->s->w[i] = r->t->lineage->kv[at];
        r->base[i] = r->t->w0[at];
        r->shared[i] = (uint8_t)mask_get(&m->reg, at);
    }
}

/* One array of the trainer: where its pointer goes, and its size. */
struct want {
    void *at;
    size_t n, size;
};
enum { WANTS = 15 };

static void wants(struct trainer *r, struct want want[WANTS])
{
    const struct task *t = r->t;
    size_t n = r->s->n, dim = r->s->dim, latent = latents_count(&r->instance),
           rows = (size_t)t->lineage->n + 1, gathered = r->width * (size_t)r->slots;
    const struct want list[WANTS] = {
        {&r->ids, ((size_t)t->instance.n + 1) * (size_t)r->length, sizeof(int32_t)},
        {&r->begin, (size_t)t->model->kv.n + 1, sizeof(size_t)},
        {&r->shared, n, 1},
        {&r->parent, n, sizeof(float)},
        {&r->base, n, sizeof(float)},
        {&r->kv, t->model->kv.n_weights, sizeof(float)},
        {&r->extra, rows * dim, sizeof(float)},
        {&r->noise, latent, sizeof(float)},
        {&r->clean, latent, sizeof(float)},
        {&r->noisy, latent, sizeof(float)},
        {&r->target, latent, sizeof(float)},
        {&r->mine, gathered, sizeof(float)},
        {&r->all, gathered * (size_t)t->ranks->size, sizeof(float)},
        {&r->grad, n, sizeof(float)},
        {&r->grad_row, dim, sizeof(float)},
    };
    memcpy(want, list, sizeof list);
}

static enum code allocate(struct trainer *r, struct err *e)
{
    struct want want[WANTS];
    wants(r, want);
    for (size_t i = 0; i < WANTS; i++) {
        void *p = mem_alloc(want[i].n ? want[i].n : 1, want[i].size);
        memcpy(want[i].at, &p, sizeof p);
        if (!p) return err_set(e, ERR_NOMEM, "out of memory for training %zu neurons", r->s->n);
    }
    return OK;
}

/* All arrays of the loop: those above, positions, and Adam's state. */
static size_t own_bytes(struct trainer *r)
{
    struct want want[WANTS];
    size_t bytes = r->s->n * sizeof *r->position +
                   sizeof(float) * (3 * (r->s->n + r->s->dim) + (size_t)r->s->steps);
    wants(r, want);
    for (size_t i = 0; i < WANTS; i++) bytes += want[i].n * want[i].size;
    return bytes;
}

static void count_samples(struct trainer *r)
{
    r->samples = instances(r) + class_images(r);
    r->slots = (r->samples + r->t->ranks->size - 1) / r->t->ranks->size;
    r->width = r->s->n + r->s->dim + TAIL;
}

/* Asked when all weights of the loss are there and before its arena is touched. All ranks ask before any goes on. */
static size_t may_take(const struct task *t)
{
    return t->memory ? t->memory : memory_free().bytes / (size_t)t->ranks_here;
}

/* The shape of the loss, and whether its values are made again. The bytes are the same either way, so every rank may decide
 * for itself. *c, if asked for or needed for that, is what the loss will take. */
static enum code choose_shape(struct trainer *r, struct pace *pace, struct loss_shape *shape,
                              struct cost *c, struct err *e)
{
    const struct task *t = r->t;
    int how = t->settings.train_recompute;
    int unsure = how == RECOMPUTE_AUTO && (t->memory || t->ranks_here);
    struct cost own_cost = {0}, *cost = c ? c : &own_cost;
    *shape = (struct loss_shape){.h = r->instance.h,
                                 .w = r->instance.w,
                                 .length = r->length,
                                 .n_extra = t->lineage->n + 1,
                                 .detach_first = t->settings.train_detach_bos != 0,
                                 .recompute = how == RECOMPUTE_ALWAYS};
    if (!c && !unsure) return OK;
    enum code rc = loss_cost(t->model, t->kernels, shape, pace, cost, e);
    if (rc || !unsure || cost->arena + own_bytes(r) <= may_take(t)) return rc;
    *cost = (struct cost){0};
    shape->recompute = 1;
    return c ? loss_cost(t->model, t->kernels, shape, pace, cost, e) : OK;
}

static enum code graph_open(struct trainer *r, struct err *e)
{
    const struct task *t = r->t;
    size_t before = (size_t)t->lineage->n * r->s->dim;
    struct loss_shape shape;
    memcpy(r->kv, t->lineage->kv, t->lineage->n_weights * sizeof(float));
    if (before) memcpy(r->extra, t->lineage->rows, before * sizeof(float));
    enum code rc = choose_shape(r, NULL, &shape, NULL, e);
    return rc ? rc : loss_make(&r->graph, t->model, t->kernels, &shape, r->kv, r->extra, e);
}

static int mirrors_of(const struct task *t)
{
    return t->settings.train_augment == 1 ? 2 : 1;
}

static enum code trainer_open(struct trainer *r, const struct task *t, const struct masks *m,
                              struct train_state *s, struct err *e)
{
    size_t n = 0;
    *r = (struct trainer){.t = t, .s = s, .length = tokenizer_length(t->model->tokenizer)};
    enum code rc = mask_positions(&m->concept, &r->position, &n, e);
    if (!rc)
        rc = train_state_make(s, n, (uint32_t)t->model->text.hidden, t->settings.train_steps, e);
    rc = collectives_agree(t->ranks, rc, e);
    if (!rc) rc = latents_make(&r->instance, t, t->instance, mirrors_of(t), e);
    if (!rc) rc = latents_make(&r->prior, t, t->prior, 1, e);
    if (rc) return rc;
    count_samples(r);
    rc = allocate(r, e);
    if (!rc) rc = tokenize(r, e);
    if (!rc) rc = token_init(t, s->row, e);
    if (!rc) rc = graph_open(r, e);
    if (!rc) {
        list_matrices(r);
        list_values(r, m);
    }
    return collectives_agree(t->ranks, rc, e);
}

static void trainer_close(struct trainer *r)
{
    void *all[] = {r->ids,  r->position, r->begin, r->shared,  r->parent, r->base,
                   r->kv,   r->extra,    r->noise, r->clean,   r->noisy,  r->target,
                   r->mine, r->all,      r->grad,  r->grad_row};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
    loss_free(r->graph);
    latents_fini(&r->instance);
    latents_fini(&r->prior);
}

/* ---- one step --------------------------------------------------------------------------------------------------- */

/* What sample j of a step is: purely by (seed, step, j). */
static void draw(struct trainer *r, int64_t step, int j, struct loss_sample *out)
{
    const struct task *t = r->t;
    int of_class = j >= instances(r);
    const struct latents *l = of_class ? &r->prior : &r->instance;
    uint64_t s = (uint64_t)step;
    uint32_t u = (uint32_t)j;
    size_t n = latents_count(&r->instance);
    uint32_t pick = philox_below(philox_key(t->seed, PHILOX_TRAIN_PICK), s, u, (uint32_t)l->n);
    uint32_t side =
        philox_below(philox_key(t->seed, PHILOX_TRAIN_FLIP), s, u, (uint32_t)l->mirrors);
    uint32_t T = (uint32_t)t->model->schedule.config.train_steps;
    out->t = (int)philox_below(philox_key(t->seed, PHILOX_TRAIN_TIME), s, u, T);
    philox_normal(philox_key(t->seed, PHILOX_LATENT), s, u, r->noise, n);
    latents_draw(l, &t->model->vae, (int)pick, (int)side, r->noise, r->clean);
    philox_normal(philox_key(t->seed, PHILOX_TRAIN_NOISE), s, u, r->noise, n);
    schedule_add_noise(&t->model->schedule, out->t, r->clean, r->noise, r->noisy, n);
    schedule_target(&t->model->schedule, out->t, r->clean, r->noise, r->target, n);
    out->noisy = r->noisy;
    out->target = r->target;
    out->ids = r->ids + (size_t)(of_class ? t->instance.n : (int)pick) * (size_t)r->length;
    out->weight = (float)((of_class ? t->settings.prior_weight : 1.0) / (double)instances(r));
}

/* The gradient of one sample, packed: the concept's neurons, the new token's row, the tail. */
static enum code sample_gradient(struct trainer *r, int64_t step, int j, float *out, struct err *e)
{
    const struct kv_layout *l = &r->t->model->kv;
    struct loss_sample sample;
    struct loss_outputs o;
    draw(r, step, j, &sample);
    enum code rc = loss_run(r->graph, &sample, &o, e);
    if (rc) return rc;
    for (int m = 0; m < l->n; m++)
        for (size_t i = r->begin[m]; i < r->begin[m + 1]; i++)
            out[i] = o.d_kv[m][r->position[i] - l->matrix[m].offset];
    memcpy(out + r->s->n, o.d_extra + (size_t)r->t->lineage->n * r->s->dim,
           r->s->dim * sizeof(float));
    out[r->s->n + r->s->dim] = o.error;
    return OK;
}

static const float *gathered(const struct trainer *r, int j)
{
    int size = r->t->ranks->size;
    return r->all + ((size_t)(j % size) * (size_t)r->slots + (size_t)(j / size)) * r->width;
}

/* Adds all samples in sample order. Returns the mean error of the instances. */
static float add_up(struct trainer *r)
{
    double error = 0.0;
    memset(r->grad, 0, r->s->n * sizeof(float));
    memset(r->grad_row, 0, r->s->dim * sizeof(float));
    for (int j = 0; j < r->samples; j++) {
        const float *g = gathered(r, j);
        for (size_t i = 0; i < r->s->n; i++) r->grad[i] += g[i];
        for (size_t i = 0; i < r->s->dim; i++) r->grad_row[i] += g[r->s->n + i];
        if (j < instances(r)) error += (double)g[r->s->n + r->s->dim];
    }
    return (float)(error / instances(r));
}

/* Rank 0 asks whether to go on; the answer travels with the gradients, so nobody waits twice. */
static int asked_to_stop(const struct trainer *r)
{
    const struct task *t = r->t;
    if (t->ranks->rank != 0 || !t->progress) return 0;
    char line[64] = "";
    if (r->s->step) snprintf(line, sizeof line, "loss %.4f", (double)r->s->loss[r->s->step - 1]);
    else
        snprintf(line, sizeof line, "needs %.1f MiB a rank",
                 (double)loss_peak(r->graph) / 1048576.0);
    return t->progress(t->progress_self, r->s->step, r->s->steps, line);
}

static enum code gather(struct trainer *r, int64_t step, struct err *e)
{
    const struct task *t = r->t;
    size_t tail = r->s->n + r->s->dim;
    int stop = asked_to_stop(r);
    enum code rc = OK;
    for (int slot = 0; slot < r->slots; slot++) {
        float *out = r->mine + (size_t)slot * r->width;
        int j = slot * t->ranks->size + t->ranks->rank;
        if (!rc && !stop && j < r->samples) rc = sample_gradient(r, step, j, out, e);
        out[tail + 1] = rc ? 1.0f : 0.0f;
        out[tail + 2] = stop ? 1.0f : 0.0f;
    }
    enum code sent =
        t->ranks->gather(t->ranks, r->mine, r->width * (size_t)r->slots * sizeof(float), r->all, e);
    if (sent) return sent;
    for (int k = 0; k < t->ranks->size; k++) {
        const float *last =
            r->all + ((size_t)k * (size_t)r->slots + (size_t)r->slots - 1) * r->width;
        if (last[tail + 1] != 0.0f) return collectives_agree(t->ranks, rc, e);
        if (last[tail + 2] != 0.0f)
            return err_set(e, ERR_CANCELLED, "stopped at step %lld", (long long)step);
    }
    return OK;
}

static void update(struct trainer *r)
{
    const struct settings *o = &r->t->settings;
    struct train_state *s = r->s;
    struct regulariser reg = {.form = (enum reg_form)o->reg_form,
                              .lambda1 = o->reg_lambda1,
                              .lambda2 = o->reg_lambda2,
                              .n = s->n,
                              .shared = r->shared,
                              .parent = r->parent,
                              .base = r->base,
                              .begin = r->begin,
                              .n_matrices = r->t->model->kv.n};
    double balance = s->step < BALANCE_STEPS ? regulariser_balance(&reg, r->grad) : -1.0;
    if (balance >= 0.0) {
        s->balance_sum += balance;
        s->balance_n++;
    }
    regulariser_add(&reg, s->w, r->grad);
    double norm2 = adam_norm2(r->grad, s->n) + adam_norm2(r->grad_row, s->dim);
    double scale = adam_clip(o->train_clip, norm2);
    struct adam neurons = {o->train_lr, o->train_beta1, o->train_beta2, o->train_eps,
                           s->n,        s->w_m,         s->w_v};
    struct adam token = {o->train_lr_token, o->train_beta1, o->train_beta2, o->train_eps, s->dim,
                         s->row_m,          s->row_v};
    adam_step(&neurons, s->step + 1, scale, r->grad, s->w);
    adam_step(&token, s->step + 1, scale, r->grad_row, s->row);
}

/* The graph reads the full vectors; the optimiser owns the lists. */
static void publish(struct trainer *r)
{
    for (size_t i = 0; i < r->s->n; i++) r->kv[r->position[i]] = r->s->w[i];
    memcpy(r->extra + (size_t)r->t->lineage->n * r->s->dim, r->s->row, r->s->dim * sizeof(float));
}

/* ---- the loop --------------------------------------------------------------------------------------------------- */

/* Everything that training depends on, except what must not matter (ranks, checkpoint interval). Zero: out of memory, and no
 * checkpoint is read or written. */
static struct hash task_key(const struct task *t, const struct masks *m)
{
    struct settings s = t->settings;
    struct text made = {0};
    s.train_checkpoint_every = 1;
    settings_record(&s, &made);
    text_printf(&made, "\n%s\n%s\n%s\n%llu\n", t->token, t->class_word, t->kind,
                (unsigned long long)t->seed);
    for (int i = 0; i < t->n_captions; i++) text_printf(&made, "%s\n", t->caption[i]);
    struct hash_stream *h = text_ok(&made) ? hash_begin() : NULL;
    if (!h) {
        text_fini(&made);
        return (struct hash){{0}};
    }
    hash_add(h, made.s, made.n);
    hash_add(h, t->model->hash.v, HASH_BYTES);
    hash_add(h, t->lineage->head.v, HASH_BYTES);
    hash_add(h, m->concept.words, m->concept.n_words * sizeof(uint64_t));
    hash_add(h, m->reg.words, m->reg.n_words * sizeof(uint64_t));
    size_t side = (size_t)t->instance.side;
    hash_add(h, t->instance.rgb, (size_t)t->instance.n * side * side * 3);
    if (t->prior.n)
        hash_add(h, t->prior.rgb,
                 (size_t)t->prior.n * (size_t)t->prior.side * (size_t)t->prior.side * 3);
    text_fini(&made);
    return hash_end(h);
}

static enum code save(const struct trainer *r, struct hash key, struct err *e)
{
    const struct task *t = r->t;
    if (!t->checkpoint_path) return OK;
    int mine = t->ranks->rank == 0 && !hash_is_zero(key);
    enum code rc = mine ? train_state_save(r->s, key, t->checkpoint_path, e) : OK;
    return collectives_agree(t->ranks, rc, e);
}

/* Rank 0 reads; all get the same state. */
static enum code resume(struct trainer *r, struct hash key, struct err *e)
{
    const struct task *t = r->t;
    struct train_state *s = r->s;
    int found = 0;
    enum code rc = OK;
    if (t->ranks->rank == 0 && t->checkpoint_path && !hash_is_zero(key))
        rc = train_state_load(s, key, t->checkpoint_path, &found, e);
    rc = collectives_agree(t->ranks, rc, e);
    if (!rc) rc = t->ranks->broadcast(t->ranks, &found, sizeof found, 0, e);
    if (rc || !found) return rc;
    struct {
        void *at;
        size_t bytes;
    } part[] = {
        {s->w, s->n * sizeof(float)},
        {s->w_m, s->n * sizeof(float)},
        {s->w_v, s->n * sizeof(float)},
        {s->row, s->dim * sizeof(float)},
        {s->row_m, s->dim * sizeof(float)},
        {s->row_v, s->dim * sizeof(float)},
        {s->loss, (size_t)s->steps * sizeof(float)},
        {&s->step, sizeof s->step},
        {&s->balance_sum, sizeof s->balance_sum},
        {&s->balance_n, sizeof s->balance_n},
    };
    for (size_t i = 0; !rc && i < sizeof part / sizeof part[0]; i++)
        rc = t->ranks->broadcast(t->ranks, part[i].at, part[i].bytes, 0, e);
    return rc;
}

enum code train_cost(const struct task *t, size_t neurons, struct pace *pace,
                     struct train_cost *out, struct err *e)
{
    struct train_state s = {
        .n = neurons, .dim = (uint32_t)t->model->text.hidden, .steps = t->settings.train_steps};
    struct trainer r = {.t = t, .s = &s, .length = tokenizer_length(t->model->tokenizer)};
    struct loss_shape shape;
    int of_class;
    size_t gathering;
    *out = (struct train_cost){0};
    latents_size(&r.instance, t, t->instance, mirrors_of(t), &out->pictures, &out->gathering);
    latents_size(&r.prior, t, t->prior, 1, &of_class, &gathering);
    out->pictures += of_class;
    if (gathering > out->gathering) out->gathering = gathering;
    out->latents = latents_bytes(&r.instance) + latents_bytes(&r.prior);
    count_samples(&r);
    out->samples = r.slots;
    out->busy = r.samples < t->ranks->size ? r.samples : t->ranks->size;
    out->own = own_bytes(&r);
    enum code rc = image_moments_cost(t->model, t->kernels, t->instance.side, t->instance.side,
                                      pace, &out->encode, e);
    if (!rc) rc = choose_shape(&r, pace, &shape, &out->step, e);
    if (!rc) out->recompute = shape.recompute;
    return rc;
}

enum code train_run(const struct task *t, const struct masks *m, struct train_state *out,
                    struct err *e)
{
    struct trainer r;
    *out = (struct train_state){0};
    struct hash key = task_key(t, m);
    enum code rc = trainer_open(&r, t, m, out, e);
    if (!rc) rc = resume(&r, key, e);
    while (!rc && out->step < out->steps) {
        publish(&r);
        rc = gather(&r, out->step, e);
        if (rc == ERR_CANCELLED)
            save(&r, key, NULL); /* a warning before the end: nothing done is lost */
        if (rc) break;
        out->loss[out->step] = add_up(&r);
        if (!isfinite(out->loss[out->step])) {
            rc = err_set(
                e, ERR_FAILED,
                "training of %s diverged at step %lld; try a smaller train.lr or train.lr_token",
                t->token, (long long)out->step);
            break;
        }
        update(&r);
        out->step++;
        if (out->step % t->settings.train_checkpoint_every == 0) rc = save(&r, key, e);
    }
    trainer_close(&r);
    if (rc) train_state_fini(out);
    return rc;
}
