/* delta_read.c - opens a sparse delta and puts every commit together again: what hashes to its name is genuine. */
#include "pipeline/exchange/delta.h"

#include "base/arena.h"
#include "pipeline/data/concept.h"
#include "pipeline/model/safetensors.h"
#include "pipeline/neurons/commit.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT "engram delta 1"
#define CONCEPTS_MOST 1000
#define NEURONS_MOST (UINT64_C(1) << 32)
#define WIDTH_MOST 65536

struct delta {
    struct arena arena;
    const char *path, *lineage;
    struct safetensors *file;
    struct hash base;
    size_t neurons;
    uint32_t width;
    struct delta_concept *concept;
    int n;
};

static enum code corrupt(const struct delta *d, struct err *e, const char *what)
{
    return err_set(e, ERR_CORRUPT, "%s: %s", d->path, what);
}

static int has_control(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f) return 1;
    return 0;
}

/* ---- the header ----------------------------------------------------------------------------------------------------- */

static enum code read_number(const struct delta *d, const char *key, uint64_t most, uint64_t *out,
                             struct err *e)
{
    const char *text = safetensors_metadata(d->file, key);
    size_t digits = text ? strspn(text, "0123456789") : 0;
    if (!digits || digits > 18 || text[digits] || (*out = strtoull(text, NULL, 10)) > most)
        return err_set(e, ERR_CORRUPT, "%s: %s is missing or no number up to %llu", d->path, key,
                       (unsigned long long)most);
    return OK;
}

static enum code read_hash(const struct delta *d, const char *key, const char *text,
                           struct hash *out, struct err *e)
{
    if (text && !hash_parse(text, out, NULL)) return OK;
    return err_set(e, ERR_CORRUPT, "%s: %s is missing or no SHA-256", d->path, key);
}

static enum code read_header(struct delta *d, struct err *e)
{
    uint64_t neurons = 0, width = 0;
    const char *format = safetensors_metadata(d->file, "engram.format");
    const char *lineage = safetensors_metadata(d->file, "engram.lineage");
    if (!format)
        return err_set(
            e, ERR_INPUT,
            "%s: not a sparse delta, which engram export --to delta writes (its header has no "
            "engram.format)",
            d->path);
    if (strcmp(format, FORMAT) != 0)
        return err_set(e, ERR_INPUT,
                       "%s: engram.format is \"%.40s\"; this Engram reads \"" FORMAT "\"", d->path,
                       format);
    enum code rc = read_number(d, "engram.neurons", NEURONS_MOST - 1, &neurons, e);
    if (!rc) rc = read_number(d, "engram.width", WIDTH_MOST, &width, e);
    if (!rc)
        rc = read_hash(d, "engram.base", safetensors_metadata(d->file, "engram.base"), &d->base, e);
    d->neurons = (size_t)neurons;
    d->width = (uint32_t)width;
    d->lineage = lineage ? lineage : "";
    if (!rc && (!*d->lineage || has_control(d->lineage)))
        rc = corrupt(d, e, "engram.lineage is no name that a lineage has");
    return rc;
}

/* ---- one concept ---------------------------------------------------------------------------------------------------- */

static const struct stored *tensor(const struct delta *d, int number, const char *what,
                                   enum stored_dtype dtype, uint64_t count)
{
    char name[64];
    snprintf(name, sizeof name, "commit.%d.%s", number, what);
    const struct stored *t = safetensors_find(d->file, name);
    return t && t->dtype == dtype && t->rank == 1 && (uint64_t)t->dim[0] == count ? t : NULL;
}

/* The fields of the header's list. Texts point into the JSON. */
static enum code read_concept(struct delta *d, const json_t *j, struct delta_concept *c,
                              const char **made, struct err *e)
{
    json_int_t number = 0, neurons = 0;
    const char *commit, *parent = NULL;
    if (json_unpack((json_t *)(uintptr_t)j, "{s:I,s:s,s?s,s:s,s:s,s:s,s:I,s:s!}", "number", &number,
                    "commit", &commit, "parent", &parent, "token", &c->token, "class",
                    &c->class_word, "kind", &c->kind, "neurons", &neurons, "made", made))
        return corrupt(d, e,
                       "engram.concepts has an entry with a member missing, unknown or wrong");
    if (number < 1 || number > CONCEPTS_MOST || neurons < 0 || (uint64_t)neurons > d->neurons)
        return corrupt(d, e, "engram.concepts has a number that is impossible");
    c->number = (int)number;
    c->n_neurons = (size_t)neurons;
    enum code rc = read_hash(d, "a commit of engram.concepts", commit, &c->commit, e);
    if (!rc && parent) rc = read_hash(d, "a parent of engram.concepts", parent, &c->parent, e);
    if (!rc && (concept_token_check(c->token, NULL) || concept_kind_check(c->kind, NULL) ||
                strlen(c->class_word) >= COMMIT_CLASS || has_control(c->class_word)))
        rc = corrupt(d, e, "engram.concepts has a token, class or kind that no lineage has");
    return rc;
}

/* The commit as the lineage has it. Its mask is the caller's. */
static enum code assemble(const struct delta *d, const struct delta_concept *c, const char *made,
                          struct commit *out, struct err *e)
{
    const struct stored *mask = tensor(d, c->number, "mask", STORED_U8, (d->neurons + 63) / 64 * 8),
                        *values = tensor(d, c->number, "values", STORED_F32, c->n_neurons),
                        *row = tensor(d, c->number, "row", STORED_F32, d->width);
    if (!mask || !values || !row)
        return err_set(
            e, ERR_CORRUPT,
            "%s: mask, values or row of commit %d is missing or has another type or size", d->path,
            c->number);
    *out = (struct commit){
        .base = d->base, .parent = c->parent, .n_values = c->n_neurons, .dim = d->width};
    snprintf(out->token, sizeof out->token, "%s", c->token);
    snprintf(out->class_word, sizeof out->class_word, "%s", c->class_word);
    snprintf(out->kind, sizeof out->kind, "%s", c->kind);
    enum code rc = mask_init(&out->mask, d->neurons, e);
    out->value = mem_alloc(c->n_neurons + 1, sizeof(float));
    out->row = mem_alloc((size_t)d->width + 1, sizeof(float));
    out->made = mem_alloc(strlen(made) + 1, 1);
    if (rc || !out->value || !out->row || !out->made)
        return err_set(e, ERR_NOMEM, "%s: no memory for commit %d", d->path, c->number);
    memcpy(out->mask.words, mask->data, mask->bytes);
    memcpy(out->value, values->data, values->bytes);
    memcpy(out->row, row->data, row->bytes);
    strcpy(out->made, made);
    return OK;
}

static enum code prove(const struct delta *d, const struct delta_concept *c, const char *made,
                       struct err *e)
{
    struct commit put = {0}, again = {0};
    struct bytes b = {0};
    struct err why = {0};
    char is[HASH_TEXT], want[HASH_TEXT];
    enum code rc = assemble(d, c, made, &put, e);
    if (!rc) rc = commit_encode(&put, &b, e);
    if (!rc && commit_decode(b.data, b.n, &again, &why))
        rc = err_set(e, why.code, "%s: commit %d, %s: %s", d->path, c->number, c->token, why.text);
    if (!rc && !hash_equal(hash_bytes(b.data, b.n), c->commit))
        rc = err_set(e, ERR_CORRUPT,
                     "%s: commit %d, %s, hashes to %.12s but is named %.12s; the file was changed",
                     d->path, c->number, c->token, hash_text(hash_bytes(b.data, b.n), is),
                     hash_text(c->commit, want));
    free(b.data);
    commit_fini(&again);
    commit_fini(&put);
    return rc;
}

/* A first commit has no parent, and a commit follows the one before it. */
static enum code check_order(const struct delta *d, int i, struct err *e)
{
    const struct delta_concept *c = &d->concept[i], *before = i ? c - 1 : NULL;
    int follows = before && c->number == before->number + 1;
    if ((before && c->number <= before->number) || (c->number == 1) != hash_is_zero(c->parent) ||
        (follows && !hash_equal(c->parent, before->commit)))
        return err_set(e, ERR_CORRUPT, "%s: commit %d, %s, does not follow the one before it",
                       d->path, c->number, c->token);
    return OK;
}

/* ---- opening -------------------------------------------------------------------------------------------------------- */

static enum code read_concepts(struct delta *d, const json_t *list, struct err *e)
{
    size_t n = json_array_size(list);
    enum code rc = OK;
    if (!json_is_array(list) || n > CONCEPTS_MOST)
        return corrupt(d, e, "engram.concepts is missing or no list of up to 1000");
    if (safetensors_count(d->file) != 3 * n)
        return corrupt(d, e, "it does not hold three tensors for each commit");
    d->concept = arena_alloc(&d->arena, (n + 1) * sizeof *d->concept);
    if (!d->concept) return err_set(e, ERR_NOMEM, "%s: no memory to read it", d->path);
    for (; !rc && d->n < (int)n; d->n++) {
        struct delta_concept *c = &d->concept[d->n];
        const char *made = NULL;
        rc = read_concept(d, json_array_get(list, (size_t)d->n), c, &made, e);
        if (!rc) rc = check_order(d, d->n, e);
        if (!rc) rc = prove(d, c, made, e);
        if (rc) break;
        c->token = arena_strdup(&d->arena, c->token);
        c->class_word = arena_strdup(&d->arena, c->class_word);
        c->kind = arena_strdup(&d->arena, c->kind);
        if (!c->token || !c->class_word || !c->kind)
            rc = err_set(e, ERR_NOMEM, "%s: no memory to read it", d->path);
    }
    return rc;
}

enum code delta_open(struct delta **out, const char *path, struct err *e)
{
    struct delta *d = mem_alloc(1, sizeof *d);
    json_t *list = NULL;
    *out = NULL;
    if (!d) return err_set(e, ERR_NOMEM, "%s: no memory to read it", path);
    d->path = arena_strdup(&d->arena, path);
    enum code rc = d->path ? safetensors_open(&d->file, path, e)
                           : err_set(e, ERR_NOMEM, "%s: no memory to read it", path);
    if (!rc) rc = read_header(d, e);
    if (!rc) {
        const char *text = safetensors_metadata(d->file, "engram.concepts");
        list = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
        rc = read_concepts(d, list, e);
    }
    json_decref(list);
    if (rc) {
        delta_close(d);
        return rc;
    }
    *out = d;
    return OK;
}

void delta_close(struct delta *d)
{
    if (!d) return;
    safetensors_close(d->file);
    arena_fini(&d->arena);
    free(d);
}

const char *delta_lineage(const struct delta *d)
{
    return d->lineage;
}

struct hash delta_base(const struct delta *d)
{
    return d->base;
}

size_t delta_neurons(const struct delta *d)
{
    return d->neurons;
}

int delta_count(const struct delta *d)
{
    return d->n;
}

const struct delta_concept *delta_at(const struct delta *d, int i)
{
    return &d->concept[i];
}
