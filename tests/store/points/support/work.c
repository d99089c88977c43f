#include "tests/store/points/support/work.h"
#include "tests/store/support/office.h"

#include "base/file.h"
#include "base/objects.h"
#include "coordinator/care/care.h"
#include "coordinator/store/db.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TRIES =
        200, /* of one thing, until it is given up: more than the points that a test breaks in a row */
    SMALL_LOG = 60 /* pages: small enough that the log is moved several times in this short life */
};

struct work {
    struct office o;
    struct objects *objects;
    char path[PATH_MAX];
    const char *home;
    int acks;
    int64_t day;
};

/* ---- words ---- */

static void say(struct work *w, const char *what, uint64_t number, struct hash h)
{
    char line[160], hex[HASH_TEXT];
    int n = number ? snprintf(line, sizeof line, "%s %llu %s\n", what, (unsigned long long)number,
                              hash_text(h, hex))
                   : snprintf(line, sizeof line, "%s %s\n", what, hash_text(h, hex));

    if (w->acks >= 0 && write(w->acks, line, (size_t)n) != n) _exit(98);
}

static void say_backup(struct work *w, uint64_t jobs, const char *name)
{
    char line[160];
    int n = snprintf(line, sizeof line, "backup %llu %s\n", (unsigned long long)jobs, name);

    if (w->acks >= 0 && write(w->acks, line, (size_t)n) != n) _exit(98);
}

/* ---- the office, and what to do when the disk says no ---- */

static void shut(struct work *w)
{
    if (w->o.store) w->day = w->o.now;
    office_close(&w->o);
}

static enum code unlock(struct work *w, struct err *e)
{
    enum code rc = ERR_IO;

    for (int i = 0; i < TRIES && rc; i++) {
        rc = office_open(&w->o, w->path, e);
        if (!rc) w->o.now = w->day;
        else office_close(&w->o);
    }
    if (!rc) w->o.store->tidy_pages = SMALL_LOG;
    return rc;
}

/* Memory and disk may disagree: what is on the disk counts. */
static enum code again(struct work *w, struct err *e)
{
    enum code rc = ERR_IO;

    for (int i = 0; i < TRIES && rc; i++) {
        core_free(w->o.core);
        w->o.core = core_make(NULL);
        rc = store_load(w->o.store, w->o.core, w->o.now, e);
    }
    return rc;
}

static enum code ask(struct work *w, const struct message *m, struct message *r, struct err *e)
{
    enum code rc = ERR_IO;

    for (int i = 0; i < TRIES && rc; i++) {
        rc = office_ask(&w->o, m, (struct hash){{0}}, r, e);
        if (rc && again(w, e)) break;
    }
    if (!rc && r->kind == MSG_refused) rc = err_set(e, ERR_FAILED, "refused: %s", r->refused.line);
    return rc;
}

static enum code put_object(struct work *w, const char *what, uint64_t n, struct err *e)
{
    char text[96];
    struct hash h;
    enum code rc = ERR_IO;
    int len = snprintf(text, sizeof text, "%s %llu", what, (unsigned long long)n);

    for (int i = 0; i < TRIES && rc; i++) rc = objects_put(w->objects, text, (size_t)len, &h, e);
    if (!rc) say(w, "object", 0, h);
    return rc;
}

/* ---- days ---- */

static enum code submit(struct work *w, uint64_t n, struct err *e)
{
    struct message m = office_learn("pets", 100 + n, WANT_SCORE), r;
    enum code rc = put_object(w, "image", 100 + n, e);

    if (!rc) rc = put_object(w, "image", 1000100 + n, e);
    if (!rc) rc = ask(w, &m, &r, e);
    if (!rc) say(w, "job", r.accepted.job, m.learn.key);
    return rc;
}

/* One stage; its group always brings what it made before it says so. *did: a stage was there. */
static enum code one_stage(struct work *w, int *did, struct err *e)
{
    struct message stage;
    enum code rc = ERR_IO;

    for (int i = 0; i < TRIES && rc; i++) {
        rc = office_work(&w->o, 7, OK, &stage, e);
        if (rc && again(w, e)) break;
        w->o.now += rc ? 60000 : 0;
    }
    *did = !rc && stage.kind == MSG_stage;
    if (*did && stage.stage.stage == STAGE_TRAIN)
        say(w, "commit", stage.stage.job, office_hash("train", stage.stage.job));
    return rc;
}

static int has_open_jobs(const struct work *w)
{
    const struct core_job *j;
    uint32_t cursor = 0;

    while ((j = core_each_job(w->o.core, &cursor)))
        if (!JOB_ENDED(j->state)) return 1;
    return 0;
}

/* A stage whose grant the disk kept without saying so is leased to nobody until its time is over. */
static enum code all_stages(struct work *w, struct err *e)
{
    enum code rc = OK;

    for (int did = 1, idle = 0; !rc && (did || has_open_jobs(w));) {
        rc = one_stage(w, &did, e);
        if (!rc) store_tidy(w->o.store);
        idle = did ? 0 : idle + 1;
        if (!did) w->o.now += 60000;
        if (!rc && idle > TRIES) rc = err_set(e, ERR_FAILED, "jobs are left and none is ready");
    }
    return rc;
}

/* ---- tools ---- */

static enum code run_tool(struct work *w, enum code (*tool)(struct care *, struct err *),
                          const char *to, struct err *e)
{
    struct care c = {.home = w->home, .to = to, .json = 1, .remove = 1, .older_s = -60};
    enum code rc;

    c.out = json_object();
    c.lines = json_array();
    rc = tool(&c, e);
    json_decref(c.lines);
    json_decref(c.out);
    return rc;
}

static enum code backup(struct work *w, struct err *e)
{
    char to[PATH_MAX];
    uint64_t jobs = core_last_job(w->o.core);
    enum code rc = ERR_IO;

    snprintf(to, sizeof to, "%.4000s/backup-%llu", w->home, (unsigned long long)jobs);
    for (int i = 0; i < TRIES && rc && rc != ERR_EXISTS; i++) rc = run_tool(w, care_backup, to, e);
    /* It is there from an earlier life, or its last sync failed after it had got its name. */
    if (rc == ERR_EXISTS)
        for (int i = 0; i < TRIES && rc; i++) rc = file_sync_name(to, e);
    if (!rc) say_backup(w, jobs, strrchr(to, '/') + 1);
    return rc;
}

/* Something that nobody names, and all that is like it goes. */
static enum code tidy(struct work *w, struct err *e)
{
    enum code rc = ERR_IO;

    for (int i = 0; i < TRIES && rc; i++) rc = objects_put(w->objects, "garbage", 7, NULL, e);
    if (!rc) rc = ERR_IO;
    for (int i = 0; i < TRIES && rc; i++) rc = run_tool(w, care_gc, NULL, e);
    return rc;
}

static enum code day(struct work *w, uint64_t from, uint64_t to, struct err *e)
{
    struct message lineage = office_lineage("pets"), r;
    enum code rc = unlock(w, e);

    if (!rc) rc = ask(w, &lineage, &r, e);
    for (uint64_t n = from; n <= to && !rc; n++) rc = submit(w, n, e);
    /* Of all jobs: a life that goes on finds later ones waiting. */
    for (uint64_t n = 1; n <= WORK_JOBS && !rc; n++) {
        rc = put_object(w, "score", WORK_OLD_JOBS + n, e);
        if (!rc) rc = put_object(w, "train", WORK_OLD_JOBS + n, e);
    }
    if (!rc) rc = all_stages(w, e);
    if (!rc && to < WORK_JOBS) rc = backup(w, e);
    if (!rc && to == WORK_JOBS) rc = tidy(w, e);
    shut(w);
    return rc;
}

static enum code open_objects(struct work *w, struct err *e)
{
    char path[PATH_MAX];
    enum code rc = ERR_IO;

    snprintf(path, sizeof path, "%.4000s/objects", w->home);
    for (int i = 0; i < TRIES && rc; i++) rc = objects_open(&w->objects, path, e);
    return rc;
}

/* A database that was not there, with one job in it. */
static enum code new_house(struct work *w, struct err *e)
{
    struct message lineage = office_lineage("pets"), r;
    enum code rc;

    snprintf(w->path, sizeof w->path, "%.4000s/second.db", w->home);
    rc = unlock(w, e);
    if (!rc) rc = ask(w, &lineage, &r, e);
    shut(w);
    return rc;
}

enum code work_run(const char *home, int life, int acks, struct err *e)
{
    struct work w = {.home = home, .acks = acks, .day = 1700000000000 + (life + 1) * 864000000LL};
    enum code rc;

    snprintf(w.path, sizeof w.path, "%.4000s/coordinator.db", home);
    if (!(rc = open_objects(&w, e)) && !(rc = day(&w, 1, 3, e))) rc = day(&w, 4, WORK_JOBS, e);
    if (!rc) rc = new_house(&w, e);
    objects_close(w.objects);
    return rc;
}

/* What the old jobs name. */
static void old_objects(const char *home)
{
    static const char *const what[] = {"prior", "score", "train", "sample", "evaluate", "image"};
    struct work w = {.acks = -1};
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%.4000s/objects", home);
    if (objects_open(&w.objects, path, NULL)) return;
    for (uint64_t job = 1; job <= WORK_OLD_JOBS; job++) {
        for (size_t i = 0; i < sizeof what / sizeof *what; i++) put_object(&w, what[i], job, NULL);
        put_object(&w, "image", 1000000 + job, NULL);
    }
    objects_close(w.objects);
}

void work_template(const char *home)
{
    char path[PATH_MAX];
    struct bytes b;
    sqlite3 *db;

    snprintf(path, sizeof path, "%.4000s/coordinator.db", home);
    if (file_read("tests/store/support/version_1.sql", 1 << 20, &b, NULL)) return;
    if (sqlite3_open(path, &db) == SQLITE_OK) sqlite3_exec(db, (char *)b.data, NULL, NULL, NULL);
    sqlite3_close(db);
    free(b.data);
    old_objects(home);
}
