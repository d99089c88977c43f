/* A whole concept as a worker group runs it, stage by stage, twice: by all ranks and by each alone. timeout: 300
 *
 * prior -> score -> train, then sample and evaluate of the commit: every stage must give the same objects (invariant 4).
 */
#include "base/parallel.h"
#include "pipeline/data/image.h"
#include "tests/comm/support/ranks.h"
#include "tests/method/support/study.h"
#include "workers/group.h"

enum { IMAGES = 3, OUTPUTS = 8 };
static const char SETTINGS[] =
    "{\"train.steps\":4,\"train.batch\":2,\"prior.count\":3,\"prior.steps\":2,\"sample.steps\":2,"
    "\"evaluate.per_prompt\":1,\"general.k\":4,\"train.checkpoint_every\":2}";
static const char *captions[IMAGES],
    *previews[] = {"a <rex> dog in the snow", "a red house", "a <rex> dog asleep"};
static const char *patterns[] = {"a photo of a {concept}", "a {concept} in the snow",
                                 "a house in {concept} style"};

struct bench {
    struct group g;
    struct arena a;
    struct hash image[IMAGES];
    struct msg_stage stage; /* what the coordinator would say; grows with results */
    struct hash chain, prior, masks;
    struct concept_row concept;
};

static void bench_open(struct bench *b, const char *home, struct collectives *ranks,
                       struct hash base)
{
    char folder[400];
    struct err e = {0};
    *b = (struct bench){0};
    snprintf(folder, sizeof folder, "%s/checkpoints", home);
    is_code(file_make_dirs(folder, &e), OK, &e, "a home for %s", ranks->name);
    is_code(group_open(&b->g, strdup(home), ranks, &e), OK, &e, "a group of %d", ranks->size);
    b->g.ranks_here = ranks->size; /* the lowest is rank 0 */
    uint8_t *rgb = study_pictures(IMAGES, 96, 1);
    for (int i = 0; i < IMAGES; i++) {
        struct image im = {.rgb = rgb + (size_t)i * 96 * 96 * 3, .w = 96, .h = 96};
        struct bytes png = {0};
        if (!image_encode_png(&im, NULL, &png, &e))
            objects_put(b->g.objects, png.data, png.n, &b->image[i], &e);
        free(png.data);
        captions[i] = STUDY_CAPTIONS[i];
    }
    free(rgb);
    b->stage = (struct msg_stage){.job = 1,
                                  .epoch = 1,
                                  .seed = 9,
                                  .lineage = "pets",
                                  .base_path = STUDY_MODEL,
                                  .base_hash = base};
}

static void bench_close(struct bench *b)
{
    char *home = (char *)(uintptr_t)b->g.home;
    group_close(&b->g);
    arena_fini(&b->a);
    free(home);
}

/* Runs one stage; its outputs into out. Their number, or -1. */
static int run_stage(struct bench *b, enum stage_kind kind, struct message *request,
                     struct hash out[OUTPUTS], enum code want)
{
    struct outcome o;
    struct err e = {0};
    b->stage.stage = kind;
    enum code rc = proto_encode(request, &b->a, &b->stage.request, &e);
    if (!rc) rc = group_run(&b->g, &b->stage, &b->a, &o, &e);
    if (!is_code(rc, want, &e, "stage %d by %d ranks", (int)kind, b->g.ranks->size) || rc)
        return -1;
    int n = o.n <= OUTPUTS ? (int)o.n : -1;
    ok(n > 0 && text_ok(&o.report) && o.report.n, "gives %d objects and a report", n);
    if (n > 0) memcpy(out, o.output, o.n * sizeof *out);
    text_fini(&o.report);
    return n;
}

static struct message learn_request(struct bench *b)
{
    struct message m = {.kind = MSG_learn, .id = 1};
    m.learn = (struct msg_learn){.lineage = "pets",
                                 .token = "<rex>",
                                 .class_word = "dog",
                                 .kind = CONCEPT_ANIMAL,
                                 .seed = 9,
                                 .wants = WANT_PRIOR | WANT_SCORE | WANT_SAMPLE | WANT_EVALUATE,
                                 .images = {IMAGES, b->image},
                                 .captions = {IMAGES, captions},
                                 .preview_prompts = {3, previews},
                                 .settings = SETTINGS};
    return m;
}

/* All stages of a learn job, then a sample job with settings of its own; the names of all objects, in order. */
static int run_job(struct bench *b, struct hash all[6 * OUTPUTS])
{
    struct message learn = learn_request(b), m = {.kind = MSG_evaluate, .id = 2};
    int n = run_stage(b, STAGE_PRIOR, &learn, all, OK), k;
    if (n < 0) return -1;
    b->prior = all[0];
    b->stage.prior = (struct hashes){1, &b->prior};
    if ((k = run_stage(b, STAGE_SCORE, &learn, all + n, OK)) < 0) return -1;
    b->masks = all[n];
    n += k;
    b->stage.masks = (struct hashes){1, &b->masks};
    if ((k = run_stage(b, STAGE_TRAIN, &learn, all + n, OK)) < 0) return -1;
    b->chain = b->stage.commit = all[n];
    n += k;
    b->stage.chain = (struct hashes){1, &b->chain};
    b->concept = (struct concept_row){.token = "<rex>",
                                      .class_word = "dog",
                                      .kind = CONCEPT_ANIMAL,
                                      .commit = b->chain,
                                      .images = {IMAGES, b->image}};
    b->stage.concepts.n = 1;
    b->stage.concepts.v = &b->concept;
    if ((k = run_stage(b, STAGE_SAMPLE, &learn, all + n, OK)) < 0) return -1;
    is_int(k, 3, "a picture for each preview");
    n += k;
    m.evaluate = (struct msg_evaluate){.lineage = "pets",
                                       .prompts = {3, patterns},
                                       .per_prompt = 1,
                                       .seed = 9,
                                       .settings = SETTINGS};
    if ((k = run_stage(b, STAGE_EVALUATE, &m, all + n, OK)) < 0) return -1;
    return n + k;
}

/* What a group refuses, all ranks alike; afterwards it works on. */
static void refusals(struct bench *b)
{
    struct message learn = learn_request(b);
    struct hash out[OUTPUTS], chain = b->chain, good = b->stage.base_hash;
    b->chain.v[3] ^= 1;
    run_stage(b, STAGE_SAMPLE, &learn, out, ERR_NOT_FOUND);
    b->chain = chain;
    b->masks = b->prior;
    run_stage(b, STAGE_TRAIN, &learn, out, ERR_CORRUPT);
    b->stage.masks.n = 0;
    run_stage(b, STAGE_TRAIN, &learn, out, ERR_INTERNAL);
    b->stage.base_hash.v[0] ^= 1;
    run_stage(b, STAGE_SAMPLE, &learn, out, ERR_CORRUPT);
    b->stage.base_hash = good;
    run_stage(b, STAGE_CAPTION, &learn, out, ERR_INTERNAL);
    learn.learn.settings = "{\"train.stepz\":1}";
    run_stage(b, STAGE_SAMPLE, &learn, out, ERR_USAGE);
    learn = learn_request(b);
    run_stage(b, STAGE_SAMPLE, &learn, out, OK);
}

int main(int argc, char **argv)
{
    struct collectives ranks, one = collectives_single();
    struct bench together, alone;
    struct hash a[6 * OUTPUTS] = {{{0}}}, b[6 * OUTPUTS] = {{{0}}};
    struct base_model *model;
    struct err e;
    char home[400];
    ranks_start(&argc, &argv, &ranks);
    parallel_start(1);
    if (!is_code(base_model_open(&model, STUDY_MODEL, &e), OK, &e, "the tiny model opens"))
        return ranks_done(&ranks);
    snprintf(home, sizeof home, "%s/group", ranks_folder(&ranks));
    bench_open(&together, home, &ranks, model->hash);
    snprintf(home, sizeof home, "%s/rank-%d", ranks_folder(&ranks), ranks.rank);
    bench_open(&alone, home, &one, model->hash);
    base_model_close(model);
    int n = run_job(&together, a), m = run_job(&alone, b), wrong = 0;
    is_int(n, m, "as many objects");
    is_str(together.g.shelf.name, ranks.size > 1 ? "host" : "private", "weights of a group lie");
    is_str(alone.g.shelf.name, "private", "and of one");
    for (int i = 0; i < n && i < m; i++) wrong += !hash_equal(a[i], b[i]);
    is_int(wrong, 0, "%d ranks give the objects of one, all %d", ranks.size, n);
    char path[500];
    snprintf(path, sizeof path, "%s/checkpoints/job-1-train", together.g.home);
    ok(!file_exists(path), "no checkpoint is left when the commit is durable");
    if (n > 0) refusals(&together);
    bench_close(&together);
    bench_close(&alone);
    parallel_stop();
    return ranks_done(&ranks);
}
