/* target.h - a lineage that requests are made for, as the coordinator has it: asked once, for one request or a thousand.
 *
 *     struct target t = {.name = "pets"};
 *     target_open(&t, &arena, &e);
 *     if (target_token_taken(&t, "<rex>", &taken)) ...
 *     target_add_token(&t, "<rex>");  target_fits(&t, caption, "caption of rex/1.png", &e);
 *     target_close(&t);
 */
#ifndef CLI_TARGET_H
#define CLI_TARGET_H

#include "cli/cli.h"
#include "pipeline/model/tokenizer.h"

struct target {
    const char *name;
    struct lineage_row row;
    struct commit_rows commits;        /* oldest first */
    struct job_rows waiting;           /* jobs that have not ended */
    struct tokenizer *texts;           /* owned; opened when the first text is looked at, with the tokens of commits */
    struct err no_texts;               /* why it cannot be */
    struct target *next;               /* for whoever keeps a list */
};

enum code target_open(struct target *t, struct arena *a, struct err *e);
void target_close(struct target *t);

/* Who has a token: a commit, or a job that waits. The coordinator has the last word when we submit; asking first saves an upload. */
struct taken { uint64_t job; char line[PROTO_LINE]; };
int target_token_taken(const struct target *t, const char *token, struct taken *out);

/* Texts may use this token, too: it counts as one. What is wrong with it is said elsewhere. */
void target_add_token(struct target *t, const char *token);
/* ERR_INPUT: the text encoder would not read the whole of it. OK also where the base model is elsewhere (fit.h). */
enum code target_fits(struct target *t, const char *text, const char *what, struct err *e);

/* Does every "<token>" in a prompt stand for something that is known? A mistyped one would be read as letters, and the
 * picture would be of something else. ERR_NOT_FOUND names the nearest. */
enum code target_knows_tokens(const char *lineage, const struct commit_rows *known, const char *prompt, struct err *e);

#endif
