/* options.h - what stands behind a verb: one table of options that drives parsing, help and hints.
 *
 *     struct option_spec o[] = {{"lineage", OPTION_TEXT, &lineage, "NAME", "which stream of concepts"}, ...};
 *     if (options_read(&VERB, o, n, argc, argv, &rest, &e)) return cli_fail(&e);     // --help prints and exits 0
 *
 * Every verb has --help, --json and --home. Options may stand anywhere; "--" ends them; "--name value" and "--name=value" are the
 * same. An option of one letter has one dash or two. An unknown option names the nearest known one.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum option_kind { OPTION_FLAG /* int */, OPTION_TEXT /* const char * */, OPTION_NUMBER /* int64_t */, OPTION_LIST /* struct words */ };
struct words { const char **v; size_t n; };            /* v: allocated for the life of the process */
struct option_spec { const char *name; enum option_kind kind; void *into; const char *value, *what; };

struct verb {
    const char *name, *what;                           /* "learn", "teach a lineage one concept" */
    const char *usage;                                 /* "engram learn --lineage NAME --token '<new>' DIR" */
    const char *examples;                              /* whole lines, first thing in --help */
    const char *more;                                  /* paragraphs after the options, or NULL */
    int (*run)(int argc, char **argv);                 /* argv[0] is the verb; returns an exit status. What it keeps to the end is
                                                          static: the process gives it back, and a leak checker can reach it */
};

enum code options_read(const struct verb *v, const struct option_spec *spec, size_t n, int argc, char **argv, struct words *rest,
                       struct err *e);

#endif
