/* forecast.c - the stages, one function each, and what they hold at their peak.
 *
 * Each function mirrors a runner in workers/ and what it calls; when one of them learns to hold more, tests/method/forecast.c and
 * tests/cli/plan.sh notice. Small things (prompts, rows of tokens, file buffers under a megabyte) are in FORECAST_RANK_BYTES.
 */
#include "pipeline/forecast/forecast.h"

#include "pipeline/method/train.h"
#include "pipeline/model/runner.h"

struct forecasting {
    const struct forecast_task *t;
    const struct task *task;
    struct pace *pace;
    struct forecast *f;
    size_t lineage; /* bytes of W_m and the masks */
    int side, ranks;
};

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t square(const struct forecasting *x)
{
    return (size_t)x->side * (size_t)x->side;
}

static int fewer(int a, int b)
{
    return a < b ? a : b;
}

static int share(int n, int ranks)
{
    return (n + ranks - 1) / ranks;
}

static size_t weights_bytes(struct weights_use u)
{
    return u.mapped + u.converted;
}

/* What every stage has once its graphs are built: own arrays at the peak come on top. */
static void finish(struct forecasting *x, struct forecast_stage *s, size_t arena, size_t arrays)
{
    const struct base_model *m = x->task->model;
    const struct evaluate_task *v = x->t->evaluate;
    s->arena = arena;
    s->own = FORECAST_RANK_BYTES + x->t->opened + arrays;
    s->shared =
        FORECAST_PROGRAM_BYTES + m->kv.n_weights * sizeof(float) + weights_bytes(base_model_use(m));
    if (s == &x->f->stage[FORECAST_EVALUATE] && v)
        s->shared += weights_bytes(weights_use(v->clip->weights));
    x->f->shared = s->shared;
    if (!s->busy) s->busy = x->ranks;
}

/* prior.c: the sampler and this rank's pictures; then its pictures, everybody's, and all in order; then those as a file. */
static enum code prior(struct forecasting *x, struct forecast_stage *s, struct err *e)
{
    const struct settings *o = &x->task->settings;
    const struct base_model *m = x->task->model;
    struct cost c = {0};
    size_t picture = 3 * square(x);
    int count = (int)o->prior_count, mine = share(count, x->ranks);
    enum code rc = sampler_cost(m, x->task->kernels, x->side, x->side, 0, (int)o->prior_steps,
                                (float)o->prior_guidance, x->pace, &c, e);
    if (rc) return rc;
    size_t draw = c.arena + sampler_bytes(m, x->side, x->side, 0) + (size_t)mine * picture;
    size_t gather = ((size_t)mine * (1 + (size_t)x->ranks) + (size_t)count) * picture;
    s->count = count;
    s->what = "class images";
    s->seconds = mine * c.seconds;
    x->f->disk.class_images = (size_t)count * picture;
    s->busy = fewer(count, x->ranks);
    finish(x, s, c.arena, most(draw, gather));
    return OK;
}

static size_t mask_bytes(const struct forecasting *x)
{
    return x->task->model->kv.n_weights / 8;
}

/* cns.c: text states one by one, then masks. */
static enum code score(struct forecasting *x, struct forecast_stage *s, struct err *e)
{
    const struct task *t = x->task;
    struct cost c = {0};
    int k = (int)t->settings.general_k < t->n_calibration ? (int)t->settings.general_k
                                                          : t->n_calibration;
    enum code rc = text_states_cost(t->model, t->kernels, tokenizer_length(t->model->tokenizer),
                                    t->settings.score_caption_token != 0, x->pace, &c, e);
    if (rc) return rc;
    s->count = t->n_captions + k;
    s->what = "prompts";
    s->seconds = x->t->score_seconds > 0 ? x->t->score_seconds : (double)s->count * c.seconds;
    x->f->disk.masks = 4 * mask_bytes(x);
    finish(x, s, c.arena, x->lineage + most(c.arena, 2 * 4 * mask_bytes(x)));
    return OK;
}

/* What train.c may take when it builds the loss: this rank's part of the host, less what it holds by then. */
static size_t left_for_loss(const struct forecasting *x, const struct forecast_stage *s)
{
    size_t host = x->t->memory;
    if (!host) return 0;
    size_t rank = host > s->shared ? (host - s->shared) / (size_t)x->ranks : 0;
    return rank > s->own ? rank - s->own : 1;
}

/* train.c: pictures are decoded and class images read; then encoded; then the loop with its checkpoints. */
static enum code train(struct forecasting *x, struct forecast_stage *s, struct err *e)
{
    struct task t = *x->task;
    struct train_cost c;
    size_t n = x->t->neurons, dim = (size_t)t.model->text.hidden;
    t.settings.train_recompute = RECOMPUTE_NEVER;
    enum code rc = train_cost(&t, n, NULL, &c, e); /* once, so that its weights are counted */
    if (rc) return rc;
    size_t class_images = (size_t)t.prior.n * 3 * square(x),
           held =
               x->lineage + 4 * mask_bytes(x) + (size_t)t.instance.n * 3 * square(x) + class_images;
    x->f->disk.checkpoint = 12 * (n + dim) + 4 * (size_t)t.settings.train_steps;
    x->f->disk.commit = mask_bytes(x) + 4 * (n + dim);
    finish(x, s, 0, held + c.latents);
    t.settings.train_recompute = x->task->settings.train_recompute;
    t.memory = left_for_loss(x, s);
    rc = train_cost(&t, n, x->pace, &c, e);
    if (rc) return rc;
    size_t read = class_images, encode = c.latents + c.gathering + c.encode.arena,
           loop = c.latents + c.own + c.step.arena + x->f->disk.checkpoint;
    s->count = t.settings.train_steps;
    s->what = "steps";
    s->seconds =
        c.pictures * c.encode.seconds + (double)t.settings.train_steps * c.samples * c.step.seconds;
    s->busy = c.busy;
    x->f->recompute = c.recompute;
    finish(x, s, most(c.encode.arena, c.step.arena), held + most(read, most(encode, loop)));
    return OK;
}

/* stage_sample.c: a sampler of the grown lineage, a picture and its file. */
static enum code sample(struct forecasting *x, struct forecast_stage *s, struct err *e)
{
    const struct task *t = x->task;
    struct cost c = {0};
    int tokens = t->lineage->n + 1;
    enum code rc =
        sampler_cost(t->model, t->kernels, x->side, x->side, tokens, (int)t->settings.sample_steps,
                     (float)t->settings.sample_guidance, x->pace, &c, e);
    if (rc) return rc;
    s->count = x->t->previews;
    s->what = "pictures";
    s->seconds = share(x->t->previews, x->ranks) * c.seconds;
    s->busy = fewer(x->t->previews, x->ranks);
    x->f->disk.pictures += (size_t)x->t->previews * 3 * square(x);
    finish(x, s, c.arena,
           x->lineage + mask_bytes(x) + c.arena +
               sampler_bytes(t->model, x->side, x->side, tokens) + 6 * square(x));
    return OK;
}

static enum code evaluate(struct forecasting *x, struct forecast_stage *s, struct err *e)
{
    struct evaluate_cost c;
    enum code rc = evaluate_cost(x->t->evaluate, x->pace, &c, e);
    if (rc) return rc;
    s->count = c.pictures;
    s->what = "pictures";
    s->seconds = c.seconds;
    s->busy = c.busy;
    x->f->disk.pictures += (size_t)c.pictures * 3 * square(x);
    finish(x, s, c.arena, x->lineage + mask_bytes(x) + c.arena + c.own);
    return OK;
}

enum code forecast_make(struct forecast *f, const struct forecast_task *t, struct pace *pace,
                        struct err *e)
{
    static const struct {
        const char *name;
        enum code (*run)(struct forecasting *x, struct forecast_stage *s, struct err *e);
    } stages[FORECAST_STAGES] = {
        [FORECAST_PRIOR] = {"prior", prior},          [FORECAST_SCORE] = {"score", score},
        [FORECAST_TRAIN] = {"train", train},          [FORECAST_SAMPLE] = {"sample", sample},
        [FORECAST_EVALUATE] = {"evaluate", evaluate},
    };
    const struct task *task = t->task;
    const int wanted[FORECAST_STAGES] = {task->prior.n > 0, 1, 1, t->previews > 0,
                                         t->evaluate != NULL};
    struct forecasting x = {
        .t = t, .task = task, .pace = pace, .f = f, .side = task->instance.side};
    size_t n = task->model->kv.n_weights;
    x.ranks = task->ranks->size;
    x.lineage = n * sizeof(float) + (size_t)(task->lineage->n + 1) * (n / 8);
    *f = (struct forecast){.ranks = x.ranks};
    enum code rc = OK;
    for (int i = 0; !rc && i < FORECAST_STAGES; i++) {
        f->stage[i] = (struct forecast_stage){.name = stages[i].name, .wanted = wanted[i]};
        if (wanted[i]) rc = stages[i].run(&x, &f->stage[i], e);
    }
    return rc;
}

size_t forecast_rank(const struct forecast *f, const struct forecast_stage *s)
{
    return f->shared + s->own;
}

size_t forecast_host(const struct forecast *f, const struct forecast_stage *s)
{
    return f->shared + (size_t)f->ranks * s->own - (size_t)(f->ranks - s->busy) * s->arena;
}

const struct forecast_stage *forecast_widest(const struct forecast *f)
{
    const struct forecast_stage *widest = &f->stage[FORECAST_SCORE];
    for (int i = 0; i < FORECAST_STAGES; i++)
        if (f->stage[i].wanted && forecast_host(f, &f->stage[i]) > forecast_host(f, widest))
            widest = &f->stage[i];
    return widest;
}
