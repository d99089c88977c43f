/* evaluation_json.c - an evaluation as one JSON document, and strictly back.
 *
 *     {"v": 1, "commit": hash, "conditions": hash, "iou": [n][n],
 *      "concepts": [{"token", "class", "kind", "pictures": [hashes], "before": [hashes], and a number per line of figures}]}
 *
 * Keys are sorted and numbers have ten digits: the same evaluation gives the same bytes, and reading what was written and
 * writing it again changes nothing. */
#include "pipeline/evaluate/evaluate.h"

#include "base/arena.h"

#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1
#define DIGITS 10
#define CONCEPTS 4096 /* a document that says more is none of ours */

/* The figures of a concept, once for both directions. */
static const struct figure {
    const char *key;
    size_t at;
} figures[] = {
    {"clip_i", offsetof(struct concept_score, clip_i)},
    {"clip_t", offsetof(struct concept_score, clip_t)},
    {"clip_t_scaled", offsetof(struct concept_score, clip_t_scaled)},
    {"before_i", offsetof(struct concept_score, before_i)},
    {"before_t", offsetof(struct concept_score, before_t)},
    {"before_t_scaled", offsetof(struct concept_score, before_t_scaled)},
    {"drift", offsetof(struct concept_score, drift)},
    {"pixel_drift", offsetof(struct concept_score, pixel_drift)},
    {"owned", offsetof(struct concept_score, owned)},
    {"regularised", offsetof(struct concept_score, regularised)},
};
enum { N_FIGURES = sizeof figures / sizeof *figures, N_KEYS = N_FIGURES + 5 };

static const double *figure_get(const struct concept_score *s, int i)
{
    return (const double *)(const void *)((const char *)s + figures[i].at);
}

/* ---- writing ---- */

static json_t *hash_json(struct hash h)
{
    char hex[HASH_TEXT];
    return json_string(hash_text(h, hex));
}

static json_t *hashes_json(const struct hash *h, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(list, hash_json(h[i]));
    return list;
}

static json_t *concept_json(const struct concept_score *s)
{
    json_t *o = json_pack("{s:s,s:s,s:s,s:o,s:o}", "token", s->token, "class", s->class_word,
                          "kind", s->kind, "pictures", hashes_json(s->picture, s->n_pictures),
                          "before", hashes_json(s->before, s->n_pictures));
    for (int i = 0; i < N_FIGURES; i++)
        json_object_set_new(o, figures[i].key, json_real(*figure_get(s, i)));
    return o;
}

void evaluation_write(const struct evaluation *v, struct text *json)
{
    json_t *concepts = json_array(), *rows = json_array();
    for (int i = 0; i < v->n; i++) {
        json_t *row = json_array();
        for (int j = 0; j < v->n; j++) json_array_append_new(row, json_real(v->iou[i * v->n + j]));
        json_array_append_new(rows, row);
        json_array_append_new(concepts, concept_json(&v->concept[i]));
    }
    json_t *root =
        json_pack("{s:i,s:o,s:o,s:o,s:o}", "v", VERSION, "commit", hash_json(v->commit),
                  "conditions", hash_json(v->conditions), "concepts", concepts, "iou", rows);
    char *s =
        root ? json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(DIGITS)) : NULL;
    if (s) text_add(json, s);
    else {
        text_fini(json);
        json->failed = 1;
    }
    free(s);
    json_decref(root);
}

/* ---- reading ---- */

static enum code bad(struct err *e, const char *what)
{
    return err_set(e, ERR_CORRUPT, "this is not an evaluation of version %d: %s", VERSION, what);
}

static enum code get_hash(const json_t *from, struct hash *out, struct err *e)
{
    const char *s = json_string_value(from);
    return s && !hash_parse(s, out, NULL) ? OK : bad(e, "a hash is missing or malformed");
}

/* A share, a cosine or a sum of them: finite and small. */
static enum code get_real(const json_t *from, double *out, const char *key, struct err *e)
{
    *out = json_number_value(from);
    return json_is_number(from) && isfinite(*out) && fabs(*out) < 1e6 ? OK : bad(e, key);
}

static enum code get_text(const json_t *o, const char *key, char *out, size_t room, struct err *e)
{
    const json_t *from = json_object_get(o, key);
    size_t n = json_string_length(from);
    if (!json_is_string(from) || n >= room) return bad(e, key);
    memcpy(out, json_string_value(from), n + 1);
    return OK;
}

static enum code get_hashes(const json_t *list, struct hash *out, int n, struct err *e)
{
    if (!json_is_array(list) || json_array_size(list) != (size_t)n)
        return bad(e, "pictures and before differ in number");
    enum code rc = OK;
    for (int i = 0; !rc && i < n; i++) rc = get_hash(json_array_get(list, (size_t)i), &out[i], e);
    return rc;
}

static enum code get_concept(const json_t *o, struct concept_score *s, struct err *e)
{
    size_t n = json_array_size(json_object_get(o, "pictures"));
    if (json_object_size(o) != N_KEYS) return bad(e, "a concept has other keys");
    if (n > EVALUATE_PICTURES) return bad(e, "too many pictures");
    s->n_pictures = (int)n;
    enum code rc = get_text(o, "token", s->token, sizeof s->token, e);
    if (!rc) rc = get_text(o, "class", s->class_word, sizeof s->class_word, e);
    if (!rc) rc = get_text(o, "kind", s->kind, sizeof s->kind, e);
    if (!rc) rc = get_hashes(json_object_get(o, "pictures"), s->picture, s->n_pictures, e);
    if (!rc) rc = get_hashes(json_object_get(o, "before"), s->before, s->n_pictures, e);
    for (int i = 0; !rc && i < N_FIGURES; i++)
        rc = get_real(json_object_get(o, figures[i].key),
                      (double *)(void *)((char *)s + figures[i].at), figures[i].key, e);
    return rc;
}

static enum code get_iou(const json_t *rows, double *out, int n, struct err *e)
{
    if (!json_is_array(rows) || json_array_size(rows) != (size_t)n)
        return bad(e, "iou is not square");
    enum code rc = OK;
    for (int i = 0; !rc && i < n; i++) {
        const json_t *row = json_array_get(rows, (size_t)i);
        if (!json_is_array(row) || json_array_size(row) != (size_t)n)
            return bad(e, "iou is not square");
        for (int j = 0; !rc && j < n; j++)
            rc = get_real(json_array_get(row, (size_t)j), &out[i * n + j], "iou", e);
    }
    return rc;
}

static enum code get_root(const json_t *root, struct evaluation *out, struct err *e)
{
    const json_t *concepts = json_object_get(root, "concepts");
    size_t n = json_array_size(concepts);
    if (json_integer_value(json_object_get(root, "v")) != VERSION) return bad(e, "v");
    if (json_object_size(root) != 5) return bad(e, "it has other keys");
    if (!json_is_array(concepts) || n < 1 || n > CONCEPTS) return bad(e, "concepts");
    enum code rc = get_hash(json_object_get(root, "commit"), &out->commit, e);
    if (!rc) rc = get_hash(json_object_get(root, "conditions"), &out->conditions, e);
    if (rc) return rc;
    out->concept = mem_alloc(n, sizeof *out->concept);
    out->iou = mem_alloc(n * n, sizeof *out->iou);
    if (!out->concept || !out->iou)
        return err_set(e, ERR_NOMEM, "out of memory reading an evaluation");
    out->n = (int)n;
    for (size_t i = 0; !rc && i < n; i++)
        rc = get_concept(json_array_get(concepts, i), &out->concept[i], e);
    return rc ? rc : get_iou(json_object_get(root, "iou"), out->iou, out->n, e);
}

enum code evaluation_read(const char *json, size_t bytes, struct evaluation *out, struct err *e)
{
    json_error_t why;
    *out = (struct evaluation){0};
    json_t *root = json_loadb(json, bytes, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        return err_set(e, ERR_CORRUPT, "this is not an evaluation: line %d: %s", why.line,
                       why.text);
    enum code rc = get_root(root, out, e);
    json_decref(root);
    if (rc) evaluation_fini(out);
    return rc;
}
