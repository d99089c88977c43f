/* A disk that refuses syncs, or is full: what is there is read as long as it can be, nothing is promised that
 * is not kept, and when the disk is well again so is the store. The disk is the library of interpose.h; the full one is a tmpfs. */
#include "base/file.h"
#include "coordinator/store/db.h"
#include "tests/store/interpose/interpose.h"
#include "tests/store/support/office.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

static char folder[200], home[220], gate[220];
static struct err e;

/* ---- the disk ---- */

static void refuse_syncs(int on)
{
    int fd = on ? open(gate, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;

    if (fd >= 0) close(fd);
    else if (!on) unlink(gate);
}

static const char *at(const char *name)
{
    static char path[2][PATH_MAX];
    static int turn;
    char *out = path[turn++ % 2];

    snprintf(out, PATH_MAX, "%s/%s", home, name);
    return out;
}

static void remove_all(void)
{
    static const char *const names[] = {"coordinator.db", "coordinator.db-wal",
                                        "coordinator.db-shm", "coordinator.db-mark"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(at(names[i]));
}

/* ---- the store on it ---- */

static enum code learn(struct office *o, uint64_t n, struct message *r)
{
    struct message m = office_learn("pets", n, WANT_SCORE);
    return office_ask(o, &m, (struct hash){{0}}, r, &e);
}

static enum code load(struct office *o)
{
    core_free(o->core);
    o->core = core_make(NULL);
    return store_load(o->store, o->core, o->now, &e);
}

static int open_it(struct office *o, enum code want, const char *sentence)
{
    return is_code(office_open(o, at("coordinator.db"), &e), want, &e, "%s", sentence);
}

/* As a kill leaves it: with its log. */
static void leave(struct office *o)
{
    sqlite3_db_config(o->store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    office_close(o);
}

static int has(struct office *o, uint64_t job)
{
    struct arena a = {0};
    struct store_job found;
    int there = store_job(o->store, job, &a, &found, &e) == OK && core_job(o->core, job) != NULL;

    arena_fini(&a);
    return there;
}

static void begin(struct office *o)
{
    struct message lineage = office_lineage("pets"), r;

    remove_all();
    if (!open_it(o, OK, "a store is made")) return;
    is_code(office_ask(o, &lineage, (struct hash){{0}}, &r, &e), OK, &e, "it has a lineage");
    is_code(learn(o, 1, &r), OK, &e, "and a job");
}

/* What all of these disks have in common. */
static void only_read(struct office *o, enum code why, const char *word)
{
    struct message r;

    ok(has(o, 1) && !has(o, 2), "what was promised is read");
    is_code(store_probe(o->store, &e), why, &e, "it says that it cannot be written");
    is_code(learn(o, 2, &r), why, &e, "a job is refused");
    ok(strstr(e.text, word) && strstr(e.text, "coordinator.db"), "with the reason: %s", e.text);
    is_code(load(o), OK, &e, "it is read again");
    ok(has(o, 1) && !has(o, 2), "with what was promised, no more");
}

static void well_again(struct office *o)
{
    struct message r;

    is_code(store_probe(o->store, &e), OK, &e, "when the disk is well it can be written");
    is_code(load(o), OK, &e, "it is loaded");
    is_code(learn(o, 2, &r), OK, &e, "the job is taken");
    leave(o);
    open_it(o, OK, "and opened once more");
    ok(has(o, 1) && has(o, 2), "everything is there");
    office_close(o);
}

/* ---- syncs ---- */

static void opened_while_syncs_fail(void)
{
    struct office o;

    begin(&o);
    leave(&o);
    refuse_syncs(1);
    if (open_it(&o, OK, "while syncs fail it opens")) only_read(&o, ERR_IO, "refused a sync");
    refuse_syncs(0);
    well_again(&o);
}

static void syncs_fail_while_it_is_open(void)
{
    struct office o;
    struct message r;

    begin(&o);
    refuse_syncs(1);
    ok(learn(&o, 2, &r) != OK, "a job is refused as its sync fails: %s", e.text);
    is_code(load(&o), OK, &e, "what was there is read again");
    only_read(&o, ERR_IO, "refused a sync");
    refuse_syncs(0);
    well_again(&o);
}

/* Killed between the sync and the answer: what the log says was never said to anybody, and may be gone tomorrow. */
static void nothing_is_said_that_may_be_gone(void)
{
    struct office o;
    struct bytes mark;
    struct message r;

    begin(&o);
    file_read(at("coordinator.db-mark"), 4096, &mark, &e);
    is_code(learn(&o, 2, &r), OK, &e, "and another one, which nobody heard of");
    leave(&o);
    file_write(at("coordinator.db-mark"), mark.data, mark.n, &e);
    free(mark.data);
    refuse_syncs(1);
    open_it(&o, OK, "while syncs fail it opens");
    ok(has(&o, 1), "and is read");
    is_code(learn(&o, 2, &r), ERR_IO, &e, "the job is not acknowledged when it is asked for again");
    refuse_syncs(0);
    is_code(load(&o), OK, &e, "with syncs it is loaded");
    is_code(learn(&o, 2, &r), OK, &e, "and acknowledged");
    is_int(r.accepted.job, 2, "as the job that it was");
    office_close(&o);
}

static void nothing_to_read(void)
{
    struct office o;

    remove_all();
    refuse_syncs(1);
    open_it(&o, ERR_IO, "no store is made while syncs fail");
    ok(!strchr(e.text, '\n') && strstr(e.text, home), "in one line: %s", e.text);
    office_close(&o);
    refuse_syncs(0);
    open_it(&o, OK, "with syncs it is made");
    office_close(&o);
}

/* ---- a full disk ---- */

/* To the last byte. */
static void fill(const char *name)
{
    static char block[4096];
    FILE *f = fopen(at(name), "w");

    while (f && fwrite(block, 1, sizeof block, f) == sizeof block && fflush(f) == 0) continue;
    if (f) fclose(f);
}

static void on_a_full_disk(void)
{
    struct office o;

    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("disk", home, "tmpfs", 0, "size=1m,mode=0700")) {
        skip("only root may mount a small disk", "a full disk is read");
        return;
    }
    for (int killed = 0; killed < 2; killed++) {
        begin(&o);
        if (killed) leave(&o);
        else office_close(&o);
        fill("ballast");
        if (open_it(&o, OK,
                    killed ? "a full disk opens that was left by a kill" : "a full disk opens"))
            only_read(&o, ERR_FULL, "full");
        unlink(at("ballast"));
        well_again(&o);
    }
    umount(home);
}

/* The library must be there from the beginning. */
static void live_on_such_a_disk(char **argv)
{
    char self[PATH_MAX], library[PATH_MAX + 64];

    if (!realpath("/proc/self/exe", self)) return;
    snprintf(library, sizeof library, "%s", self);
    strcpy(strrchr(library, '/'), "/interpose/interpose.so");
    setenv("LD_PRELOAD", library, 1);
    setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0", 1);
    setenv("INTERPOSE_UNDER", home, 1);
    setenv("INTERPOSE_WHILE", gate, 1);
    setenv("INTERPOSE_DO", "eio", 1);
    setenv("INTERPOSE_ONLY", "sfat", 1); /* nor does it take a cut */
    setenv("INTERPOSE_POINT", "1", 1);
    setenv("INTERPOSE_FOR", "1000000000", 1);
    execv(self, argv);
}

int main(int argc, char **argv)
{
    (void)argc;
    snprintf(folder, sizeof folder, "/dev/shm/disk-%d", (int)getpid());
    snprintf(home, sizeof home, "%s/home", folder);
    snprintf(gate, sizeof gate, "%s/gate", folder);
    if (!getenv("INTERPOSE_UNDER")) live_on_such_a_disk(argv);
    if (!ok(getenv("INTERPOSE_UNDER") != NULL, "the disk obeys")) return done_testing();
    mkdir(folder, 0700);
    mkdir(home, 0700);
    opened_while_syncs_fail();
    syncs_fail_while_it_is_open();
    nothing_is_said_that_may_be_gone();
    nothing_to_read();
    on_a_full_disk();
    remove_all();
    rmdir(home);
    rmdir(folder);
    return done_testing();
}
