/* jsonfile.h - the JSON files of a model directory, read with one sticky error. Private to pipeline/model.
 *
 *     struct jsonfile f;
 *     jsonfile_open(&f, path, &e);
 *     int heads = jsonfile_int(&f, "num_attention_heads", 8, 1, 512);       // 8: the default when the key is absent
 *     return jsonfile_close(&f);                                            // OK, or the first mistake
 *
 * After the first mistake every reader returns its default and says nothing more. Syntax errors give file:line:column;
 * a value of the wrong kind gives the file, the key and what was expected.
 */
#ifndef MODEL_JSONFILE_H
#define MODEL_JSONFILE_H

#include "base/err.h"

#include <jansson.h>

struct jsonfile {
    json_t *root;          /* owned; NULL after a failed open */
    json_t *at;            /* the object that keys are looked up in: root, or one inside */
    const char *path;      /* borrowed */
    const char *where;     /* "" or "text_config." : put before keys in messages */
    enum code rc;          /* sticky */
    struct err *e;
};

/* The return value may be ignored: all other functions are harmless after a failure. */
enum code jsonfile_open(struct jsonfile *f, const char *path, struct err *e);
enum code jsonfile_close(struct jsonfile *f);
/* Looks keys up in the object `key` of the root from now on; NULL goes back to the root. */
void jsonfile_enter(struct jsonfile *f, const char *key, const char *where);
enum code jsonfile_fail(struct jsonfile *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

int jsonfile_has(const struct jsonfile *f, const char *key);        /* present and not null */
int jsonfile_int(struct jsonfile *f, const char *key, int otherwise, int least, int most);
double jsonfile_real(struct jsonfile *f, const char *key, double otherwise);
int jsonfile_flag(struct jsonfile *f, const char *key, int otherwise);
const char *jsonfile_text(struct jsonfile *f, const char *key, const char *otherwise);
/* A list of exactly n, or one number that stands for all n. */
void jsonfile_ints(struct jsonfile *f, const char *key, int otherwise, int least, int most, int *out, int n);
size_t jsonfile_length(const struct jsonfile *f, const char *key);   /* of a list; 0 if absent or no list */

/* Refusals by name: "<path>: <key> is <value>, which Engram does not compute (it needs <wanted>)". */
void jsonfile_refuse_set(struct jsonfile *f, const char *key);                            /* unless absent or null */
void jsonfile_refuse_true(struct jsonfile *f, const char *key);                           /* unless absent, null, false */
void jsonfile_refuse_not(struct jsonfile *f, const char *key, const char *wanted);        /* unless absent or this text */
void jsonfile_refuse_not_number(struct jsonfile *f, const char *key, double wanted);

#endif
