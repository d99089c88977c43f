/* main.c - engram-care: reads the verb and its options, runs it, says how it went. */
#include "coordinator/care/care.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DAY_S = 24 * 3600, LEAST_S = 3600 };

/* clang-format off */
static const char HELP[] =
    "engram-care - looks after a home\n"
    "\n"
    "  engram-care fsck --home DIR [--quick] [--set-aside]     is all there that was promised, and right?\n"
    "  engram-care gc --home DIR [--older 24h] [--remove]      what nobody names any more, and how much it is\n"
    "  engram-care backup --home DIR --to NEW [--link] [--without-damaged]\n"
    "  engram-care restore --from BACKUP --home NEW [--link]\n"
    "  engram-care downgrade --home DIR --to-schema N          for an older program; the coordinator must be down\n"
    "\n"
    "  --quick            fsck: objects are not read, only looked for\n"
    "  --set-aside        fsck: damaged objects go to objects/damaged, so that they can be sent again\n"
    "  --older TIME       gc: only what is older, as 90m, 24h, 7d (default 24h; under 1h only without a coordinator)\n"
    "  --remove           gc: removes it; without, it only says what it would\n"
    "  --link             second names instead of copies where both lie on one file system\n"
    "  --without-damaged  backup: goes on without objects that are damaged or gone, and lists them\n"
    "  --json             one JSON document on standard output\n"
    "\n"
    "All but downgrade and restore work beside a running coordinator.\n"
    "Exit status: 0 well, 2 usage, 3 damaged or refused, 4 environment.\n";
/* clang-format on */

/* ---- one at a time ---- */

enum needs { ALONE_TOOL, COORDINATOR_DOWN, NOTHING };

/* A file, or a folder, which leaves nothing behind. */
static enum code lock(const struct care *c, const char *name, int flags, const char *who, int *fd,
                      struct err *e)
{
    char path[PATH_MAX];
    enum code rc = care_path(c, name, path, sizeof path, e);

    if (rc) return rc;
    *fd = open(path, flags | O_CLOEXEC, 0600);
    if (*fd < 0) return err_errno(e, "%s", path);
    if (flock(*fd, LOCK_EX | LOCK_NB) == 0) return OK;
    rc = errno == EWOULDBLOCK ? err_set(e, ERR_EXISTS, "%s is at work on %s", who, c->home)
                              : err_errno(e, "%s", path);
    close(*fd);
    *fd = -1;
    return rc;
}

/* A coordinator that starts meanwhile finds its lock taken and says so. */
static enum code lock_home(const struct care *c, enum needs needs, int fd[2], struct err *e)
{
    char path[PATH_MAX];
    enum code rc = care_path(c, "coordinator.db", path, sizeof path, e);

    if (rc || needs == NOTHING) return rc;
    if (!file_exists(path))
        return err_set(e, ERR_NOT_FOUND, "%s is no home: there is no coordinator.db in it",
                       c->home);
    rc = lock(c, "objects", O_RDONLY | O_DIRECTORY, "another engram-care", &fd[0], e);
    if (!rc && needs == COORDINATOR_DOWN)
        rc = lock(c, "run/coordinator.lock", O_RDWR | O_CREAT,
                  "a coordinator (`engram down` stops it)", &fd[1], e);
    return rc;
}

/* ---- verbs and options ---- */

static enum code downgrade(struct care *c, struct err *e)
{
    char path[PATH_MAX];
    enum code rc = care_path(c, "coordinator.db", path, sizeof path, e);

    if (!rc) rc = store_downgrade(path, c->schema, e);
    if (!rc) care_say(c, "%s has schema version %d now", path, c->schema);
    return rc;
}

struct care_verb {
    const char *name;
    enum code (*run)(struct care *c, struct err *e);
    enum needs needs;
    const char *takes; /* letters of its options, beside --home and --json */
};

static const struct care_verb verbs[] = {
    {"fsck", care_fsck, ALONE_TOOL, "qs"},           {"gc", care_gc, ALONE_TOOL, "or"},
    {"backup", care_backup, ALONE_TOOL, "tlw"},      {"restore", care_restore, NOTHING, "fl"},
    {"downgrade", downgrade, COORDINATOR_DOWN, "v"},
};

static enum code read_time(const char *text, int64_t *seconds, struct err *e)
{
    static const char units[] = "smhd";
    static const int64_t of[] = {1, 60, 3600, DAY_S};
    char *end;
    long long n = strtoll(text, &end, 10);
    const char *unit = *end ? strchr(units, *end) : NULL;

    if (end == text || n < 0 || n > 1000000 || !unit || end[1])
        return err_set(e, ERR_USAGE, "--older %s: expected a time, as 90m, 24h or 7d", text);
    *seconds = n * of[unit - units];
    return OK;
}

static enum code read_option(struct care *c, int letter, struct err *e)
{
    switch (letter) {
    case 'h': c->home = optarg; break;
    case 'j': c->json = 1; break;
    case 'q': c->quick = 1; break;
    case 's': c->set_aside = 1; break;
    case 'r': c->remove = 1; break;
    case 'l': c->link = 1; break;
    case 'w': c->without_damaged = 1; break;
    case 't': c->to = optarg; break;
    case 'f': c->from = optarg; break;
    case 'v': c->schema = atoi(optarg); break;
    case 'o': return read_time(optarg, &c->older_s, e);
    default: return err_set(e, ERR_USAGE, "see engram-care --help");
    }
    return OK;
}

static enum code read_options(int argc, char **argv, struct care *c, const struct care_verb **verb,
                              struct err *e)
{
    static const struct option names[] = {{"home", 1, 0, 'h'},
                                          {"json", 0, 0, 'j'},
                                          {"quick", 0, 0, 'q'},
                                          {"set-aside", 0, 0, 's'},
                                          {"remove", 0, 0, 'r'},
                                          {"link", 0, 0, 'l'},
                                          {"without-damaged", 0, 0, 'w'},
                                          {"to", 1, 0, 't'},
                                          {"from", 1, 0, 'f'},
                                          {"older", 1, 0, 'o'},
                                          {"to-schema", 1, 0, 'v'},
                                          {0, 0, 0, 0}};
    const char *name = argc > 1 ? argv[1] : "";
    enum code rc = OK;

    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(name, verbs[i].name) == 0) *verb = &verbs[i];
    if (!*verb) return err_set(e, ERR_USAGE, "`%s` is no verb; see engram-care --help", name);
    for (int letter; !rc && (letter = getopt_long(argc - 1, argv + 1, "", names, NULL)) != -1;) {
        if (letter != 'h' && letter != 'j' && letter != '?' && !strchr((*verb)->takes, letter))
            return err_set(e, ERR_USAGE, "%s takes no `%s`; see engram-care --help", name,
                           argv[optind]);
        rc = read_option(c, letter, e);
    }
    if (!rc && optind + 1 < argc)
        rc = err_set(e, ERR_USAGE, "%s takes no `%s`; see engram-care --help", name,
                     argv[optind + 1]);
    if (!rc && !c->home) rc = err_set(e, ERR_USAGE, "--home is needed; see engram-care --help");
    if (!rc && (*verb)->run == care_backup && !c->to)
        rc = err_set(e, ERR_USAGE, "--to is needed: the folder to be made");
    if (!rc && (*verb)->run == care_restore && !c->from)
        rc = err_set(e, ERR_USAGE, "--from is needed: a backup");
    if (!rc && (*verb)->run == downgrade && !c->schema)
        rc = err_set(e, ERR_USAGE, "--to-schema is needed");
    return rc;
}

static enum code run(struct care *c, const struct care_verb *verb, struct err *e)
{
    int fd[2] = {-1, -1};
    /* Somebody may be about to name what is that young. */
    enum needs needs =
        verb->run == care_gc && c->remove && c->older_s < LEAST_S ? COORDINATOR_DOWN : verb->needs;
    enum code rc = lock_home(c, needs, fd, e);

    if (!rc) rc = verb->run(c, e);
    for (int i = 0; i < 2; i++)
        if (fd[i] >= 0) close(fd[i]);
    return rc;
}

int main(int argc, char **argv)
{
    struct care c = {.older_s = DAY_S, .out = json_object(), .lines = json_array()};
    const struct care_verb *verb = NULL;
    struct err e = {0};

    umask(077);
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(HELP, stdout);
        return 0;
    }
    enum code rc = read_options(argc, argv, &c, &verb, &e);
    if (!rc) rc = run(&c, verb, &e);
    if (c.json && verb) {
        json_object_set_new(c.out, "v", json_integer(1));
        json_object_set(c.out, "lines", c.lines);
        json_object_set_new(c.out, "error", rc && e.text[0] ? json_string(e.text) : json_null());
        json_dumpf(c.out, stdout, 0);
        putchar('\n');
    }
    if (rc && e.text[0]) fprintf(stderr, "engram-care: %s\n", e.text);
    json_decref(c.lines);
    json_decref(c.out);
    return rc ? err_exit_status(rc) : 0;
}
