/* main.c - the `engram` command: finds the verb, runs it. */
#include "base/text.h"
#include "cli/cli.h"
#include "cli/debug.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#ifndef ENGRAM_VERSION
#define ENGRAM_VERSION "0.1.0"
#endif

static const struct verb DEBUG_VERB = {
    .name = "debug", .what = "run one part of a model on tensors from a file", .run = verb_debug};

static const struct verb *const VERBS[] = {
    &verb_doctor, &verb_import, &verb_check,   &verb_plan,     &verb_up,     &verb_down,
    &verb_groups, &verb_drain,  &verb_lineage, &verb_learn,    &verb_submit, &verb_queue,
    &verb_watch,  &verb_cancel, &verb_retry,   &verb_pause,    &verb_resume, &verb_forget,
    &verb_log,    &verb_show,   &verb_sample,  &verb_evaluate, &verb_export, &verb_admin,
    &verb_fsck,   &verb_gc,     &verb_backup,  &verb_restore,  &DEBUG_VERB,
};
#define N_VERBS (sizeof VERBS / sizeof VERBS[0])

static int help(FILE *to)
{
    fprintf(to, "engram - teach one text-to-image model new concepts, one after another, without "
                "forgetting\n"
                "\n"
                "  engram up                                                  start a coordinator "
                "and a worker group here\n"
                "  engram lineage create pets --base examples/storybook/model\n"
                "  engram learn --lineage pets --token '<rex>' --class dog photos/rex --wait\n"
                "  engram sample --lineage pets --out pictures \"a <rex> dog on the beach\"\n"
                "  engram evaluate --lineage pets --out report.html\n"
                "  engram down\n"
                "\n");
    for (size_t i = 0; i < N_VERBS; i++)
        fprintf(to, "  %-10s %s\n", VERBS[i]->name, VERBS[i]->what);
    fprintf(to, "\nengram VERB --help tells more, with examples first. engram --version.\n");
    return to == stdout ? 0 : err_exit_status(ERR_USAGE);
}

static int unknown(const char *name)
{
    const char *names[N_VERBS];
    for (size_t i = 0; i < N_VERBS; i++) names[i] = VERBS[i]->name;
    const char *near = text_nearest(name, names, N_VERBS);
    if (near) fprintf(stderr, "engram: unknown verb %s; did you mean %s?\n", name, near);
    else fprintf(stderr, "engram: unknown verb %s; see engram --help\n", name);
    return err_exit_status(ERR_USAGE);
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) return help(stderr);
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
        return help(stdout);
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
        printf("engram %s\n", ENGRAM_VERSION);
        return 0;
    }
    for (size_t i = 0; i < N_VERBS; i++)
        if (!strcmp(argv[1], VERBS[i]->name)) return VERBS[i]->run(argc - 1, argv + 1);
    return unknown(argv[1]);
}
