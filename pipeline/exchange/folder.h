/* folder.h - the small files of a diffusers folder. Private to pipeline/exchange.
 *
 * A base that is a folder gives its own files: bytes as they are, or with the keys set that the lineage changes and every
 * other kept in its place. A base that is one file has none, so they are written from what the model was opened with.
 */
#ifndef EXCHANGE_FOLDER_H
#define EXCHANGE_FOLDER_H

#include "pipeline/exchange/exchange.h"

#include <jansson.h>

#define FOLDER_TEXT ((size_t)64 << 20)     /* of a vocabulary, the largest of these files: SD's has 1 MB */

/* <dir>/<name> of the base as it is; OK with out->data NULL: there is none. free(out->data). */
enum code folder_read(const char *dir, const char *name, struct bytes *out, struct err *e);
/* The same as JSON, *out NULL: there is none. json_decref. */
enum code folder_json(const char *dir, const char *name, json_t **out, struct err *e);
/* Plans j as diffusers prints it. Takes j; NULL is ERR_NOMEM. */
enum code folder_add(struct output *out, const char *path, json_t *j, struct err *e);

/* diffusers/tokenizer/, added tokens included. (folder_tokenizer.c) */
enum code folder_tokenizer(const struct exchange *x, struct output *out, struct err *e);
/* model_index.json and config.json of each part. (folder_config.c) */
enum code folder_configs(const struct exchange *x, struct output *out, struct err *e);
/* The same for a base that is a single file. (folder_made.c) */
enum code folder_made(const struct exchange *x, struct output *out, struct err *e);

#endif
