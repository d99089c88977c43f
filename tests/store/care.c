/* fsck finds and names what is damaged, gc removes what nobody names and nothing else, a backup is whole or not there and becomes a home
 * again. */
#include "base/file.h"
#include "base/objects.h"
#include "coordinator/care/care.h"
#include "coordinator/store/store.h"
#include "coordinator/store/vfs.h"
#include "tests/store/support/office.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <time.h>

static char home[300];
static struct err e;
static struct objects *objects;

/* ---- a home with some work in it ---- */

static const char *in_home(const char *rest)
{
    static char path[4][PATH_MAX];
    static int turn;
    char *out = path[turn++ % 4];

    snprintf(out, PATH_MAX, "%s/%s", home, rest);
    return out;
}

static struct hash put(const char *text)
{
    struct hash h = {{0}};
    if (objects_put(objects, text, strlen(text), &h, &e)) note("%s", e.text);
    return h;
}

static void put_numbered(const char *what, uint64_t n)
{
    char text[80];
    snprintf(text, sizeof text, "%s %llu", what, (unsigned long long)n);
    put(text);
}

/* What the stages of a job bring, and an evaluation that mentions a picture. */
static void bring(uint64_t job)
{
    static const char *const what[] = {"prior", "score", "train", "sample", "evaluate"};
    /* Jobs whose numbers differ by 3 share class images (office_learn). */
    for (size_t i = job > 3; i < sizeof what / sizeof *what; i++) put_numbered(what[i], job);
}

static void work(struct office *o, uint64_t from, uint64_t to, int stages)
{
    struct message m = office_lineage("pets"), r;

    office_ask(o, &m, (struct hash){{0}}, &r, &e);
    for (uint64_t n = from; n <= to; n++) {
        put_numbered("image", n);
        put_numbered("image", n + 1000000);
        bring(n);
        m = office_learn("pets", n, 15);
        office_ask(o, &m, (struct hash){{0}}, &r, &e);
    }
    for (int i = 0; i < stages; i++) office_work(o, 1, OK, &r, &e);
}

static void make_home(const char *name)
{
    struct office o;

    objects_close(objects);
    snprintf(home, sizeof home, "%s/%s", tap_folder(), name);
    file_make_dirs(in_home("run"), &e);
    file_make_dirs(in_home("checkpoints"), &e);
    file_make_dirs(in_home("keys"), &e);
    file_write_private(in_home("keys/coordinator.key"), "secret", 6, &e);
    objects_open(&objects, in_home("objects"), &e);
    office_open(&o, in_home("coordinator.db"), &e);
    work(&o, 1, 4, 14);
    office_close(&o);
}

/* ---- running a tool ---- */

static char said[20000];

static void listen(struct care *c, enum code (*verb)(struct care *, struct err *), enum code want,
                   const char *sentence)
{
    char *to = said;
    const json_t *line;
    size_t i;

    c->home = home;
    c->json = 1;
    c->out = json_object();
    c->lines = json_array();
    e.text[0] = '\0';
    is_code(verb(c, &e), want, &e, "%s", sentence);
    said[0] = '\0';
    json_array_foreach(c->lines, i, line) to +=
        snprintf(to, 400, "%.300s\n", json_string_value(line));
    snprintf(to, 500, "%s\n", e.text);
    json_decref(c->lines);
}

static int says(const char *words)
{
    if (strstr(said, words)) return 1;
    note("it says: %s", said);
    return 0;
}

static long long counted(struct care *c, const char *what)
{
    return json_integer_value(json_object_get(c->out, what));
}

static void flip(const char *path, off_t at)
{
    unsigned char b = 0;
    int fd = open(path, O_RDWR);

    if (pread(fd, &b, 1, at) != 1) note("%s has no byte %ld", path, (long)at);
    b ^= 4;
    if (pwrite(fd, &b, 1, at) != 1) note("%s cannot be written", path);
    close(fd);
}

static const char *place_of(const char *text)
{
    static char path[PATH_MAX];
    objects_path(objects, hash_bytes(text, strlen(text)), path, sizeof path);
    return path;
}

static void age(const char *path, int hours)
{
    struct timespec t[2] = {{.tv_sec = time(NULL) - hours * 3600},
                            {.tv_sec = time(NULL) - hours * 3600}};
    if (utimensat(AT_FDCWD, path, t, 0)) note("%s: cannot be made older", path);
}

/* ---- fsck ---- */

static void objects_of(void)
{
    struct care c = {0};

    make_home("objects");
    listen(&c, care_fsck, OK, "a home is well");
    ok(says("all is well: 27 objects"), "and says so");
    json_decref(c.out);
    flip(place_of("train 2"), 3);
    unlink(place_of("image 1000003"));
    listen(&c, care_fsck, ERR_CORRUPT, "a damaged and a lost object are found");
    ok(says("is damaged: job 2 (commit)"), "the damaged one by what it was");
    ok(says("is not there: job 3 (image)"), "the lost one by who needs it");
    is_int(counted(&c, "findings"), 2, "two findings");
    json_decref(c.out);
    c = (struct care){.quick = 1};
    listen(&c, care_fsck, ERR_CORRUPT, "--quick does not read objects");
    ok(!strstr(said, "is damaged") && says("is not there"), "and sees only what is not there");
    json_decref(c.out);
    c = (struct care){.set_aside = 1};
    listen(&c, care_fsck, ERR_CORRUPT, "--set-aside makes room");
    json_decref(c.out);
    ok(!file_exists(place_of("train 2")), "the damaged one is out of the way");
    put("train 2");
    put("image 1000003");
    c = (struct care){0};
    listen(&c, care_fsck, OK, "when both were sent again all is well");
    json_decref(c.out);
    flip(place_of("train 2"), 3);
    put("train 2");
    listen(&c, care_fsck, OK, "a damaged object is also mended by sending it again, at once");
    json_decref(c.out);
}

static long long pages_of(const char *path)
{
    struct stat st;
    return stat(path, &st) ? 0 : st.st_size / VFS_PAGE;
}

static void every_page(void)
{
    long long n, found = 0, named = 0;

    make_home("pages");
    n = pages_of(in_home("coordinator.db"));
    for (long long p = 0; p < n; p++) {
        struct care c = {.quick = 1};
        char number[64];
        flip(in_home("coordinator.db"), p * VFS_PAGE + 37 * p % 4000);
        c.home = home;
        c.json = 1;
        c.out = json_object();
        c.lines = json_array();
        found += care_fsck(&c, &e) == ERR_CORRUPT;
        snprintf(number, sizeof number, "pages are damaged: %lld", p + 1);
        named += json_array_size(c.lines) > 0 &&
                 strstr(json_string_value(json_array_get(c.lines, 0)), number) != NULL;
        json_decref(c.lines);
        json_decref(c.out);
        flip(in_home("coordinator.db"), p * VFS_PAGE + 37 * p % 4000);
    }
    is_int(found, n, "a flipped bit is found in each of %d pages", (int)n);
    is_int(named, n, "and each page is named");
}

/* The page in which a row lies is found by trying them all. */
static void who_is_hit(void)
{
    int jobs = 0, stages = 0, commits = 0, unused = 0;
    long long n;

    make_home("who");
    n = pages_of(in_home("coordinator.db"));
    for (long long p = 1; p < n; p++) {
        struct care c = {
            .quick = 1, .home = home, .json = 1, .out = json_object(), .lines = json_array()};
        char all[8000] = "";
        const json_t *line;
        size_t i;
        flip(in_home("coordinator.db"), p * VFS_PAGE + 100);
        care_fsck(&c, &e);
        json_array_foreach(c.lines, i, line) strncat(all, json_string_value(line), 300);
        jobs += strstr(all, "job 1 to 4 cannot be read") != NULL;
        stages += strstr(all, "stages of job 1 to 4 cannot be read") != NULL;
        commits += strstr(all, "commits of lineage 1 cannot be read") != NULL;
        unused += strstr(all, "nothing is lost with it") != NULL;
        json_decref(c.lines);
        json_decref(c.out);
        flip(in_home("coordinator.db"), p * VFS_PAGE + 100);
    }
    ok(jobs && stages && commits, "what lies in a damaged page is named: jobs, stages, commits");
    ok(unused > 0, "of an index it is said that nothing is lost");
}

static void lost_batches(void)
{
    struct care c = {0};
    struct office o;
    struct bytes log;

    make_home("log");
    office_open(&o, in_home("coordinator.db"), &e);
    work(&o, 5, 6, 6);
    file_read(in_home("coordinator.db-wal"), 1 << 24, &log, &e);
    off_t middle = (off_t)log.n / 2;
    free(log.data);
    /* As after a kill: the log stays. */
    char copy[4][PATH_MAX];
    snprintf(copy[0], PATH_MAX, "%s", in_home("coordinator.db"));
    snprintf(copy[1], PATH_MAX, "%s", in_home("coordinator.db-wal"));
    snprintf(copy[2], PATH_MAX, "%s", in_home("coordinator.db-mark"));
    struct bytes files[3];
    for (int i = 0; i < 3; i++) file_read(copy[i], 1 << 24, &files[i], &e);
    office_close(&o);
    for (int i = 0; i < 3; i++) {
        file_write(copy[i], files[i].data, files[i].n, &e);
        free(files[i].data);
    }
    listen(&c, care_fsck, OK, "a home with a log is well");
    json_decref(c.out);
    flip(in_home("coordinator.db-wal"), middle);
    listen(&c, care_fsck, ERR_CORRUPT, "a flipped bit in the log is found");
    ok(says("batches were acknowledged"), "by what is gone with it");
    json_decref(c.out);
    flip(in_home("coordinator.db-wal"), middle);
    flip(in_home("coordinator.db-mark"), 2);
    listen(&c, care_fsck, OK, "one in the mark does no harm");
    ok(says("coordinator.db-mark: one of its two numbers"), "and is said");
    json_decref(c.out);
}

/* ---- gc ---- */

/* One stage done with an output of our choice. */
static void bring_own(struct office *o, struct hash output)
{
    struct hash nonce = office_hash("group", 1);
    struct message hello = {.kind = MSG_worker_hello,
                            .worker_hello = {.name = "g", .nonce = nonce, .ranks = 1}};
    struct message ready = {.kind = MSG_ready}, stage, r;

    office_ask(o, &hello, nonce, &r, &e);
    office_ask(o, &ready, nonce, &stage, &e);
    if (!is_int(stage.kind, MSG_stage, "a stage is there")) return;
    struct message m = {.kind = MSG_result,
                        .result = {.job = stage.stage.job,
                                   .stage = stage.stage.stage,
                                   .epoch = stage.stage.epoch,
                                   .line = "",
                                   .report = "{}",
                                   .outputs = {1, &output}}};
    is_int(stage.stage.stage, STAGE_EVALUATE, "the evaluation");
    office_ask(o, &m, nonce, &r, &e);
}

static void evaluate_one(struct hash picture)
{
    char report[300], hex[HASH_TEXT];
    struct message m = {.kind = MSG_evaluate,
                        .evaluate = {.key = office_hash("key", 77),
                                     .lineage = "pets",
                                     .settings = "{}"}},
                   r;
    struct office o;

    snprintf(report, sizeof report, "{\"pictures\":[\"%s\"]}", hash_text(picture, hex));
    office_open(&o, in_home("coordinator.db"), &e);
    for (int i = 0; i < 20; i++) office_work(&o, 1, OK, &r, &e);
    office_ask(&o, &m, (struct hash){{0}}, &r, &e);
    is_int(r.kind, MSG_accepted, "an evaluation is asked for");
    bring_own(&o, put(report));
    office_close(&o);
}

static enum code make_old(void *self, const struct object *o, struct err *why)
{
    (void)self, (void)why;
    age(o->path, 30);
    return OK;
}

static void garbage(void)
{
    struct care c = {.older_s = 24 * 3600};

    make_home("gc");
    evaluate_one(put("a picture of an evaluation"));
    put("unnamed");
    put("unnamed, and put again");
    file_write(in_home("checkpoints/job-1-train"), "x", 1, &e);
    file_write(in_home("checkpoints/job-99999-train"), "x", 1, &e);
    age(in_home("checkpoints/job-1-train"), 30);
    age(in_home("checkpoints/job-99999-train"), 30);
    objects_each(objects, make_old, NULL, &e);
    put("unnamed, but young");
    put("unnamed, and put again");

    listen(&c, care_gc, OK, "gc looks");
    is_int(counted(&c, "objects"), 1, "one object is named by nobody, and old");
    is_int(counted(&c, "checkpoints"), 2, "two checkpoints belong to jobs that are no more");
    ok(says("would be removed"), "it says what it would do");
    ok(file_exists(place_of("unnamed")) && file_exists(in_home("checkpoints/job-1-train")),
       "and does not do it");
    json_decref(c.out);
    c.remove = 1;
    listen(&c, care_gc, OK, "with --remove it does");
    is_int(counted(&c, "objects"), 1, "one object");
    json_decref(c.out);
    ok(!file_exists(place_of("unnamed")), "the one that nobody names is gone");
    ok(file_exists(place_of("unnamed, but young")), "the young one stays");
    ok(file_exists(place_of("unnamed, and put again")), "and the one that was put again");
    ok(file_exists(place_of("a picture of an evaluation")), "and what an evaluation mentions");
    ok(!file_exists(in_home("checkpoints/job-1-train")), "checkpoints of ended jobs are gone");
    c = (struct care){0};
    listen(&c, care_fsck, OK, "nothing that is named is missing");
    json_decref(c.out);
}

/* Uploads that were broken off: old ones go, young ones and one that is under way stay. */
static void broken_uploads(void)
{
    static const char *const door[] = {"incoming/users/k1", "incoming/users/k2",
                                       "incoming/workers/k3"};
    struct care c = {.older_s = 24 * 3600};
    struct arrival *coming[4] = {0};
    char path[4][PATH_MAX], hex[HASH_TEXT];

    make_home("uploads");
    for (int i = 0; i < 4; i++) { /* 0 and 2 are old, 1 is young, 3 is old and under way */
        snprintf(path[i], sizeof path[i], "%s", in_home(door[i % 3]));
        is_code(arrival_open(&coming[i], path[i], office_hash("upload", (uint64_t)i), &e), OK, &e,
                "an upload begins");
        is_code(arrival_add(coming[i], "0123456789", 10, &e), OK, &e, "and gets on");
        strcat(strcat(path[i], "/"), hash_text(office_hash("upload", (uint64_t)i), hex));
        if (i != 1) age(path[i], 30);
        if (i != 3) arrival_close(coming[i]);
    }
    listen(&c, care_fsck, OK, "fsck finds no damage");
    is_int(counted(&c, "uploads"), 2, "and counts what was broken off long ago");
    is_int(counted(&c, "upload_bytes"), 20, "with its bytes");
    ok(says("broken off"), "it says so");
    json_decref(c.out);
    listen(&c, care_gc, OK, "gc looks");
    is_int(counted(&c, "uploads"), 2, "and counts the same");
    ok(file_exists(path[0]) && file_exists(path[2]), "which stay");
    json_decref(c.out);
    c.remove = 1;
    listen(&c, care_gc, OK, "with --remove");
    is_int(counted(&c, "uploads"), 2, "they");
    ok(!file_exists(path[0]) && !file_exists(path[2]), "are gone");
    ok(!file_exists(in_home(door[2])), "with a folder that nothing is left in");
    ok(file_exists(path[1]) && file_exists(path[3]), "the young one and the one under way stay");
    is_code(arrival_add(coming[3], "0123456789", 10, &e), OK, &e, "which goes on");
    arrival_close(coming[3]);
    json_decref(c.out);
}

/* What a gc that was killed left in the trash. */
static void trash(void)
{
    struct care c = {.older_s = 24 * 3600, .remove = 1};
    char to[PATH_MAX], hex[HASH_TEXT];

    make_home("trash");
    put("unnamed");
    objects_each(objects, make_old, NULL, &e);
    file_make_dirs(in_home("objects/trash"), &e);
    snprintf(to, sizeof to, "%s/objects/trash/%s", home, hash_text(office_hash("train", 1), hex));
    rename(place_of("train 1"), to);
    snprintf(to, sizeof to, "%s/objects/trash/%s", home, hash_text(hash_bytes("unnamed", 7), hex));
    rename(place_of("unnamed"), to);
    listen(&c, care_gc, OK, "gc after a gc that was killed");
    ok(file_exists(place_of("train 1")), "gives back what is named");
    ok(says("stay"), "and says so");
    ok(!file_exists(to) && !file_exists(place_of("unnamed")), "and removes what is not");
    json_decref(c.out);
}

/* ---- backup and restore ---- */

static int is_whole(const char *from)
{
    struct care c = {.home = from, .json = 1, .out = json_object(), .lines = json_array()};
    enum code rc = care_fsck(&c, &e);

    json_decref(c.lines);
    json_decref(c.out);
    return rc == OK;
}

static void there_and_back(int link)
{
    struct care c = {.link = link};
    char to[400], made[400];
    struct office o;
    struct stat st;
    struct bytes key;

    make_home(link ? "linked" : "copied");
    snprintf(to, sizeof to, "%s-backup", home);
    snprintf(made, sizeof made, "%s-again", home);
    c.to = to;
    put("unnamed");
    /* A coordinator is at work. */
    office_open(&o, in_home("coordinator.db"), &e);
    work(&o, 5, 5, 2);
    listen(&c, care_backup, OK,
           link ? "a backup of second names is made"
                : "a backup is made beside a running coordinator");
    json_decref(c.out);
    work(&o, 6, 6, 1);
    office_close(&o);
    objects_path(objects, office_hash("train", 1), said, sizeof said);
    is_int(stat(said, &st) ? 0 : st.st_nlink, link ? 2 : 1, "objects are %s",
           link ? "linked" : "copied");
    listen(&c, care_backup, ERR_EXISTS, "a backup does not go over another");
    json_decref(c.out);

    snprintf(home, sizeof home, "%.290s", made);
    c = (struct care){.from = to};
    listen(&c, care_restore, OK, "it becomes a home");
    json_decref(c.out);
    ok(is_whole(made), "which is well");
    is_code(file_read(in_home("keys/coordinator.key"), 100, &key, &e), OK, &e, "with its keys");
    ok(key.n == 6 && stat(in_home("keys/coordinator.key"), &st) == 0 && (st.st_mode & 077) == 0,
       "which are secret");
    free(key.data);
    office_open(&o, in_home("coordinator.db"), &e);
    ok(core_lineage_named(o.core, "pets") && core_lineage_named(o.core, "pets")->n_commits > 0,
       "and its lineages");
    struct message m = office_learn("pets", 5, 15), r;
    office_ask(&o, &m, (struct hash){{0}}, &r, &e);
    is_int(r.accepted.job, 5, "a job of before is known by its key");
    m = office_learn("pets", 6, 15);
    office_ask(&o, &m, (struct hash){{0}}, &r, &e);
    ok(r.kind == MSG_accepted && r.accepted.job > 10000,
       "one of after the backup is new, under a number that nobody had");
    office_work(&o, 3, OK, &r, &e);
    ok(r.kind == MSG_stage && r.stage.epoch > 1000000, "so are epochs");
    office_close(&o);
    listen(&c, care_restore, ERR_EXISTS, "a home that is there is left alone");
    json_decref(c.out);
}

static void damaged_backups(void)
{
    struct care c = {0};
    char to[400], path[PATH_MAX];
    struct objects *there;

    make_home("damaged");
    snprintf(to, sizeof to, "%s-backup", home);
    c.to = to;
    flip(place_of("train 1"), 2);
    listen(&c, care_backup, ERR_CORRUPT, "a damaged object ends a backup");
    ok(says("is damaged: job 1 (commit)") && !file_exists(to),
       "by name, and nothing of it is there");
    json_decref(c.out);
    c.without_damaged = 1;
    listen(&c, care_backup, OK, "--without-damaged goes on");
    is_int(json_array_size(json_object_get(c.out, "left_out")), 1, "and lists what is not there");
    json_decref(c.out);

    objects_open(&there, (snprintf(path, sizeof path, "%s/objects", to), path), &e);
    objects_path(there, office_hash("train", 2), path, sizeof path);
    objects_close(there);
    flip(path, 1);
    snprintf(home, sizeof home, "%.280s-again", to);
    c = (struct care){.from = to};
    listen(&c, care_restore, OK, "a backup with a damaged object is restored");
    ok(says("left out"), "without it, and says so");
    json_decref(c.out);
    snprintf(path, sizeof path, "%s/coordinator.db", to);
    flip(path, 5000);
    snprintf(home, sizeof home, "%.280s-third", to);
    listen(&c, care_restore, ERR_CORRUPT, "one with a damaged database is not");
    ok(!file_exists(home), "and leaves nothing behind");
    json_decref(c.out);
    c.from = home;
    listen(&c, care_restore, ERR_INPUT, "what is no backup is said so");
    json_decref(c.out);
}

int main(void)
{
    objects_of();
    every_page();
    who_is_hit();
    lost_batches();
    garbage();
    broken_uploads();
    trash();
    there_and_back(0);
    there_and_back(1);
    damaged_backups();
    objects_close(objects);
    return done_testing();
}
