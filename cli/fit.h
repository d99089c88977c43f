/* fit.h - does a lineage's text encoder read the whole of a text?
 *
 *     struct tokenizer *t;
 *     fit_open(&t, row.base_path, &commits, "<rex>", &e);           // with the tokens that the text may use
 *     fit_check(t, caption, "caption of rex/1.png", &e);            // ERR_INPUT: how long it is, what would be lost
 *     tokenizer_close(t);
 */
#ifndef CLI_FIT_H
#define CLI_FIT_H

#include "pipeline/model/tokenizer.h"
#include "proto/proto.h"

/* A base model that only the coordinator and its worker groups have: they say what does not fit, later. */
int fit_is_elsewhere(const char *path);

/* *t is NULL, and all texts fit, where the base model is elsewhere. The tokenizer of the base model at path, with the tokens of commits and, unless NULL or malformed, one more. */
enum code fit_open(struct tokenizer **t, const char *path, const struct commit_rows *commits, const char *token,
                   struct err *e);
/* The reference pipeline cuts a text that is too long; a picture or a mask of half a prompt would be of something else. */
enum code fit_check(const struct tokenizer *t, const char *text, const char *what, struct err *e);

#endif
