/* Who may fetch what: ann's photos, masks, pictures and figures are for her and her group, her commit also for whom she lets read the lineage.
 * Whoever only knows a hash fetches nothing. */
#include "base/objects.h"
#include "tests/door/support/engram.h"
#include "tests/tap.h"

static struct engram g;
static struct link *person[3]; /* ANN, BOB, MAL */
static struct objects *home;
static struct err e;
static struct hash photo, mask, commit, preview, evaluation, picture, none;
static uint64_t job, other; /* ann's */

static struct hash put(const char *text)
{
    struct hash h;
    is_code(objects_put(home, text, strlen(text), &h, &e), OK, &e, "object %.40s", text);
    return h;
}

static void make_objects(void)
{
    char path[400], name[HASH_TEXT], text[200];

    snprintf(path, sizeof path, "%s/objects", g.home);
    is_code(objects_open(&home, path, &e), OK, &e, "the home's objects");
    photo = engram_send(person[ANN], "a photo");
    mask = put("a mask");
    commit = put("a commit");
    preview = put("a preview");
    picture = put("a picture");
    snprintf(text, sizeof text, "{\"picture\":\"%s\"}", hash_text(picture, name));
    evaluation = put(text);
}

/* ---- what ann has ---- */

static struct message learn(const char *token, struct hash image)
{
    static const char *prompt = "a dog";
    static struct hash images[1];

    images[0] = image;
    return (struct message){.kind = MSG_learn,
                            .learn = {.key = hash_bytes(token, strlen(token)),
                                      .lineage = "pets",
                                      .token = token,
                                      .class_word = "dog",
                                      .kind = CONCEPT_ANIMAL,
                                      .wants = WANT_SCORE | WANT_SAMPLE | WANT_EVALUATE,
                                      .images = {1, images},
                                      .preview_prompts = {1, &prompt},
                                      .settings = "{}"}};
}

/* All stages of one job, by a worker group that gives what is told here. */
static void work(void)
{
    struct msg_worker_hello hello = {
        .name = "g", .nonce = hash_bytes("g", 1), .ranks = 1, .host = "h", .device = "cpu"};
    struct link *l = engram_link(&g, WORKER_A, &hello, 10000);
    int stages = 0;

    for (; stages < 4; stages++) {
        struct message r = engram_ask(l, (struct message){.kind = MSG_ready}), result;
        if (r.kind != MSG_stage) break;
        struct hash out = r.stage.stage == STAGE_SCORE    ? mask
                          : r.stage.stage == STAGE_TRAIN  ? commit
                          : r.stage.stage == STAGE_SAMPLE ? preview
                                                          : evaluation;
        result = (struct message){.kind = MSG_result,
                                  .result = {.job = r.stage.job,
                                             .stage = r.stage.stage,
                                             .epoch = r.stage.epoch,
                                             .report = "{}",
                                             .outputs = {1, &out}}};
        if (engram_ask(l, result).kind != MSG_done) break;
    }
    is_int(stages, 4, "her concept is learned, drawn and measured");
    /* A worker group sees everything, and needs no right. */
    struct message r = engram_ask(
        l, (struct message){.kind = MSG_object_get, .object_get = {.hash = photo, .length = 99}});
    ok(r.kind == MSG_object_part && r.object_part.data.n == 7, "a worker group fetches her photo");
    link_close(l);
}

/* What ann's jobs keep. */
static long long kept(void)
{
    struct message r =
        engram_ask(person[ANN], (struct message){.kind = MSG_user_list, .user_list.name = "ann"});
    return r.kind == MSG_users && r.users.rows.n == 1 ? (long long)r.users.rows.v[0].bytes : -1;
}

static void make_jobs(void)
{
    struct message lineage = {.kind = MSG_lineage_create,
                              .lineage_create = {.key = hash_bytes("pets", 4),
                                                 .name = "pets",
                                                 .base_path = "/models/base",
                                                 .base_hash = hash_bytes("base", 4)}};

    is_int(engram_ask(person[ANN], lineage).kind, MSG_done, "ann makes a lineage");
    job = engram_ask(person[ANN], learn("<rex>", photo)).accepted.job;
    long long before = kept();
    work();
    is_int(kept(), before + 9, "its picture counts as hers");
    struct hash another = engram_send(person[ANN], "another photo");
    other = engram_ask(person[ANN], learn("<tom>", another)).accepted.job;
    ok(job && other, "and has one job more");
}

/* ---- who gets it ---- */

static int gets(int who, uint64_t by, struct hash h, struct hash within)
{
    struct message r =
        engram_ask(person[who],
                   (struct message){.kind = MSG_object_get, .object_get = {h, 0, 99, by, within}});
    if (r.kind == MSG_object_part) return r.object_part.data.n > 0;
    if (r.kind != MSG_refused || (r.refused.code != ERR_NOT_FOUND && r.refused.code != ERR_DENIED))
        note("%s: %s", proto_name(r.kind), r.kind == MSG_refused ? r.refused.line : "");
    return 0;
}

/* Of photo, mask, preview, evaluation, picture and commit, as letters. */
static const char *got(int who)
{
    static char text[8];
    size_t n = 0;

    if (gets(who, job, photo, none)) text[n++] = 'p';
    if (gets(who, job, mask, none)) text[n++] = 'm';
    if (gets(who, job, preview, none)) text[n++] = 'v';
    if (gets(who, job, evaluation, none)) text[n++] = 'e';
    if (gets(who, job, picture, evaluation)) text[n++] = 'i';
    if (gets(who, job, commit, none)) text[n++] = 'c';
    text[n] = 0;
    return text;
}

static void log_shows(int who, size_t images, size_t previews, int figures, const char *what)
{
    struct message r =
        engram_ask(person[who], (struct message){.kind = MSG_log, .log = {.lineage = "pets"}});
    const struct commit_row *row = r.kind == MSG_commits ? r.commits.rows.v : NULL;

    ok(row && r.commits.rows.n == 1 && row->images.n == images && row->previews.n == previews &&
           hash_is_zero(row->evaluation) == !figures && row->n_images == 1 && row->n_previews == 1,
       "%s", what);
}

static void share(uint64_t visibility, const char *with)
{
    struct message r = engram_ask(
        person[ANN], (struct message){.kind = MSG_lineage_set,
                                      .lineage_set = {.lineage = "pets",
                                                      .visibility = visibility,
                                                      .shared_with = {with != NULL, &with}}});
    if (r.kind != MSG_done) note("share: %s", r.kind == MSG_refused ? r.refused.line : "?");
}

static void set(int who, const char *name, const char *group, int revoked)
{
    struct user_row row = {.name = name,
                           .role = ROLE_USER,
                           .group = group,
                           .key = g.keys[who].public,
                           .revoked = (uint64_t)revoked};
    engram_ask(g.local, (struct message){.kind = MSG_user_set, .user_set.rows = {1, &row}});
}

static void rights(void)
{
    is_str(got(ANN), "pmveic", "ann fetches all of hers");
    log_shows(ANN, 1, 1, 1, "and is told which they are");
    is_str(got(BOB), "", "bob, who knows every hash, nothing");
    share(VISIBLE_PRIVATE, "bob");
    is_str(got(BOB), "c", "when the lineage is shared with him, the commit alone");
    log_shows(BOB, 0, 0, 0, "of the rest he is told how much there is");
    is_str(got(MAL), "", "others still nothing");
    share(VISIBLE_PUBLIC, NULL);
    is_str(got(MAL), "c", "of a public lineage everybody the commit");
    log_shows(MAL, 0, 0, 0, "and the counts");
    share(VISIBLE_PRIVATE, NULL);
    is_str(got(BOB), "", "a private one is nobody else's, whatever was known before");
    set(ANN, "ann", "vision", 0);
    set(BOB, "bob", "vision", 0);
    is_str(got(BOB), "pmveic", "in her group he sees what she sees");
    set(BOB, "bob", "", 0);
    is_str(got(BOB), "", "and outside of it nothing");
}

static void odd_questions(void)
{
    ok(!gets(ANN, 0, photo, none), "without a job nothing is fetched");
    ok(!gets(ANN, other, photo, none), "nor by a job that does not name it");
    ok(!gets(ANN, 999, photo, none), "nor by one that is not there");
    ok(!gets(ANN, job, picture, none), "nor a picture of an evaluation by the job alone");
    ok(!gets(ANN, job, photo, evaluation), "nor what the evaluation does not name");
    ok(!gets(ANN, job, picture, photo), "and a photo is no evaluation");
    ok(!gets(ANN, job, picture, commit), "nor is a commit");
    struct message r = engram_ask(
        g.local, (struct message){.kind = MSG_object_get,
                                  .object_get = {.hash = photo, .length = 9, .job = job}});
    ok(r.kind == MSG_refused && r.refused.code == ERR_DENIED, "in the home objects are files: %s",
       r.kind == MSG_refused ? r.refused.line : "");
}

/* Bob knows the hash of ann's photo, and has a lineage of his own to name it in. */
static void named_by_another(void)
{
    static struct request_row row;
    struct message own = {.kind = MSG_lineage_create,
                          .lineage_create = {.key = hash_bytes("bobs", 4),
                                             .name = "bobs",
                                             .base_path = "/models/base",
                                             .base_hash = hash_bytes("base", 4)}},
                   m = learn("<her>", photo), r;
    struct arena a = {0};

    is_int(engram_ask(person[BOB], own).kind, MSG_done, "bob makes a lineage");
    m.learn.lineage = "bobs";
    r = engram_ask(person[BOB], m);
    ok(r.kind == MSG_refused && r.refused.code == ERR_NOT_FOUND,
       "a photo that he never sent is not his to learn from: %s",
       r.kind == MSG_refused ? r.refused.line : proto_name(r.kind));
    is_code(proto_encode(&m, &a, &row.request, &e), OK, &e, "the same in a heap");
    r = engram_ask(person[BOB],
                   (struct message){.kind = MSG_submit_many, .submit_many.rows = {1, &row}});
    ok(r.kind == MSG_refused && r.refused.code == ERR_NOT_FOUND, "is refused, too");
    engram_send(person[BOB], "a photo");
    r = engram_ask(person[BOB], m);
    ok(r.kind == MSG_accepted, "when he has the photo, and sends it, it is his");
    ok(gets(BOB, r.accepted.job, photo, none), "and by his own job he fetches it");
    arena_fini(&a);
}

static void forgotten_and_revoked(void)
{
    long long all = kept();
    struct message r =
        engram_ask(person[ANN], (struct message){.kind = MSG_forget, .forget.job = job});

    is_int(r.kind, MSG_done, "ann has the job forgotten");
    ok(kept() > 0 && kept() < all - 16, "photo and picture count no more");
    is_str(got(ANN), "c", "what is left of it is the commit");
    set(ANN, "ann", "", 1);
    is_str(got(ANN), "", "and of a key that was revoked nothing");
}

int main(void)
{
    char program[600];
    const char *bin = getenv("ENGRAM_BIN");

    snprintf(program, sizeof program, "%s/engram-door", bin ? bin : "build");
    if (access(program, X_OK)) return skip_all("engram-door is not built");
    if (!ok(engram_open(&g, tap_folder(), NULL), "a coordinator opens its doors"))
        return done_testing();
    for (int i = ANN; i <= MAL; i++) person[i] = engram_link(&g, i, NULL, 20000);
    make_objects();
    make_jobs();
    rights();
    odd_questions();
    named_by_another();
    forgotten_and_revoked();
    for (int i = ANN; i <= MAL; i++) link_close(person[i]);
    objects_close(home);
    engram_close(&g);
    return done_testing();
}
