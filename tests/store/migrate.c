/* The ladder: an old database climbs with everything in it, each rung is whole or not taken, a newer one is refused by name, and
 * the way down is open where nothing newer is used. */
#include "tests/store/support/office.h"
#include "coordinator/store/intern.h"
#include "coordinator/store/migrate.h"
#include "base/file.h"
#include "tests/tap.h"

#include <signal.h>
#include <sys/resource.h>

static char path[512];
static struct err e;

static const char *place(const char *name)
{
    snprintf(path, sizeof path, "%s/%s.db", tap_folder(), name);
    return path;
}

static void sql(const char *file, const char *text)
{
    sqlite3 *db;
    char *why = NULL;

    vfs_register(&e);
    if (sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, VFS_NAME) ||
        sqlite3_exec(db, text, NULL, NULL, &why))
        note("%s", why);
    sqlite3_free(why);
    sqlite3_close(db);
}

/* The one value of a query, as text; "?" where there is none. */
static const char *value(const char *file, const char *query)
{
    static char text[8][65536];
    static int turn;
    sqlite3 *db;
    sqlite3_stmt *st = NULL;
    char *out = text[turn++ % 8];

    snprintf(out, sizeof *text, "?");
    if (sqlite3_open(file, &db) == SQLITE_OK &&
        sqlite3_prepare_v2(db, query, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
        snprintf(out, sizeof *text, "%s", (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    sqlite3_close(db);
    return out;
}

static void make_version_1(const char *name)
{
    struct bytes b;

    if (file_read("tests/store/support/version_1.sql", 1 << 20, &b, &e)) {
        ok(0, "the fixture is read: %s", e.text);
        return;
    }
    sql(place(name), (const char *)b.data);
    free(b.data);
}

/* ---- a ladder of the test's own: version 2 adds a colour to jobs, version 3 does as the test wants ---- */

#define SQL_TEXT(s)         \
    {                       \
        s, s + sizeof s - 1 \
    }
/* clang-format off */
static const struct rung rungs[] = {
    { .up = SQL_TEXT("ALTER TABLE jobs ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey'"),
      .down = SQL_TEXT("ALTER TABLE jobs DROP COLUMN colour"),
      .uses = SQL_TEXT("SELECT 'the colour of job ' || id FROM jobs WHERE colour <> 'grey'") },
    { .up = SQL_TEXT("CREATE TABLE hats (size INTEGER NOT NULL) STRICT; INSERT INTO hats VALUES (7)"),
      .down = SQL_TEXT("DROP TABLE hats"), .uses = SQL_TEXT("SELECT 1 WHERE 0") },
    { .up = SQL_TEXT("DELETE FROM events; DELETE FROM stages; INSERT INTO hats VALUES ('a')"),
      .down = SQL_TEXT("SELECT 1"), .uses = SQL_TEXT("SELECT 1 WHERE 0") },
    { .up = SQL_TEXT("DELETE FROM jobs WHERE id = 1"), .down = SQL_TEXT("SELECT 1"), .uses = SQL_TEXT("SELECT 1 WHERE 0") },
};
/* clang-format on */

static struct ladder ladder(int newest)
{
    return (struct ladder){.oldest = 1, .newest = newest, .rungs = rungs};
}

static enum code climb(const struct ladder *l)
{
    struct store s = {.path = path, .intern = intern_make()};
    enum code rc = db_connect(&s, &e);

    if (!rc) rc = migrate_open(&s, l, &e);
    db_close(&s);
    intern_free(s.intern);
    return rc;
}

static enum code descend(const struct ladder *l, int to)
{
    struct store s = {.path = path, .intern = intern_make()};
    enum code rc = db_connect(&s, &e);

    if (!rc) rc = migrate_down(&s, l, to, &e);
    db_close(&s);
    intern_free(s.intern);
    return rc;
}

/* Bytes that each page leaves free. */
static int reserved(const char *file)
{
    struct bytes b = {0};
    int n = file_read(file, 1 << 24, &b, &e) ? -1 : b.data[20];
    free(b.data);
    return n;
}

static void up_and_down(void)
{
    struct ladder one = ladder(1), two = ladder(2), three = ladder(3);
    static char copy[600], before[65536];

    make_version_1("ladder");
    snprintf(before, sizeof before, "%s",
             value(path, "SELECT group_concat(sql) FROM sqlite_schema WHERE name = 'jobs'"));
    is_code(climb(&one), OK, &e, "a database of the newest version is left alone");
    is_str(value(path, "SELECT count(*) FROM sqlite_schema WHERE name = 'versions'"), "0",
           "to the last table");
    is_code(climb(&three), OK, &e, "an old database climbs two rungs");
    is_str(value(path, "PRAGMA user_version"), "3", "and has the newest version");
    is_str(value(path, "SELECT group_concat(version || ' by ' || program) FROM versions"),
           "2 by engram " ENGRAM_VERSION ",3 by engram " ENGRAM_VERSION, "it knows who did it");
    is_str(value(path, "SELECT group_concat(id || colour) FROM jobs"),
           "1grey,2grey,3grey,4grey,5grey", "its rows have what is new");
    snprintf(copy, sizeof copy, "%s.version-1", path);
    is_str(value(copy, "PRAGMA user_version"), "1", "the old one lies beside it");
    is_str(value(copy, "PRAGMA integrity_check"), "ok", "whole");
    is_str(value(copy, "SELECT count(*) FROM jobs"), "5", "with its jobs");
    is_int(reserved(copy), 0, "an old one has no checksums in its pages");
    is_int(reserved(path), 8, "a new one has");

    is_code(climb(&two), ERR_ENVIRONMENT, NULL, "a program that knows less refuses it: %s", e.text);
    ok(strstr(e.text, "written by engram " ENGRAM_VERSION) && strstr(e.text, "downgrade 2"),
       "and says who wrote it and how to go back");
    is_code(descend(&two, 1), ERR_ENVIRONMENT, NULL, "it cannot bring it down either");
    is_code(descend(&three, 3), ERR_USAGE, NULL, "down is not here: %s", e.text);
    is_code(descend(&three, 0), ERR_USAGE, NULL, "nor below the oldest");
    sql(path, "UPDATE jobs SET colour = 'red' WHERE id = 3");
    is_code(descend(&three, 1), ERR_INPUT, NULL, "what is used cannot go: %s", e.text);
    ok(strstr(e.text, "the colour of job 3") != NULL, "it is named");
    is_str(value(path, "PRAGMA user_version"), "3", "and nothing is changed");
    sql(path, "UPDATE jobs SET colour = 'grey'");
    is_code(descend(&three, 1), OK, &e, "what is not used goes down");
    is_str(value(path, "PRAGMA user_version"), "1", "to the version that was asked for");
    sql(path, "UPDATE jobs SET token = 'x' WHERE id = 1");
    is_str(value(path, "SELECT group_concat(sql) FROM sqlite_schema WHERE name = 'jobs'"), before,
           "the schema is that of the first day");
    is_code(climb(&three), OK, &e, "and up again");
}

static void failures(void)
{
    struct ladder four = ladder(4), broken = ladder(5);
    const struct rung bad[] = {rungs[0], rungs[1], rungs[3]};
    struct ladder orphans = {.oldest = 1, .newest = 4, .rungs = bad};

    make_version_1("broken");
    is_code(climb(&four), ERR_INTERNAL, NULL, "a rung that fails is said: %s", e.text);
    is_str(value(path, "PRAGMA user_version"), "1", "those below it are not taken either");
    ok(atoi(value(path, "SELECT count(*) FROM events")) > 0, "nothing is changed");
    is_code(climb(&broken), ERR_INTERNAL, NULL, "it fails again");
    is_code(climb(&orphans), ERR_CORRUPT, NULL,
            "a rung that leaves rows behind without their parents is not taken: %s", e.text);
    is_str(value(path, "SELECT count(*) FROM jobs"), "5", "and takes nothing with it");
}

/* Somebody reads it: it cannot be taken away under them. */
static void in_use(void)
{
    struct ladder two = ladder(2);
    sqlite3 *db;

    make_version_1("used");
    sqlite3_open(path, &db);
    sqlite3_exec(db, "PRAGMA journal_mode = WAL; BEGIN; SELECT count(*) FROM jobs", NULL, NULL,
                 NULL);
    ok(climb(&two) != OK, "a database that another program reads is left alone: %s", e.text);
    sqlite3_close(db);
    is_str(value(path, "PRAGMA user_version"), "1", "as it was");
    is_code(climb(&two), OK, &e, "until it has gone");
}

static void full_disk(void)
{
    struct ladder two = ladder(2);
    struct rlimit r;
    char copy[600];

    make_version_1("full");
    snprintf(copy, sizeof copy, "%s.version-1", path);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &r);
    r.rlim_cur = 20000;
    setrlimit(RLIMIT_FSIZE, &r);
    ok(climb(&two) != OK, "without room for the copy nothing is changed: %s", e.text);
    r.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &r);
    is_str(value(path, "PRAGMA user_version"), "1", "the old version stays");
    ok(!file_exists(copy), "half a copy does not");
    is_code(climb(&two), OK, &e, "with room it climbs");
}

/* ---- the real one ---- */

#define SHAPE                                                                                    \
    "SELECT group_concat(line, char(10)) FROM (SELECT type || ' ' || name || ' ' || sql AS line" \
    " FROM sqlite_schema WHERE name <> 'versions' AND sql IS NOT NULL ORDER BY 1)"

static void ours(void)
{
    struct office o;
    char climbed[512];
    int newest = migrate_ladder()->newest;

    make_version_1("old");
    memcpy(climbed, path, sizeof climbed);
    if (!is_code(office_open(&o, path, &e), OK, &e, "a database of the first version opens"))
        return;
    const struct core_lineage *l = core_lineage_named(o.core, "pets");
    ok(l && l->n_commits == 2, "with its lineages and commits");
    is_int(core_last_job(o.core), 5, "and its jobs");
    struct message m = office_learn("pets", 9, 15), r;
    is_code(office_ask(&o, &m, (struct hash){{0}}, &r, &e), OK, &e, "it takes a job");
    is_int(r.accepted.job, 6, "the next one");
    office_close(&o);
    is_int(atoi(value(path, "PRAGMA user_version")), newest, "it has the newest version");
    office_open(&o, place("new"), &e);
    office_close(&o);
    is_str(value(climbed, SHAPE), value(path, SHAPE),
           "a database that climbed has the schema of one that was made");
    is_code(store_downgrade(path, newest, &e), ERR_USAGE, NULL, "it goes down, not level: %s",
            e.text);
    for (int v = newest - 1; v >= 1; v--)
        is_code(store_downgrade(path, v, &e), OK, &e, "an unused one goes down to version %d", v);
    snprintf(path, sizeof path, "%s/nowhere.db", tap_folder());
    is_code(store_downgrade(path, 1, &e), ERR_NOT_FOUND, NULL, "what is not there is not made: %s",
            e.text);
    ok(!file_exists(path), "really");
}

/* What version 1 knows of everything that the fixture holds, but for numbers that both ways choose anew (deadlines, digests). */
static const char *const told[] = {
    "SELECT group_concat(id || name || owner || hex(key) || hex(digest) || hex(head)) FROM "
    "lineages",
    "SELECT group_concat(id || ' ' || kind || state || lineage || owner || hex(key) || token || "
    "class_word || concept || hex(prior_key) || hex(images) || hex(parent) || hex(commit_hash) || "
    "commit_number || submitted_ms || started_ms || finished_ms) FROM jobs",
    "SELECT group_concat(job || ' ' || kind || state || ' ' || epoch || attempts || losses || "
    "pauses || best_step || source || hex(worker_group) || seconds || line || hex(outputs) || "
    "report) FROM stages",
    "SELECT group_concat(lineage || number || hex(hash) || hex(parent) || job || seconds) FROM "
    "commits",
    "SELECT group_concat(job || ' ' || type || stage || step || text) FROM (SELECT * FROM events "
    "ORDER BY job, seq)",
};

static void there_and_back(void)
{
    enum { N = sizeof told / sizeof *told };
    static char before[N][65536];
    struct office o;

    make_version_1("back");
    for (int i = 0; i < N; i++) snprintf(before[i], sizeof before[i], "%s", value(path, told[i]));
    is_code(office_open(&o, path, &e), OK, &e, "the old database climbs");
    office_close(&o);
    is_code(store_downgrade(path, 1, &e), OK, &e, "and goes down again");
    for (int i = 0; i < N; i++)
        is_str(value(path, told[i]), before[i], "what it held is what it holds: %.40s..", told[i]);
    is_code(office_open(&o, path, &e), OK, &e, "it climbs once more");
    struct message m = {.kind = MSG_sample,
                        .sample = {.key = office_hash("key", 77),
                                   .lineage = "pets",
                                   .per_prompt = 1,
                                   .priority = PRIORITY_HIGH,
                                   .prompts = {1, (const char *[]){"x"}}}},
                   r;
    office_ask(&o, &m, (struct hash){{0}}, &r, &e);
    office_close(&o);
    is_code(store_downgrade(path, 1, &e), ERR_INPUT, NULL, "what version 1 cannot hold is said: %s",
            e.text);
}

int main(void)
{
    up_and_down();
    failures();
    in_use();
    full_disk();
    ours();
    there_and_back();
    return done_testing();
}
