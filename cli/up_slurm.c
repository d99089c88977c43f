#include "cli/up_slurm.h"

#include "base/arena.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SBATCH_MOST = 64 };

size_t up_slurm_options(struct up_slurm *u, struct option_spec rows[UP_SLURM_OPTIONS])
{
    const struct option_spec all[UP_SLURM_OPTIONS] = {
        {"slurm", OPTION_FLAG, &u->on, NULL,
         "worker groups are Slurm jobs, started when there is work (slurm/README.md)"},
        {"p", OPTION_TEXT, &u->partition, "PARTITION", "-p -A -q -t -C and --gres as for sbatch"},
        {"A", OPTION_TEXT, &u->account, NULL, NULL},
        {"q", OPTION_TEXT, &u->qos, NULL, NULL},
        {"t", OPTION_TEXT, &u->time, NULL, NULL},
        {"C", OPTION_TEXT, &u->constraint, NULL, NULL},
        {"gres", OPTION_TEXT, &u->gres, NULL, NULL},
        {"sbatch", OPTION_LIST, &u->sbatch, "WORD",
         "any other option of sbatch, e.g. --sbatch=--exclusive"},
        {"min-groups", OPTION_NUMBER, &u->least, "N",
         "Slurm: so many also without work (default 0)"},
        {"max-groups", OPTION_NUMBER, &u->most, "N", "Slurm: never more (default 4)"},
        {"idle", OPTION_NUMBER, &u->idle, "MINUTES",
         "Slurm: a group without work ends then (default 10)"},
        {"site", OPTION_TEXT, &u->site, "FILE",
         "Slurm: what this site needs (default: site.json in the home)"},
        {"print-sbatch", OPTION_FLAG, &u->print, NULL,
         "Slurm: show script and command, start nothing"},
    };
    u->least = u->most = u->idle = -1;
    memcpy(rows, all, sizeof all);
    return UP_SLURM_OPTIONS;
}

/* A word of two parts, or NULL where there is no second one or no memory. */
static const char *join(const char *option, const char *value)
{
    size_t n = value ? strlen(option) + strlen(value) + 1 : 0;
    char *word = value ? mem_alloc(n, 1) : NULL;
    if (word) snprintf(word, n, "%s%s", option, value);
    return word;
}

static void add(const char **words, size_t *n, const char *option, const char *value)
{
    if (!value) return;
    words[(*n)++] = option;
    words[(*n)++] = value;
}

static void add_number(const char **words, size_t *n, const char *option, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    if (value >= 0) add(words, n, option, join(text, ""));
}

static int says_something(const struct up_slurm *u)
{
    return u->print || u->partition || u->account || u->qos || u->time || u->gres ||
           u->constraint || u->site || u->sbatch.n || u->least >= 0 || u->most >= 0 || u->idle >= 0;
}

enum code up_slurm_words(const struct up_slurm *u, const char **words, size_t *n, struct err *e)
{
    if (!u->on)
        return says_something(u)
                   ? err_set(e, ERR_USAGE, "options of Slurm are there, --slurm is not")
                   : OK;
    if (u->sbatch.n > SBATCH_MOST)
        return err_set(e, ERR_USAGE, "--sbatch: more than %d words", SBATCH_MOST);
    words[(*n)++] = "--slurm";
    if (u->print) words[(*n)++] = "--print-sbatch";
    add(words, n, "--site", u->site);
    add_number(words, n, "--min-groups", u->least);
    add_number(words, n, "--max-groups", u->most);
    add_number(words, n, "--idle", u->idle);
    add(words, n, "--sbatch", join("--partition=", u->partition));
    add(words, n, "--sbatch", join("--account=", u->account));
    add(words, n, "--sbatch", join("--qos=", u->qos));
    add(words, n, "--sbatch", join("--time=", u->time));
    add(words, n, "--sbatch", join("--gres=", u->gres));
    add(words, n, "--sbatch", join("--constraint=", u->constraint));
    for (size_t i = 0; i < u->sbatch.n; i++) add(words, n, "--sbatch", u->sbatch.v[i]);
    return OK;
}
