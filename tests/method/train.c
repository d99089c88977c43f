/* Stage train of CNS end to end on the tiny model: what moves and what must not, resumption, damage, divergence, L_reg.
 * timeout: 300 (under sanitizers) */
#include "base/arena.h"
#include "base/file.h"
#include "base/parallel.h"
#include "pipeline/method/train.h"
#include "pipeline/model/weights.h"
#include "tests/method/support/study.h"
#include "tests/tap.h"

/* ---- what moves -------------------------------------------------------------------------------------------------- */

static void moves_only_its_own(struct study *s, const struct commit *c)
{
    struct err e;
    size_t n = s->lineage.n_weights, outside = 0, still = 0;
    float *before = malloc(n * sizeof *before);
    memcpy(before, s->lineage.kv, n * sizeof *before);
    int earlier = s->lineage.n;
    size_t row_bytes = s->lineage.dim * sizeof(float);
    float *rows = malloc((size_t)earlier * row_bytes + 1);
    if (earlier) memcpy(rows, s->lineage.rows, (size_t)earlier * row_bytes);
    is_code(study_follow(s, c, &e), OK, &e, "%s is applied", c->token);
    for (size_t i = 0; i < n; i++) {
        int moved = memcmp(&before[i], &s->lineage.kv[i], sizeof *before) != 0;
        outside += moved && !mask_get(&c->mask, i);
        still += !moved && mask_get(&c->mask, i);
    }
    is_int(outside, 0, "%s: weights that were not selected are bit-identical", c->token);
    ok(still < c->n_values / 20, "%s: the selected ones moved (%zu of %zu did not)", c->token,
       still, c->n_values);
    ok(!memcmp(rows, s->lineage.rows, (size_t)earlier * row_bytes),
       "%s: rows of earlier tokens are bit-identical", c->token);
    free(before);
    free(rows);
}

static uint64_t frozen_hash(const struct base_model *m)
{
    struct err e;
    const char *name = "text_model.embeddings.token_embedding.weight";
    const float *table =
        weights_float(m->text_weights, name, (int64_t)m->text.vocab * m->text.hidden, &e);
    struct hash h =
        hash_bytes(table, (size_t)m->text.vocab * (size_t)m->text.hidden * sizeof(float));
    uint64_t first;
    memcpy(&first, h.v, sizeof first);
    return first;
}

static void two_concepts(void)
{
    struct study s;
    struct commit c = {0};
    struct err e;
    if (!is_code(study_open(&s, 1, &e), OK, &e, "the tiny model opens")) return;
    uint64_t frozen = frozen_hash(s.model);
    float *w0 = malloc(s.model->kv.n_weights * sizeof *w0);
    if (is_code(study_learn(&s.task, &c, &e), OK, &e, "a first concept is learned")) {
        ok(hash_is_zero(c.parent) && hash_equal(c.base, s.model->hash),
           "its commit names base and no parent");
        ok(strstr(c.made, "\"inputs\":{\"images\":[\"test\"]}") &&
               strstr(c.made, "\"train.steps\":12"),
           "its record holds inputs and settings");
        moves_only_its_own(&s, &c);
        commit_fini(&c);
    }
    strcpy(s.task.token, "<second>");
    if (is_code(study_learn(&s.task, &c, &e), OK, &e, "a second concept is learned")) {
        ok(hash_equal(c.parent, s.lineage.head), "its parent is the first");
        moves_only_its_own(&s, &c);
        commit_fini(&c);
    }
    is_code(kv_read(&s.model->kv, s.model->unet_weights, w0, &e), OK, &e, "W0 is read again");
    ok(!memcmp(w0, s.w0, s.model->kv.n_weights * sizeof *w0) && frozen == frozen_hash(s.model),
       "the base model is as it was");
    free(w0);
    study_close(&s);
}

/* The settings in a record must train the same concept again: nothing rounded. */
static void record(void)
{
    struct study s;
    struct settings back;
    struct commit c = {0};
    struct err e;
    if (!is_code(study_open(&s, 3, &e), OK, &e, "a study")) return;
    settings_set(&s.task.settings, "train.beta2=0.9999999", NULL);
    settings_set(&s.task.settings, "reg.lambda1=0.00012345678901234", NULL);
    settings_set(&s.task.settings, "train.steps=2", NULL);
    if (is_code(study_learn(&s.task, &c, &e), OK, &e, "learned with many digits")) {
        char *own = strdup(strstr(c.made, "\"settings\":") + 11);
        own[strlen(own) - 1] = '\0';
        is_code(settings_parse(&back, own, &e), OK, &e, "the record's settings are settings");
        ok(back.train_beta2 == 0.9999999 && back.reg_lambda1 == 0.00012345678901234,
           "to the last digit");
        free(own);
    }
    commit_fini(&c);
    study_close(&s);
}

/* ---- the same bytes ---------------------------------------------------------------------------------------------- */

struct watch {
    int64_t stop_at, first, calls;
};

static int watching(void *self, int64_t step, int64_t of, const char *line)
{
    struct watch *w = self;
    (void)of, (void)line;
    if (w->calls++ == 0) w->first = step;
    return step == w->stop_at;
}

static void is_same(struct task *t, struct hash want, int64_t first, const char *what)
{
    struct watch w = {.stop_at = -1, .first = -1};
    struct err e = {0};
    t->progress = watching;
    t->progress_self = &w;
    struct hash got = study_learn_name(t, &e);
    t->progress = NULL;
    ok(hash_equal(got, want), "%s: the bytes of the uninterrupted commit %s", what, e.text);
    is_int(w.first, first, "%s: training began at step %lld", what, (long long)first);
}

static void stop_at(struct task *t, int64_t step)
{
    struct watch w = {.stop_at = step, .first = -1};
    struct commit c;
    struct err e;
    t->progress = watching;
    t->progress_self = &w;
    is_code(study_learn(t, &c, &e), ERR_CANCELLED, &e, "stopped at step %lld", (long long)step);
    t->progress = NULL;
    ok(!c.value && !c.made, "and no commit");
}

static void resumption(void)
{
    struct study s;
    struct err e;
    char path[400];
    struct bytes whole = {0};
    if (!is_code(study_open(&s, 1, &e), OK, &e, "a study")) return;
    struct task *t = &s.task, other;
    struct hash want = study_learn_name(t, &e);
    ok(!hash_is_zero(want), "learned in one go");
    ok(hash_equal(want, study_learn_name(t, &e)), "and again: the same bytes");
    parallel_start(1);
    ok(hash_equal(want, study_learn_name(t, &e)), "and on one thread");
    parallel_start(2);
    snprintf(path, sizeof path, "%s/checkpoint", tap_folder());
    t->checkpoint_path = path;
    stop_at(t, 5);
    ok(file_exists(path), "a checkpoint is left");
    is_code(file_read(path, 1u << 26, &whole, &e), OK, &e, "its bytes");
    is_same(t, want, 5, "resumed at 5");
    file_write(path, whole.data, whole.n, NULL);
    stop_at(t, 9);
    is_same(t, want, 9, "stopped twice");
    for (size_t i = 0; i < 3; i++) {
        size_t n = i == 0 ? 0 : i == 1 ? whole.n / 2 : whole.n - 1;
        file_write(path, whole.data, n, NULL);
        is_same(t, want, 0, "truncated");
    }
    const size_t flips[] = {0, 8, 12, 20, 48, 56, 64, 72, 88, whole.n / 2, whole.n - 1};
    for (size_t i = 0; i < sizeof flips / sizeof flips[0]; i += i < 8 ? 4 : 1) {
        whole.data[flips[i]] ^= 4;
        file_write(path, whole.data, whole.n, NULL);
        whole.data[flips[i]] ^= 4;
        is_same(t, want, 0, "one bit flipped");
    }
    other = *t;
    other.seed = 77;
    other.checkpoint_path = NULL;
    other.progress = NULL;
    struct hash theirs = study_learn_name(&other, &e);
    ok(!hash_is_zero(theirs) && !hash_equal(theirs, want), "another seed is another concept");
    file_write(path, whole.data, whole.n, NULL);
    other.checkpoint_path = path;
    is_same(&other, theirs, 0, "a checkpoint of another task");
    t->settings.train_checkpoint_every = 4; /* part of the record, not of the values */
    t->checkpoint_path = NULL;
    want = study_learn_name(t, &e);
    t->checkpoint_path = path;
    unlink(path);
    stop_at(t, 6);
    is_same(t, want, 6, "saved every 4 steps, stopped at 6");
    free(whole.data);
    study_close(&s);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* However the forward values come about, the commit is the same; the plan says which way it will be. */
static void recomputation(void)
{
    struct study s;
    struct err e = {0};
    struct train_cost kept, made;
    is_code(study_open(&s, 1, &e), OK, &e, "a study opens");
    struct task *t = &s.task;
    struct hash want = study_learn_name(t, &e);
    t->settings.train_recompute = RECOMPUTE_NEVER;
    is_code(train_cost(t, 100, NULL, &kept, &e), OK, &e, "a training is planned");
    t->settings.train_recompute = RECOMPUTE_ALWAYS;
    is_code(train_cost(t, 100, NULL, &made, &e), OK, &e, "with less memory, too");
    ok(made.step.arena < kept.step.arena && made.recompute && !kept.recompute,
       "which takes %zu instead of %zu bytes", made.step.arena, kept.step.arena);
    ok(hash_equal(study_learn_name(t, &e), want), "and its commit is the same: %s", e.text);
    exec_arenas_reset();
    study_learn_name(t, &e);
    is_int(exec_arenas_most(),
           made.step.arena > made.encode.arena ? made.step.arena : made.encode.arena,
           "in the memory that was planned");
    t->settings.train_recompute = RECOMPUTE_AUTO;
    t->memory = kept.step.arena + kept.own;
    train_cost(t, 100, NULL, &made, &e);
    ok(!made.recompute, "auto keeps what just fits");
    t->memory--;
    train_cost(t, 100, NULL, &made, &e);
    ok(made.recompute, "and makes again what does not");
    ok(hash_equal(study_learn_name(t, &e), want), "to the same commit");
    t->memory = 0;
    t->ranks_here = 1;
    ok(hash_equal(study_learn_name(t, &e), want), "asking the machine, too");
    study_close(&s);
}

/* ---- what it refuses, and settings that count -------------------------------------------------------------------- */

static void learn_with(struct study *s, const char *set, enum code code, struct commit *out)
{
    struct settings kept = s->task.settings;
    struct err e = {0};
    if (set && settings_set(&s->task.settings, set, &e)) note("%s", e.text);
    *out = (struct commit){0};
    is_code(study_learn(&s->task, out, &e), code, &e, "learned with %s", set);
    if (code) ok(e.text[0] && !out->value, "and says: %s", e.text);
    s->task.settings = kept;
}

static void variants(void)
{
    static const char *const SET[] = {"train.batch=2",        "prior.weight=0",
                                      "train.use_captions=1", "train.augment=none",
                                      "train.detach_bos=0",   "token.init=rand:0.1",
                                      "train.clip=0.001",     "score.caption_token=1"};
    struct study s;
    struct commit plain, c;
    struct err e;
    if (!is_code(study_open(&s, 1, &e), OK, &e, "a study")) return;
    s.task.settings.train_steps = 3;
    learn_with(&s, "train.steps=3", OK, &plain);
    for (size_t i = 0; i < sizeof SET / sizeof SET[0]; i++) {
        learn_with(&s, SET[i], OK, &c);
        ok(c.row && plain.row && memcmp(c.row, plain.row, c.dim * sizeof(float)), "%s counts",
           SET[i]);
        commit_fini(&c);
    }
    learn_with(&s, "reg.lambda1=1000", OK, &c);
    ok(c.n_values == plain.n_values && !memcmp(c.value, plain.value, c.n_values * sizeof(float)) &&
           !memcmp(c.row, plain.row, c.dim * sizeof(float)),
       "m = 1: L_reg changes nothing, to the bit");
    commit_fini(&c);
    learn_with(&s, "token.init=rand:1e39", ERR_FAILED, &c);
    learn_with(&s, "token.init=nonsense", ERR_USAGE, &c);
    uint8_t *small = study_pictures(2, 32, 5);
    struct picture_set prior = s.task.prior;
    s.task.prior = (struct picture_set){small, 2, 32};
    learn_with(&s, "train.steps=3", ERR_INPUT, &c);
    s.task.prior = prior;
    struct picture_set instance = s.task.instance;
    s.task.instance = (struct picture_set){small, 2, 30};
    s.task.prior.n = 0;
    learn_with(&s, "train.steps=3", ERR_INPUT, &c);
    s.task.instance = (struct picture_set){small, 0, 32};
    learn_with(&s, "train.steps=3", ERR_INPUT, &c);
    s.task.instance = instance;
    strcpy(s.task.kind, "style");
    learn_with(&s, "train.steps=3", OK, &c);
    ok(c.row && memcmp(c.row, plain.row, c.dim * sizeof(float)), "a style has prompts of its own");
    commit_fini(&c);
    commit_fini(&plain);
    free(small);
    study_close(&s);
}

/* Distance of the shared neurons from the parent's values after a second concept. */
static double shared_distance(struct study *s, const char *form, const char *lambda1)
{
    struct commit c = {0};
    struct err e = {0};
    double sum = 0;
    size_t shared = 0, next = 0;
    settings_set(&s->task.settings, form, NULL);
    settings_set(&s->task.settings, lambda1, NULL);
    settings_set(&s->task.settings, "reg.lambda2=0", NULL);
    if (!is_code(study_learn(&s->task, &c, &e), OK, &e, "second concept, %s, %s", form, lambda1))
        return NAN;
    for (size_t i = 0; i < c.mask.n_bits; i++) {
        if (!mask_get(&c.mask, i)) continue;
        double d = (double)c.value[next++] - (double)s->lineage.kv[i];
        if (mask_get(&s->lineage.used, i)) {
            sum += d * d;
            shared++;
        }
    }
    commit_fini(&c);
    ok(shared > 0, "%zu shared neurons", shared);
    return sqrt(sum);
}

static void pull(void)
{
    struct study s;
    struct commit c = {0};
    struct err e;
    if (!is_code(study_open(&s, 1, &e), OK, &e, "a study")) return;
    if (is_code(study_learn(&s.task, &c, &e), OK, &e, "first concept") &&
        !study_follow(&s, &c, &e)) {
        strcpy(s.task.token, "<second>");
        s.task.seed = 2;
        settings_set(&s.task.settings, "train.clip=0", NULL);
        double free_walk = shared_distance(&s, "reg.form=l2sq", "reg.lambda1=0");
        static const char *const FORM[] = {"reg.form=l2", "reg.form=l2_global", "reg.form=l2sq",
                                           "reg.form=mse"};
        for (int i = 0; i < 4; i++) {
            double held = shared_distance(&s, FORM[i], "reg.lambda1=1000");
            note("%s: shared neurons end %.3g from the parent's, without L_reg %.3g", FORM[i], held,
                 free_walk);
            ok(held < 0.3 * free_walk, "%s keeps shared neurons near the parent's values", FORM[i]);
        }
    }
    commit_fini(&c);
    study_close(&s);
}

/* Class images: number i does not depend on how many there are. */
static void class_images(void)
{
    struct study s;
    struct err e;
    uint8_t *three = NULL, *two = NULL;
    int side = 0;
    if (!is_code(study_open(&s, 1, &e), OK, &e, "a study")) return;
    is_code(prior_make(&s.task, &three, &side, &e), OK, &e, "three class images");
    is_int(side, STUDY_SIDE, "of the model's own side");
    s.task.settings.prior_count = 2;
    s.task.lineage = NULL;
    is_code(prior_make(&s.task, &two, &side, &e), OK, &e, "two class images, no lineage");
    size_t bytes = (size_t)side * (size_t)side * 3;
    ok(three && two && !memcmp(three, two, 2 * bytes), "are the first two of three");
    ok(three && memcmp(three, three + bytes, bytes), "and differ from each other");
    free(three);
    free(two);
    s.task.settings.prior_count = 0;
    is_code(prior_make(&s.task, &two, &side, &e), OK, &e, "none may be asked for");
    free(two);
    s.task.settings.prior_count = 2;
    struct watch w = {.stop_at = 0};
    s.task.progress = watching;
    s.task.progress_self = &w;
    is_code(prior_make(&s.task, &two, &side, &e), ERR_CANCELLED, &e, "class images may be stopped");
    ok(!two, "and leave nothing");
    study_close(&s);
}

/* Allocations fail one after another, first each, then ever fewer: the error is named and nothing stays (SAN=1 looks). */
static void without_memory(void)
{
    struct study s;
    struct commit c = {0};
    struct err e;
    long tried = 0, odd = 0, done = 0;
    if (!is_code(study_open(&s, 1, &e), OK, &e, "a study")) return;
    s.task.settings.train_steps = 1;
    s.task.instance.n = s.task.prior.n = 1;
    struct hash want = study_learn_name(&s.task, &e);
    for (long n = 1; n < 100000 && !done; n += 1 + n / 12, tried++) {
        arena_fail_after(n);
        enum code rc = study_learn(&s.task, &c, &e);
        arena_fail_after(0);
        odd += rc ? rc != ERR_NOMEM || c.value || c.made : !hash_equal(study_name(&c), want);
        if (rc && rc != ERR_NOMEM) note("allocation %ld: %s", n, e.text);
        done = rc == OK;
        commit_fini(&c);
    }
    is_int(odd, 0, "an allocation that fails is ERR_NOMEM and leaves nothing");
    ok(done && tried > 20, "%ld of them were tried, to the end", tried);
    study_close(&s);
}

int main(void)
{
    parallel_start(2);
    without_memory();
    two_concepts();
    record();
    resumption();
    recomputation();
    variants();
    pull();
    class_images();
    parallel_stop();
    return done_testing();
}
