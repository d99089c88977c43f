/* What the store keeps is what was put, what does not fit is refused, and a disk that is full changes nothing. */
#include "tests/store/support/office.h"
#include "coordinator/store/vfs.h"
#include "tests/tap.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>

static char path[512];
static struct err e;

static const char *place(const char *name)
{
    snprintf(path, sizeof path, "%s/%s.db", tap_folder(), name);
    return path;
}

static void remembers(void)
{
    struct office o;
    struct arena a = {0};
    struct message m = office_lineage("pets"), r;
    struct hashes list;
    struct event_rows events;
    struct slice request;
    const char *text;
    struct hash h;

    is_code(office_open(&o, place("keep"), &e), OK, &e, "a new database is made");
    office_ask(&o, &m, (struct hash){{0}}, &r, &e);
    is_int(r.kind, MSG_done, "a lineage is made");
    m = office_learn("pets", 1, 15);
    is_code(office_ask(&o, &m, (struct hash){{0}}, &r, &e), OK, &e, "a job is accepted");
    for (int i = 0; i < 5; i++)
        is_code(office_work(&o, 1, OK, &r, &e), OK, &e, "stage %d is done", i + 1);
    m = office_learn("pets", 2, WANT_SCORE);
    office_ask(&o, &m, (struct hash){{0}}, &r, &e);
    office_work(&o, 1, ERR_FULL, &r, &e);
    office_close(&o);

    if (!is_code(office_open(&o, path, &e), OK, &e, "it is opened again")) return;
    const struct core_lineage *l = core_lineage_named(o.core, "pets");
    const struct core_job *k = core_job(o.core, 2);
    struct core_commit commit;
    struct store_job j;
    is_code(store_job(o.store, 1, &a, &j, &e), OK, &e, "a job that has ended is in the store");
    ok(!core_job(o.core, 1), "and not in the core");
    is_code(store_commit(o.store, 1, 1, &commit, &e), OK, &e, "a commit is read");
    ok(l && l->n_commits == 1 && hash_equal(l->head, office_hash("train", 1)),
       "the lineage has its commit and head");
    is_int(l->commits[0].job, 1, "the commit knows its job");
    near(commit.seconds, 2.5, 1e-9, "and how long score and train took");
    ok(j.past.job.state == JOB_DONE && k && k->state == JOB_PAUSED, "jobs are in their states");
    is_str(j.past.token, "<t1>", "a job knows its token");
    is_int(core_stage_of(k, STAGE_SCORE)->pauses, 1, "a paused stage knows how often");
    is_code(store_outputs(o.store, 1, STAGE_PRIOR, &a, &list, &text, &e), OK, &e,
            "outputs are read");
    ok(list.n == 1 && hash_equal(list.v[0], office_hash("prior", 1)), "as they were given");
    is_str(text, "{\"loss\":0.5}", "with the report");
    is_code(store_request(o.store, 1, 0, &a, &m, NULL, &e), OK, &e, "images are read");
    list = m.learn.images;
    ok(list.n == 2 && hash_equal(list.v[1], office_hash("image", 1000001)), "in their order");
    is_code(store_base(o.store, 1, &a, &text, &h, &e), OK, &e, "the base is read");
    is_str(text, "/models/base", "with its path");
    is_code(store_request(o.store, 2, 0, &a, NULL, &request, &e), OK, &e, "a request is read");
    ok(proto_decode(request.data, request.n, &a, &m, &e) == OK && m.kind == MSG_learn &&
           m.learn.seed == 2,
       "and is what was sent");
    is_code(store_events(o.store, 1, 0, &a, &events, &e), OK, &e, "events are read");
    int rising = events.n > 8;
    for (size_t i = 1; i < events.n; i++) rising &= events.v[i].seq > events.v[i - 1].seq;
    ok(rising, "%zu of them, by rising number", events.n);
    ok(events.n && strncmp(events.v[events.n - 1].text, "done", 4) == 0, "the last says done");
    is_code(store_request(o.store, 3, 0, &a, NULL, &request, &e), ERR_NOT_FOUND, NULL,
            "a job that is not there is said so: %s", e.text);
    arena_fini(&a);
    office_close(&o);
}

static void shared_prior(void)
{
    struct office o;
    struct arena a = {0};
    struct message m = office_lineage("pets"), r;
    struct hashes list;

    office_open(&o, place("prior"), &e);
    office_ask(&o, &m, (struct hash){{0}}, &r, &e);
    m = office_learn("pets", 1, WANT_PRIOR);
    office_ask(&o, &m, (struct hash){{0}}, &r, &e);
    office_work(&o, 1, OK, &r, &e);
    m = office_learn("pets", 4, WANT_PRIOR);
    office_ask(&o, &m, (struct hash){{0}}, &r, &e);
    store_outputs(o.store, 2, STAGE_PRIOR, &a, &list, NULL, &e);
    ok(list.n == 1 && hash_equal(list.v[0], office_hash("prior", 1)),
       "a job that shares class images reads those of their maker");
    arena_fini(&a);
    office_close(&o);
}

static int sql(const char *text)
{
    sqlite3 *db;
    int rc = vfs_register(&e)
                 ? SQLITE_ERROR
                 : sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, VFS_NAME);
    if (!rc) rc = sqlite3_exec(db, text, NULL, NULL, NULL);
    sqlite3_close(db);
    return rc;
}

static void belts(void)
{
    struct office o;
    struct store *s;
    struct stat st;

    place("keep");
    ok(sql("INSERT INTO commits VALUES (1, 2, randomblob(32), randomblob(32), 2, 0, 0)") ==
           SQLITE_CONSTRAINT,
       "the database refuses a commit whose parent is not the head");
    ok(sql("DELETE FROM commits") == SQLITE_CONSTRAINT, "and that a commit goes");
    ok(sql("UPDATE commits SET hash = randomblob(32)") == SQLITE_CONSTRAINT, "or changes");
    ok(sql("UPDATE stages SET epoch = 0 WHERE epoch > 0") == SQLITE_CONSTRAINT,
       "and that an epoch falls");
    is_int(sql("UPDATE lineages SET head = zeroblob(32)"), SQLITE_OK,
           "a head that somebody moved by hand");
    is_code(office_open(&o, path, &e), ERR_CORRUPT, NULL,
            "is found when the coordinator starts: %s", e.text);
    office_close(&o);
    sql("UPDATE lineages SET head = (SELECT hash FROM commits)");
    ok(sql("UPDATE jobs SET state = 4 WHERE id = 2") == SQLITE_CONSTRAINT,
       "a job that is done with nothing done is refused");
    ok(sql("UPDATE clock SET epoch = 0") == SQLITE_CONSTRAINT, "and a counter that falls");
    ok(sql("INSERT INTO audit VALUES (1, 1, 'ann', 'x'); DELETE FROM audit") == SQLITE_CONSTRAINT,
       "and that what was done is forgotten");
    is_int(sql("UPDATE jobs SET commit_number = 0 WHERE id = 1"), SQLITE_OK,
           "a commit whose job does not name it");
    is_code(office_open(&o, path, &e), ERR_CORRUPT, NULL, "is found: %s", e.text);
    office_close(&o);
    sql("UPDATE jobs SET commit_number = 1 WHERE id = 1");
    is_int(sql("UPDATE jobs SET prior = 7 WHERE id = 2"), SQLITE_OK,
           "a job that waits for class images that are not there");
    is_code(office_open(&o, path, &e), ERR_CORRUPT, NULL, "is found: %s", e.text);
    office_close(&o);
    sql("PRAGMA user_version = 99");
    is_code(store_open(&s, path, &e), ERR_ENVIRONMENT, NULL, "a newer schema is refused: %s",
            e.text);
    place("other");
    sql("CREATE TABLE recipes (x)");
    is_code(store_open(&s, path, &e), ERR_CORRUPT, NULL, "somebody else's database is refused: %s",
            e.text);
    place("noise");
    FILE *f = fopen(path, "w");
    for (int i = 0; f && i < 9000; i++) fputc(i * 7 % 251, f);
    if (f) fclose(f);
    is_code(store_open(&s, path, &e), ERR_CORRUPT, NULL, "and what is no database: %s", e.text);
    snprintf(path, sizeof path, "%s/no/such/folder.db", tap_folder());
    ok(store_open(&s, path, &e) != OK, "a folder that is not there is said so: %s", e.text);
    ok(stat("/proc", &st) == 0, "(the list of network file systems cannot be tried here)");
}

/* A limit on the size of files is a disk that is full, for this process only. */
static void limit_files(rlim_t bytes)
{
    struct rlimit r;
    getrlimit(RLIMIT_FSIZE, &r);
    r.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &r);
}

static void disk_full(void)
{
    struct office o;
    struct message m = office_lineage("pets"), r;
    uint64_t accepted = 0, n;
    enum code rc = OK;

    signal(SIGXFSZ, SIG_IGN);
    office_open(&o, place("full"), &e);
    office_ask(&o, &m, (struct hash){{0}}, &r, &e);
    limit_files(300000);
    for (n = 1; n < 1000 && rc == OK; n++) {
        m = office_learn("pets", n, 15);
        rc = office_ask(&o, &m, (struct hash){{0}}, &r, &e);
        if (rc == OK && r.kind == MSG_accepted) accepted = r.accepted.job;
    }
    ok(rc == ERR_FULL || rc == ERR_IO, "a disk that fills up is said so after %d jobs: %s",
       (int)accepted, e.text);
    core_free(o.core);
    o.core = core_make(NULL);
    is_code(store_load(o.store, o.core, o.now, &e), OK, &e,
            "the core is loaded again from what is there");
    is_int(core_last_job(o.core), accepted, "which is what was accepted");
    rc = office_ask(&o, &m, (struct hash){{0}}, &r, &e);
    ok(rc != OK, "as long as it is full, requests are refused");
    limit_files(RLIM_INFINITY);
    core_free(o.core);
    o.core = core_make(NULL);
    store_load(o.store, o.core, o.now, &e);
    is_code(office_ask(&o, &m, (struct hash){{0}}, &r, &e), OK, &e,
            "when there is room again the same request is accepted");
    is_int(r.accepted.job, accepted + 1, "as the next job");
    office_close(&o);
    is_code(office_open(&o, path, &e), OK, &e, "and everything is there after a restart");
    is_int(core_last_job(o.core), accepted + 1, "the last one too");
    office_close(&o);
}

int main(void)
{
    remembers();
    shared_prior();
    belts();
    disk_full();
    return done_testing();
}
