/* The same bytes for any number of ranks (invariant 4): class images, masks, commits, resumed too. timeout: 300
 *
 * Each rank also computes everything alone, with the table for one process, and compares.
 */
#include "base/file.h"
#include "base/parallel.h"
#include "pipeline/method/method.h"
#include "tests/comm/support/ranks.h"
#include "tests/method/support/study.h"

static struct collectives group, one;

static void is_equal(struct hash a, struct hash b, const char *what)
{
    char x[HASH_TEXT], y[HASH_TEXT];
    is_str(hash_text(a, x), hash_text(b, y), "%s: %d ranks give the bytes of one", what,
           group.size);
    ok(!hash_is_zero(a), "%s: and there are some", what);
}

static struct hash masks_name(struct task t, struct collectives *ranks)
{
    struct masks m;
    struct bytes b = {0};
    struct hash h = {{0}};
    struct err e = {0};
    t.ranks = ranks;
    if (is_code(method_find("cns")->score(&t, &m, &e), OK, &e, "scored by %s", ranks->name)) {
        if (!masks_encode(&m, &b, &e)) h = hash_bytes(b.data, b.n);
        free(b.data);
        masks_fini(&m);
    }
    return h;
}

static struct hash prior_name(struct task t, struct collectives *ranks)
{
    uint8_t *rgb = NULL;
    int side = 0;
    struct hash h = {{0}};
    struct err e = {0};
    t.ranks = ranks;
    if (is_code(prior_make(&t, &rgb, &side, &e), OK, &e, "class images by %s", ranks->name))
        h = hash_bytes(rgb, (size_t)t.settings.prior_count * (size_t)side * (size_t)side * 3);
    free(rgb);
    return h;
}

static struct hash commit_name(struct task t, struct collectives *ranks, const char *set)
{
    struct err e = {0};
    t.ranks = ranks;
    if (set && settings_set(&t.settings, set, &e)) note("%s", e.text);
    struct hash h = study_learn_name(&t, &e);
    ok(!hash_is_zero(h), "learned by %s with %s %s", ranks->name, set ? set : "the defaults",
       e.text);
    return h;
}

static int stop_at_two(void *self, int64_t step, int64_t of, const char *line)
{
    (void)self, (void)of, (void)line;
    return step == 2;
}

/* Stopped by rank 0's progress in a group, resumed by one process, and the other way round. */
static void resumption(struct task t)
{
    struct err e = {0};
    struct commit c;
    char path[400];
    struct hash want = commit_name(t, &one, NULL);
    snprintf(path, sizeof path, "%s/checkpoint-%d", ranks_folder(&group), group.rank);
    t.checkpoint_path = path;
    t.ranks = &group;
    t.progress = group.rank == 0 ? stop_at_two : NULL;
    is_code(study_learn(&t, &c, &e), ERR_CANCELLED, &e, "all ranks stop when rank 0 is told to");
    is_int(file_exists(path), group.rank == 0, "rank 0 keeps the checkpoint");
    t.progress = NULL;
    is_equal(commit_name(t, &group, NULL), want, "resumed by the group");
    group.barrier(&group, &e);
    unlink(path);
    t.ranks = &one;
    t.progress = stop_at_two;
    is_code(study_learn(&t, &c, &e), ERR_CANCELLED, &e, "one process is stopped");
    t.progress = NULL;
    is_equal(commit_name(t, &group, NULL), want, "begun by one, ended by the group");
}

/* A rank that cannot go on takes the others with it, and all say why. */
static void one_rank_fails(struct task t)
{
    struct commit c;
    struct err e = {0};
    char directory[400];
    t.ranks = &group;
    snprintf(directory, sizeof directory, "%s/nowhere/checkpoint", ranks_folder(&group));
    t.checkpoint_path = directory;
    settings_set(&t.settings, "train.checkpoint_every=1", NULL);
    is_code(study_learn(&t, &c, &e), ERR_NOT_FOUND, &e, "rank 0 cannot save: all ranks fail");
    ok(strstr(e.text, "nowhere") != NULL, "with its line: %s", e.text);
}

int main(int argc, char **argv)
{
    struct study s, later;
    struct commit first = {0};
    struct err e = {0};
    ranks_start(&argc, &argv, &group);
    one = collectives_single();
    parallel_start(1);
    enum code rc = study_open(&s, 1, &e);
    if (!rc) rc = study_open(&later, 2, &e);
    if (!is_code(rc, OK, &e, "the tiny model opens")) return ranks_done(&group);
    settings_set(&s.task.settings, "train.steps=5", NULL);
    settings_set(&s.task.settings, "train.batch=2", NULL);
    is_equal(prior_name(s.task, &group), prior_name(s.task, &one), "three class images");
    is_equal(masks_name(s.task, &group), masks_name(s.task, &one), "masks");
    is_equal(commit_name(s.task, &group, NULL), commit_name(s.task, &one, NULL),
             "batch 2: four samples a step");
    is_equal(commit_name(s.task, &group, "train.batch=1"),
             commit_name(s.task, &one, "train.batch=1"), "two samples a step");
    is_equal(commit_name(s.task, &group, "prior.weight=0"),
             commit_name(s.task, &one, "prior.weight=0"), "no class images");
    resumption(s.task);
    one_rank_fails(s.task);
    later.task.settings = s.task.settings;
    if (is_code(study_learn(&s.task, &first, &e), OK, &e, "a first concept") &&
        is_code(study_follow(&later, &first, &e), OK, &e, "a lineage of one"))
        is_equal(commit_name(later.task, &group, NULL), commit_name(later.task, &one, NULL),
                 "a second concept");
    commit_fini(&first);
    study_close(&s);
    study_close(&later);
    parallel_stop();
    return ranks_done(&group);
}
