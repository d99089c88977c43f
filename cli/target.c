/* target.c - what a lineage has and reads. */
#include "cli/target.h"

#include "base/text.h"
#include "cli/fit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum code target_open(struct target *t, struct arena *a, struct err *e)
{
    struct msg_queue open = {.states = STATES_OPEN, .lineage = t->name};
    enum code rc = cli_lineage(t->name, a, &t->row, e);
    if (!rc) rc = cli_commits(t->name, a, &t->commits, e);
    return rc ? rc : cli_jobs(&open, UINT64_MAX, a, &t->waiting, NULL, e);
}

void target_close(struct target *t)
{
    tokenizer_close(t->texts);
    t->texts = NULL;
}

int target_token_taken(const struct target *t, const char *token, struct taken *out)
{
    for (size_t i = 0; i < t->commits.n; i++) {
        const struct commit_row *r = &t->commits.v[i];
        if (strcmp(r->token, token) != 0) continue;
        out->job = r->job;
        snprintf(out->line, sizeof out->line,
                 "token %s is taken in lineage %s (commit %" PRIu64 ", \"%s\"); choose another",
                 token, t->name, r->number, r->class_word);
        return 1;
    }
    for (size_t i = 0; i < t->waiting.n; i++) {
        const struct job_row *r = &t->waiting.v[i];
        if (r->kind != JOB_LEARN || !*r->token || strcmp(r->token, token) ||
            !hash_is_zero(r->commit))
            continue;
        out->job = r->job;
        snprintf(out->line, sizeof out->line,
                 "token %s is taken in lineage %s (job %" PRIu64 ", \"%s\", is %s); choose another",
                 token, t->name, r->job, r->class_word, proto_job_state(r->state));
        return 1;
    }
    return 0;
}

/* ---- texts ---- */

static enum code open_texts(struct target *t, struct err *e)
{
    if (t->no_texts.code) {
        if (e) *e = t->no_texts;
        return t->no_texts.code;
    }
    if (t->texts) return OK;
    if (!fit_open(&t->texts, t->row.base_path, &t->commits, NULL, &t->no_texts)) return OK;
    err_context(&t->no_texts, "base model of %s", t->name);
    return open_texts(t, e);
}

void target_add_token(struct target *t, const char *token)
{
    int32_t id;
    if (!open_texts(t, NULL) && t->texts) tokenizer_add(t->texts, token, &id, NULL);
}

enum code target_fits(struct target *t, const char *text, const char *what, struct err *e)
{
    enum code rc = open_texts(t, e);
    return rc ? rc : fit_check(t->texts, text, what, e);
}

/* "<rex>": letters as in concept_token_check. Length with both brackets; 0: no token begins here. */
static size_t token_length(const char *s)
{
    size_t n = *s == '<' ? strspn(s + 1, "abcdefghijklmnopqrstuvwxyz0123456789-_.") : 0;
    return n && s[n + 1] == '>' ? n + 2 : 0;
}

enum code target_knows_tokens(const char *lineage, const struct commit_rows *known,
                              const char *prompt, struct err *e)
{
    const char **names = mem_alloc(known->n + 1, sizeof *names);
    enum code rc = names ? OK : err_set(e, ERR_NOMEM, "out of memory for prompts");
    for (size_t i = 0; !rc && i < known->n; i++) names[i] = known->v[i].token;
    for (; !rc && (prompt = strchr(prompt, '<')); prompt++) {
        char token[PROTO_NAME + 1];
        size_t n = token_length(prompt), at = 0;
        if (!n || n > PROTO_NAME) continue;
        snprintf(token, sizeof token, "%.*s", (int)n, prompt);
        while (at < known->n && strcmp(names[at], token)) at++;
        if (at < known->n) continue;
        const char *near = text_nearest(token, names, known->n);
        rc = near ? err_set(e, ERR_NOT_FOUND, "%s has not learned %s; did you mean %s?", lineage,
                            token, near)
                  : err_set(e, ERR_NOT_FOUND,
                            "%s has not learned %s; engram log %s lists what it has", lineage,
                            token, lineage);
    }
    free(names);
    return rc;
}
