/* care.c - `engram fsck`, `gc`, `backup` and `restore`: engram-care does the work, beside this program and in its place. */
#include "cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORDS = 16 };

/* The arguments of the program that takes our place. */
struct call {
    const char *words[WORDS];
    size_t n;
};

static void add(struct call *c, const char *word)
{
    c->words[c->n++] = word;
}

static void add_if(struct call *c, int on, const char *word)
{
    if (on) add(c, word);
}

static void add_value(struct call *c, const char *word, const char *value)
{
    if (!value) return;
    add(c, word);
    add(c, value);
}

static enum code find_care(char *out, size_t bytes, struct err *e)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    if (n < 0) return err_errno(e, "/proc/self/exe");
    self[n] = '\0';
    char *slash = strrchr(self, '/');
    if (slash) *slash = '\0';
    if ((size_t)snprintf(out, bytes, "%s/engram-care", self) >= bytes || access(out, X_OK))
        return err_set(e, ERR_ENVIRONMENT,
                       "engram-care is not beside engram in %s; run make, or make install", self);
    return OK;
}

/* Does not come back when all is well. */
static int become(struct call *c)
{
    char program[PATH_MAX];
    const char *home;
    struct err e = {0};
    enum code rc = cli_home(&home, &e);

    if (!rc) rc = find_care(program, sizeof program, &e);
    if (rc) return cli_fail(&e);
    add_value(c, "--home", home);
    add_if(c, cli.json, "--json");
    c->words[0] = program;
    execv(program, (char *const *)(uintptr_t)c->words);
    err_errno(&e, "%s", program);
    return cli_fail(&e);
}

static enum code read_options(const struct verb *v, const struct option_spec *o, size_t n, int argc,
                              char **argv, struct words *rest, size_t most, struct err *e)
{
    cli.local = 1;
    enum code rc = options_read(v, o, n, argc, argv, rest, e);
    if (!rc && rest->n > most)
        rc = err_set(e, ERR_USAGE, "engram %s takes no \"%s\"; see engram %s --help", v->name,
                     rest->v[most], v->name);
    return rc;
}

/* ---- fsck ---- */

static int run_fsck(int argc, char **argv)
{
    int quick = 0, aside = 0;
    struct option_spec o[] = {
        {"quick", OPTION_FLAG, &quick, NULL, "objects are looked for, not read"},
        {"set-aside", OPTION_FLAG, &aside, NULL,
         "damaged objects go to objects/damaged, so that they can be sent again"}};
    struct call c = {.words = {NULL, "fsck"}, .n = 2};
    struct err e = {0};
    struct words rest;

    if (read_options(&verb_fsck, o, 2, argc, argv, &rest, 0, &e)) return cli_fail(&e);
    add_if(&c, quick, "--quick");
    add_if(&c, aside, "--set-aside");
    return become(&c);
}

const struct verb verb_fsck = {
    .name = "fsck",
    .what = "look for damage in a home, and name what is hit",
    .usage = "engram fsck [--quick] [--set-aside]",
    .examples = "  engram fsck                  the database, every object, everything that refers "
                "to another\n"
                "  engram fsck --quick          without reading the objects\n",
    .more = "Works beside a running coordinator and changes nothing. Exit status 3 when something "
            "is damaged: each line says what, "
            "and whose\n"
            "it is. A damaged object comes back by sending it again (the same engram learn), a "
            "damaged database from a backup.\n",
    .run = run_fsck,
};

/* ---- gc ---- */

static int run_gc(int argc, char **argv)
{
    int remove = 0;
    const char *older = NULL;
    struct option_spec o[] = {
        {"remove", OPTION_FLAG, &remove, NULL, "do it; without, only say what would be removed"},
        {"older", OPTION_TEXT, &older, "TIME",
         "only what is older, as 90m, 24h, 7d (default 24h)"}};
    struct call c = {.words = {NULL, "gc"}, .n = 2};
    struct err e = {0};
    struct words rest;

    if (read_options(&verb_gc, o, 2, argc, argv, &rest, 0, &e)) return cli_fail(&e);
    add_if(&c, remove, "--remove");
    add_value(&c, "--older", older);
    return become(&c);
}

const struct verb verb_gc = {
    .name = "gc",
    .what = "remove what nobody refers to any more",
    .usage = "engram gc [--older TIME] [--remove]",
    .examples = "  engram gc                    what could go, and how much it is\n"
                "  engram gc --remove           let it go\n",
    .more = "That is: objects that no job, commit or evaluation names, checkpoints of jobs that "
            "have ended, what killed writers left "
            "behind.\n"
            "Works beside a running coordinator. What is younger than --older stays: somebody may "
            "be about to name it.\n",
    .run = run_gc,
};

/* ---- backup and restore ---- */

static int run_backup(int argc, char **argv)
{
    int link = 0, without = 0;
    struct option_spec o[] = {{"link", OPTION_FLAG, &link, NULL,
                               "second names instead of copies, where both are on one file system"},
                              {"without-damaged", OPTION_FLAG, &without, NULL,
                               "go on without objects that are damaged, and list them"}};
    struct call c = {.words = {NULL, "backup"}, .n = 2};
    struct err e = {0};
    struct words rest;
    enum code rc = read_options(&verb_backup, o, 2, argc, argv, &rest, 1, &e);

    if (!rc && rest.n == 0) rc = err_set(&e, ERR_USAGE, "where to? engram backup FOLDER");
    if (rc) return cli_fail(&e);
    add_value(&c, "--to", rest.v[0]);
    add_if(&c, link, "--link");
    add_if(&c, without, "--without-damaged");
    return become(&c);
}

const struct verb verb_backup = {
    .name = "backup",
    .what = "copy a home, while it works, into a folder",
    .usage = "engram backup [--link] [--without-damaged] FOLDER",
    .examples = "  engram backup /backup/pets-monday\n",
    .more = "The database as of one moment, every object that it names, and keys: compared with "
            "their hashes on the way, and whole or not "
            "there.\n"
            "The folder must not exist. Jobs that run at that moment are queued in the backup. It "
            "holds secret keys: guard it.\n",
    .run = run_backup,
};

static int run_restore(int argc, char **argv)
{
    int link = 0;
    struct option_spec o[] = {{"link", OPTION_FLAG, &link, NULL, "second names instead of copies"}};
    struct call c = {.words = {NULL, "restore"}, .n = 2};
    struct err e = {0};
    struct words rest;
    enum code rc = read_options(&verb_restore, o, 1, argc, argv, &rest, 1, &e);

    if (!rc && rest.n == 0)
        rc = err_set(&e, ERR_USAGE, "from where? engram restore --home NEW FOLDER");
    if (rc) return cli_fail(&e);
    add_value(&c, "--from", rest.v[0]);
    add_if(&c, link, "--link");
    return become(&c);
}

const struct verb verb_restore = {
    .name = "restore",
    .what = "make a home from a backup",
    .usage = "engram restore --home NEW [--link] FOLDER",
    .examples = "  engram restore --home /data/engram-2 /backup/pets-monday\n"
                "  engram up --home /data/engram-2\n",
    .more = "The new home must not exist, or be empty. Numbers of jobs go on far above those of "
            "the backup, so that none that was given out "
            "since\n"
            "comes to mean another job.\n",
    .run = run_restore,
};
