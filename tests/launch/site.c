/* A site's profile, the script and the command that come of it. */
#include "coordinator/launch/site.h"
#include "base/file.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <unistd.h>

static struct err e;
static char path[400];

/* The profile in text over the defaults. */
static enum code reads(struct site *s, const char *text)
{
    snprintf(path, sizeof path, "%s/site-%d.json", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp",
             (int)getpid());
    enum code rc = file_write(path, text, strlen(text), &e);
    if (!rc) rc = site_defaults(s, &e);
    if (!rc) rc = site_read(s, path, &e);
    unlink(path);
    return rc;
}

static void refused(const char *text, const char *line)
{
    struct site s;
    is_code(reads(&s, text), ERR_USAGE, NULL, "refused");
    ok(strstr(e.text, line) != NULL && !strchr(e.text, '\n'), "with a line: %s", e.text);
    site_fini(&s);
}

static const char *command_of(const struct site *s, struct arena *a)
{
    static struct text line;
    const char *argv[SITE_ARGV];
    struct site_call c = {.home = "/h",
                          .endpoint = "ipc:///h/s",
                          .worker = "/b/engram-worker",
                          .name = "engram-x",
                          .log = "/h/log/group-1.log",
                          .script = "/h/groups/worker.sbatch",
                          .ranks = 3};
    text_fini(&line);
    if (site_command(s, &c, a, argv, &e)) return e.text;
    site_quote(argv, &line);
    return line.s;
}

static void test_defaults(void)
{
    struct site s;
    struct arena a = {0};
    struct text script = {0};

    is_code(reads(&s, "{}"), OK, &e, "an empty profile is one");
    is_str(command_of(&s, &a),
           "sbatch --parsable --job-name=engram-x --output=/h/log/group-1.log --open-mode=append "
           "--requeue --nodes=1 "
           "--ntasks=3 --cpus-per-task=1 --time=8:00:00 --signal=B:USR1@120 "
           "--export=PATH,HOME,USER,LANG,LD_LIBRARY_PATH,ENGRAM_CLIP,ENGRAM_LOG,ENGRAM_SERVER_KEY,"
           "ENGRAM_KEY,ENGRAM_CACHE "
           "/h/groups/worker.sbatch /h ipc:///h/s "
           "/b/engram-worker engram-x\n",
           "the command without a site");
    site_script(&s, &script);
    ok(text_ok(&script) && !strncmp(script.s, "#!/usr/bin/env bash\n#SBATCH", 27),
       "the script is in the program");
    ok(strstr(script.s, "\nsite_mpirun=()\n") && strstr(script.s, "\nexec mpirun"), "whole");
    text_fini(&script);
    arena_fini(&a);
    site_fini(&s);
}

static void test_site(void)
{
    struct site s;
    struct arena a = {0};
    struct text script = {0};

    is_code(reads(&s, "{\"sbatch\": [\"--partition=gpu\", \"--comment=it's\"], \"setup\": "
                      "[\"module load openmpi\"],"
                      " \"mpirun\": [\"--mca\", \"btl_tcp_if_include\", \"ib 0\"], \"export\": [], "
                      "\"time\": \"30\","
                      " \"threads\": 4, \"worker\": \"/opt/w\", \"connect\": \"tcp://login:5555\", "
                      "\"max_groups\": 2}"),
            OK, &e, "a profile with much in it");
    is_code(site_add_sbatch(&s, "--gres=gpu:1", &e), OK, &e, "and a word from the command line");
    is_code(site_check(&s, &e), OK, &e, "which fit together");
    is_str(
        command_of(&s, &a),
        "sbatch --parsable --job-name=engram-x --output=/h/log/group-1.log --open-mode=append "
        "--requeue --nodes=1 "
        "--ntasks=3 --cpus-per-task=4 --time=30 --signal=B:USR1@120 --export=NONE --partition=gpu "
        "'--comment=it'\\''s' --gres=gpu:1 /h/groups/worker.sbatch /h tcp://login:5555 /opt/w "
        "engram-x\n",
        "the command of that site");
    site_script(&s, &script);
    ok(strstr(script.s, "\nmodule load openmpi\n") != NULL, "its setup is in the script");
    ok(strstr(script.s, "\nsite_mpirun=(--mca btl_tcp_if_include 'ib 0')\n") != NULL,
       "and its words for mpirun");
    text_fini(&script);
    arena_fini(&a);
    site_fini(&s);
}

static void test_refusals(void)
{
    refused("{\"partition\": \"gpu\"}", "there is no \"partition\"");
    refused("{\"max_group\": 2}", "did you mean \"max_groups\"");
    refused("{\"max_groups\": \"2\"}", "max_groups: expected a whole number from 0 to 128");
    refused("{\"max_groups\": 2.5}", "max_groups: expected a whole number");
    refused("{\"max_groups\": 99999}", "max_groups: expected a whole number");
    refused("{\"sbatch\": \"-p gpu\"}", "sbatch: expected a list");
    refused("{\"sbatch\": [1]}", "sbatch: word 1 is no string");
    refused("{\"setup\": [\"a\\nb\"]}", "control character");
    refused("{\"time\": \"\"}", "time: expected a string");
    refused("{\"time\": \"1\", \"time\": \"2\"}", "duplicate");
    refused("[]", "expected one object");
    refused("{", ":1:");
    refused("", ":1:");

    struct site s;
    is_code(reads(&s, "{\"min_groups\": 3, \"max_groups\": 2}"), OK, &e, "each number is fine");
    is_code(site_check(&s, &e), ERR_USAGE, NULL, "together they are not");
    site_fini(&s);
    site_defaults(&s, &e);
    enum code rc = OK;
    for (int i = 0; !rc && i <= SITE_WORDS; i++) rc = site_add_sbatch(&s, "-x", &e);
    is_int(rc, ERR_USAGE, "words have an end");
    site_fini(&s);
}

int main(void)
{
    test_defaults();
    test_site();
    test_refusals();
    return done_testing();
}
