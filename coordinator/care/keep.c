/* keep.c - the list of all objects that rows of the database name, and reports of evaluations. */
#include "coordinator/care/care.h"

#include "base/arena.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { REPORT_BYTES = 64 << 20 };

struct gather {
    struct keep *keep;
    enum code code;
};

static void add(struct gather *g, const struct kept *one)
{
    struct keep *k = g->keep;

    if (k->n == k->room) {
        size_t room = k->room ? 2 * k->room : 1024;
        struct kept *v = mem_grow(k->v, k->room, room, sizeof *v);
        if (!v) {
            g->code = ERR_NOMEM;
            return;
        }
        k->v = v;
        k->room = room;
    }
    k->v[k->n++] = *one;
}

static void named(void *self, uint64_t job, uint64_t kind, const uint8_t *hashes, size_t n)
{
    struct kept one = {.job = job, .kind = (uint8_t)kind};

    for (size_t i = 0; i < n; i++) {
        memcpy(one.hash.v, hashes + i * HASH_BYTES, HASH_BYTES);
        add(self, &one);
    }
}

/* What a row names comes before what a report mentions. */
static int by_hash(const void *a, const void *b)
{
    const struct kept *x = a, *y = b;
    int by = memcmp(x->hash.v, y->hash.v, HASH_BYTES);
    return by                           ? by
           : x->optional != y->optional ? x->optional - y->optional
           : x->job < y->job            ? -1
                                        : x->job > y->job;
}

static void sort(struct keep *k)
{
    size_t n = 0;

    if (k->n) qsort(k->v, k->n, sizeof *k->v, by_hash);
    for (size_t i = 0; i < k->n; i++)
        if (n == 0 || !hash_equal(k->v[n - 1].hash, k->v[i].hash)) k->v[n++] = k->v[i];
    k->n = n;
}

/* ---- reports ---- */

static void scan(struct gather *g, const struct kept *report, const char *text, size_t n)
{
    struct kept one = {.job = report->job, .kind = report->kind, .optional = 1};
    char digits[HASH_TEXT];
    size_t run = 0;

    for (size_t i = 0; i <= n; i++) {
        if (i < n && isxdigit((unsigned char)text[i])) {
            run++;
            continue;
        }
        if (run == HASH_TEXT - 1) {
            memcpy(digits, text + i - run, run);
            digits[run] = '\0';
            if (hash_parse(digits, &one.hash, NULL) == OK) add(g, &one);
        }
        run = 0;
    }
}

/* A report that is not there, or damaged, names nothing more; fsck says so of the report itself. */
static void read_reports(struct gather *g, struct objects *o)
{
    size_t n = g->keep->n;
    struct bytes b;

    for (size_t i = 0; i < n && !g->code; i++) {
        struct kept report = g->keep->v[i];
        if (report.kind != STAGE_EVALUATE) continue;
        if (objects_get(o, report.hash, REPORT_BYTES, &b, NULL)) continue;
        scan(g, &report, (const char *)b.data, b.n);
        free(b.data);
    }
}

/* ---- the list ---- */

enum code keep_make(struct keep *k, struct store *s, struct objects *o, struct err *e)
{
    struct gather g = {.keep = k};
    enum code rc;

    *k = (struct keep){0};
    if ((rc = inspect_kept(s, named, &g, e))) goto free_all;
    sort(k);
    read_reports(&g, o);
    sort(k);
    if (!g.code) return OK;
    rc = err_set(e, g.code, "out of memory for the names of %zu objects", k->n);
free_all:
    keep_fini(k);
    return rc;
}

void keep_fini(struct keep *k)
{
    free(k->v);
    *k = (struct keep){0};
}

const struct kept *keep_find(const struct keep *k, struct hash h)
{
    size_t low = 0, high = k->n;

    while (low < high) {
        size_t mid = (low + high) / 2;
        int by = memcmp(k->v[mid].hash.v, h.v, HASH_BYTES);
        if (by == 0) return &k->v[mid];
        if (by < 0) low = mid + 1;
        else high = mid;
    }
    return NULL;
}

const char *keep_text(const struct kept *k, char out[64])
{
    static const char *const what[STAGE_KINDS] = {[0] = "image",
                                                  [STAGE_PRIOR] = "class images",
                                                  [STAGE_CAPTION] = "captions",
                                                  [STAGE_SCORE] = "masks",
                                                  [STAGE_TRAIN] = "commit",
                                                  [STAGE_SAMPLE] = "picture",
                                                  [STAGE_EVALUATE] = "evaluation"};

    snprintf(out, 64, "job %llu (%s)", (unsigned long long)k->job,
             k->optional             ? "a picture of its evaluation"
             : k->kind < STAGE_KINDS ? what[k->kind]
                                     : "output");
    return out;
}
