/* evaluate.c - the walk along a lineage: own pictures at each commit, pictures now and before, then figures.
 *
 * Each rank fills the slots of its own pictures; one gather gives all of them to all; every rank adds them up in picture
 * order, so the figures do not depend on who drew what. */
#include "pipeline/evaluate/evaluate.h"

#include "base/arena.h"
#include "pipeline/evaluate/pictures.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COMMIT_BYTES (UINT64_C(1) << 31)
enum { NOW, BEFORE, OWN, VIEWS };

/* All ranks' slots are one array [rank][concept][slot]. */
struct slot {
    struct hash picture[VIEWS];
    double pixel_drift;
};

struct run {
    const struct evaluate_task *t;
    struct evaluation *out;
    struct gallery g;
    struct lineage l;
    int P, slots;          /* features; slots per concept and rank */
    struct slot *slot;     /* owned, this rank's [n][slots] */
    float *feature[VIEWS]; /* owned, [n][slots][P] */
    struct hash *hashes;   /* owned, [slots]: of one drawing */
};

static double seconds_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

static size_t slot_at(const struct run *r, int k, int j)
{
    return (size_t)k * (size_t)r->slots + (size_t)j;
}

static struct hash conditions(const struct run *r)
{
    const struct evaluate_task *t = r->t;
    const struct settings *s = &t->settings;
    struct text text = {0};
    char hex[HASH_TEXT];
    text_printf(&text, "engram evaluation 1\nmodel %s\n", hash_text(t->model->hash, hex));
    text_printf(&text, "clip %s\nseed %llu\nside %d\n", hash_text(t->clip->hash, hex),
                (unsigned long long)t->seed, r->g.side);
    text_printf(&text, "steps %lld\nguidance %.17g\neta %.17g\nper prompt %lld\nnegative %s\n",
                (long long)s->sample_steps, s->sample_guidance, s->sample_eta,
                (long long)s->evaluate_per_prompt, s->sample_negative);
    const char *const *pattern = t->n_patterns ? t->pattern : evaluate_patterns();
    for (int i = 0; t->n_patterns ? i < t->n_patterns : pattern[i] != NULL; i++)
        text_printf(&text, "prompt %s\n", pattern[i]);
    struct hash h = {{0}};
    if (text_ok(&text)) h = hash_bytes(text.s, text.n);
    text_fini(&text);
    return h;
}

/* ---- beginning and end ---- */

static enum code check(const struct evaluate_task *t, struct err *e)
{
    if (t->n < 1)
        return err_set(e, ERR_INPUT,
                       "an empty lineage has nothing to evaluate; learn a concept first");
    for (int k = 0; k < t->n; k++)
        if (t->concept[k].n_references < 1)
            return err_set(e, ERR_INPUT, "concept %s has no reference images to compare with",
                           t->concept[k].token);
    return OK;
}

static enum code run_open(struct run *r, struct err *e)
{
    const struct evaluate_task *t = r->t;
    enum code rc = check(t, e);
    if (!rc) rc = gallery_open(&r->g, t, e);
    if (rc) return rc;
    r->P = t->clip->vision.projection;
    r->slots = r->g.slots;
    size_t n = (size_t)t->n * (size_t)r->slots;
    r->slot = mem_alloc(n, sizeof *r->slot);
    r->hashes = mem_alloc((size_t)r->slots, sizeof *r->hashes);
    for (int v = 0; v < VIEWS; v++) r->feature[v] = mem_alloc(n * (size_t)r->P, sizeof(float));
    r->out->concept = mem_alloc((size_t)t->n, sizeof *r->out->concept);
    r->out->iou = mem_alloc((size_t)t->n * (size_t)t->n, sizeof *r->out->iou);
    if (!r->slot || !r->hashes || !r->feature[NOW] || !r->feature[BEFORE] || !r->feature[OWN] ||
        !r->out->concept || !r->out->iou)
        return err_set(e, ERR_NOMEM, "out of memory for an evaluation");
    r->out->n = t->n;
    r->out->commit = t->concept[t->n - 1].commit;
    r->out->conditions = conditions(r);
    for (int k = 0; k < t->n; k++)
        r->g.of += (int64_t)gallery_share(&r->g, k) * (k < t->n - 1 ? 3 : 2);
    return lineage_start(&r->l, t->w0, t->model->kv.n_weights, t->model->hash,
                         (uint32_t)t->model->text.hidden, e);
}

static void run_close(struct run *r)
{
    lineage_fini(&r->l);
    gallery_close(&r->g);
    for (int v = 0; v < VIEWS; v++) free(r->feature[v]);
    free(r->slot);
    free(r->hashes);
}

/* ---- pictures ---- */

/* The evaluation of concept k's own commit under these conditions, if the caller has one. */
static const struct evaluation *previous(const struct run *r, int k)
{
    const struct evaluate_task *t = r->t;
    for (int i = 0; i < t->n_previous; i++) {
        const struct evaluation *p = &t->previous[i];
        if (p->n == k + 1 && hash_equal(p->commit, t->concept[k].commit) &&
            hash_equal(p->conditions, r->out->conditions) &&
            p->concept[k].n_pictures == r->g.portrait[k].n_pictures)
            return p;
    }
    return NULL;
}

static enum code draw(struct run *r, int k, int view, const float *kv, const struct hash *known,
                      struct err *e)
{
    static const char *const what[VIEWS] = {"now", "before", "when committed"};
    struct view v = {.kv = kv,
                     .plain = view == BEFORE,
                     .known = known,
                     .what = what[view],
                     .picture = r->hashes,
                     .feature = r->feature[view] + slot_at(r, k, 0) * (size_t)r->P};
    enum code rc = gallery_draw(&r->g, k, &v, e);
    for (int j = 0; !rc && j < gallery_share(&r->g, k); j++)
        r->slot[slot_at(r, k, j)].picture[view] = r->hashes[j];
    return rc;
}

/* Two concepts of one class word and kind have the same pictures before. */
static int same_before(const struct run *r, int k)
{
    const struct evaluate_concept *c = r->t->concept;
    for (int i = 0; i < k; i++)
        if (!strcmp(c[i].class_word, c[k].class_word) && !strcmp(c[i].kind, c[k].kind)) return i;
    return -1;
}

static enum code draw_before(struct run *r, int k, struct err *e)
{
    const struct evaluation *p = previous(r, k);
    int same = same_before(r, k), share = gallery_share(&r->g, k);
    if (same < 0) return draw(r, k, BEFORE, r->t->w0, p ? p->concept[k].before : NULL, e);
    size_t to = slot_at(r, k, 0), from = slot_at(r, same, 0);
    memcpy(r->feature[BEFORE] + to * (size_t)r->P, r->feature[BEFORE] + from * (size_t)r->P,
           (size_t)share * (size_t)r->P * sizeof(float));
    for (int j = 0; j < share; j++)
        r->slot[to + (size_t)j].picture[BEFORE] = r->slot[from + (size_t)j].picture[BEFORE];
    r->g.drawn += share;
    return OK;
}

static enum code commit_apply(struct run *r, int k, struct err *e)
{
    const struct evaluate_concept *x = &r->t->concept[k];
    struct concept_score *s = &r->out->concept[k];
    struct bytes b = {0};
    struct commit c = {0};
    enum code rc = objects_get(r->t->store, x->commit, COMMIT_BYTES, &b, e);
    if (!rc) rc = commit_decode(b.data, b.n, &c, e);
    if (!rc && strcmp(c.token, x->token) != 0)
        rc = err_set(e, ERR_CORRUPT, "commit %d of the chain is of %s, not of %s", k + 1, c.token,
                     x->token);
    if (!rc) {
        s->regularised = mask_overlap(&c.mask, &r->l.used);
        s->owned = mask_density(&c.mask);
        rc = lineage_apply(&r->l, &c, x->commit, e);
    }
    if (!rc) {
        size_t dim = r->l.dim;
        memcpy(r->g.rows + (size_t)k * dim, r->l.rows + (size_t)k * dim, dim * sizeof(float));
        memcpy(s->token, c.token, sizeof s->token);
        memcpy(s->class_word, c.class_word, sizeof s->class_word);
        memcpy(s->kind, c.kind, sizeof s->kind);
    }
    commit_fini(&c);
    free(b.data);
    return rc;
}

/* One commit further, and its own pictures while the weights are those of its time. The newest one's are those of now. */
static enum code step(struct run *r, int k, struct err *e)
{
    enum code rc = commit_apply(r, k, e);
    if (rc || k == r->t->n - 1) return rc;
    const struct evaluation *p = previous(r, k);
    return draw(r, k, OWN, r->l.kv, p ? p->concept[k].picture : NULL, e);
}

static enum code draw_now(struct run *r, int k, struct err *e)
{
    enum code rc = draw(r, k, NOW, r->l.kv, NULL, e);
    for (int j = 0; !rc && j < gallery_share(&r->g, k); j++) {
        struct slot *s = &r->slot[slot_at(r, k, j)];
        size_t at = slot_at(r, k, j) * (size_t)r->P;
        if (k == r->t->n - 1)
            memcpy(r->feature[OWN] + at, r->feature[NOW] + at, (size_t)r->P * sizeof(float));
        else rc = gallery_apart(&r->g, s->picture[NOW], s->picture[OWN], &s->pixel_drift, e);
    }
    return rc;
}

static enum code draw_all(struct run *r, struct err *e)
{
    struct collectives *c = r->t->ranks;
    assert(r->g.portrait); /* agreement never makes a success of this rank's failure */
    enum code rc = OK;
    /* Agreement after each concept: a rank that gave up or was cancelled must not leave the others drawing for minutes. */
    for (int k = 0; !rc && k < r->t->n; k++) rc = collectives_agree(c, step(r, k, e), e);
    for (int k = 0; !rc && k < r->t->n; k++) rc = collectives_agree(c, draw_before(r, k, e), e);
    for (int k = 0; !rc && k < r->t->n; k++) rc = collectives_agree(c, draw_now(r, k, e), e);
    return rc;
}

/* ---- figures ---- */

/* This rank's references: of all concepts' images in order, every size-th from its own rank on. */
static int references_share(const struct run *r, struct hash *image)
{
    const struct evaluate_task *t = r->t;
    int n = 0, at = 0;
    for (int k = 0; k < t->n; k++)
        for (int j = 0; j < t->concept[k].n_references; j++, at++)
            if (at % t->ranks->size == t->ranks->rank) image[n++] = t->concept[k].reference[j];
    return n;
}

/* Their features on every rank, [all][P]. */
static enum code references(struct run *r, float **out, struct err *e)
{
    struct collectives *c = r->t->ranks;
    size_t all = 0, P = (size_t)r->P, size = (size_t)c->size;
    for (int k = 0; k < r->t->n; k++) all += (size_t)r->t->concept[k].n_references;
    size_t share = (all + size - 1) / size;
    struct hash *image = mem_alloc(share, sizeof *image);
    float *mine = mem_alloc(share * P, sizeof *mine);
    float *theirs = mem_alloc(share * P * size, sizeof *theirs);
    int there = image && mine && theirs && (*out = mem_alloc(all * P, sizeof **out));
    enum code rc = there ? gallery_features(&r->g, image, references_share(r, image), mine, e)
                         : err_set(e, ERR_NOMEM, "out of memory for reference images");
    rc = collectives_agree(c, rc, e);
    if (!rc && there) rc = c->gather(c, mine, share * P * sizeof *mine, theirs, e);
    for (size_t i = 0; !rc && there && i < all; i++)
        memcpy(*out + i * P, theirs + ((i % size) * share + i / size) * P, P * sizeof *mine);
    free(image);
    free(mine);
    free(theirs);
    return rc;
}

/* This rank's slots become those of picture order, [n][pictures], the same on every rank. */
static enum code gather(struct run *r, void *data, size_t bytes, void *out, struct err *e)
{
    struct collectives *c = r->t->ranks;
    size_t mine = (size_t)r->t->n * (size_t)r->slots;
    char *all = mem_alloc(mine * (size_t)c->size, bytes);
    enum code rc = collectives_agree(
        c, all ? OK : err_set(e, ERR_NOMEM, "out of memory for an evaluation"), e);
    if (!rc) rc = c->gather(c, data, mine * bytes, all, e);
    for (int k = 0; !rc && k < r->t->n; k++)
        for (int i = 0; i < r->g.portrait[k].n_pictures; i++)
            memcpy((char *)out + ((size_t)k * EVALUATE_PICTURES + (size_t)i) * bytes,
                   all + ((size_t)(i % c->size) * mine + slot_at(r, k, i / c->size)) * bytes,
                   bytes);
    free(all);
    return rc;
}

static double dot(const float *a, const float *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

struct alignment {
    double i, t, t_scaled;
};

/* f [pictures][P], text [patterns][P], reference [n][P]. */
static struct alignment align(const struct run *r, int k, const float *f, const float *text,
                              const float *reference)
{
    const struct portrait *p = &r->g.portrait[k];
    int n = r->t->concept[k].n_references, per_prompt = p->n_pictures / p->n_patterns;
    struct alignment a = {0};
    for (int g = 0; g < p->n_pictures; g++, f += r->P) {
        for (int j = 0; j < n; j++) a.i += dot(f, reference + (size_t)j * (size_t)r->P, r->P);
        double cosine = dot(f, text + (size_t)(g / per_prompt) * (size_t)r->P, r->P);
        a.t += cosine;
        a.t_scaled += 2.5 * fmax(cosine, 0);
    }
    a.i /= (double)n * p->n_pictures;
    a.t /= p->n_pictures;
    a.t_scaled /= p->n_pictures;
    return a;
}

static enum code text_features(const struct run *r, int k, float *out, struct err *e)
{
    const struct evaluate_concept *c = &r->t->concept[k];
    char(*line)[PATTERN_TEXT] = mem_alloc(EVALUATE_PICTURES, sizeof *line);
    const char *text[EVALUATE_PICTURES];
    int n = r->g.portrait[k].n_patterns;
    if (!line) return err_set(e, ERR_NOMEM, "out of memory for an evaluation");
    for (int i = 0; i < n; i++) {
        pattern_fill(r->g.portrait[k].pattern[i], c->kind, NULL, c->class_word, line[i]);
        text[i] = line[i];
    }
    enum code rc = clip_text_features(r->t->clip, r->t->kernels, text, n, out, e);
    free(line);
    return rc;
}

/* all: [VIEWS][n][EVALUATE_PICTURES][P] in picture order; slot likewise without views and P. */
static void figures(struct run *r, int k, float *const all[VIEWS], const struct slot *slot,
                    const float *text, const float *reference)
{
    struct concept_score *s = &r->out->concept[k];
    size_t at = (size_t)k * EVALUATE_PICTURES, P = (size_t)r->P;
    int n = r->g.portrait[k].n_pictures, newest = k == r->t->n - 1;
    struct alignment now = align(r, k, all[NOW] + at * P, text, reference);
    struct alignment before = align(r, k, all[BEFORE] + at * P, text, reference);
    s->clip_i = now.i, s->clip_t = now.t, s->clip_t_scaled = now.t_scaled;
    s->before_i = before.i, s->before_t = before.t, s->before_t_scaled = before.t_scaled;
    s->n_pictures = n;
    double same = 0, pixels = 0;
    for (int i = 0; i < n; i++) {
        s->picture[i] = slot[at + (size_t)i].picture[NOW];
        s->before[i] = slot[at + (size_t)i].picture[BEFORE];
        /* Equal pictures have not drifted, whatever the rounding of a feature's length. */
        same += hash_equal(slot[at + (size_t)i].picture[NOW], slot[at + (size_t)i].picture[OWN])
                    ? 1.0
                    : dot(all[NOW] + (at + (size_t)i) * P, all[OWN] + (at + (size_t)i) * P, r->P);
        pixels += slot[at + (size_t)i].pixel_drift;
    }
    s->drift = newest ? 0 : 1 - same / n;
    s->pixel_drift = newest ? 0 : pixels / n;
}

static enum code measure(struct run *r, const float *reference, struct err *e)
{
    size_t all = (size_t)r->t->n * EVALUATE_PICTURES, P = (size_t)r->P;
    struct slot *slot = mem_alloc(all, sizeof *slot);
    float *feature[VIEWS] = {0}, *text = mem_alloc(EVALUATE_PICTURES * P, sizeof *text);
    int there = slot && text;
    for (int v = 0; v < VIEWS; v++)
        there &= (feature[v] = mem_alloc(all * P, sizeof(float))) != NULL;
    enum code rc = collectives_agree(
        r->t->ranks, there ? OK : err_set(e, ERR_NOMEM, "out of memory for an evaluation"), e);
    if (!rc) rc = gather(r, r->slot, sizeof *slot, slot, e);
    for (int v = 0; !rc && v < VIEWS; v++)
        rc = gather(r, r->feature[v], P * sizeof(float), feature[v], e);
    for (int k = 0; !rc && k < r->t->n; k++) {
        rc = text_features(r, k, text, e);
        if (!rc) figures(r, k, feature, slot, text, reference);
        reference += (size_t)r->t->concept[k].n_references * P;
    }
    for (int a = 0; !rc && a < r->t->n; a++)
        for (int b = 0; b < r->t->n; b++)
            r->out->iou[(size_t)a * (size_t)r->t->n + (size_t)b] =
                mask_iou(&r->l.mask[a], &r->l.mask[b]);
    for (int v = 0; v < VIEWS; v++) free(feature[v]);
    free(slot);
    free(text);
    return rc;
}

enum code evaluate_run(const struct evaluate_task *t, struct evaluation *out, struct err *e)
{
    struct run r = {.t = t, .out = out};
    float *reference = NULL;
    double begin = seconds_now();
    *out = (struct evaluation){0};
    enum code rc = collectives_agree(t->ranks, run_open(&r, e), e);
    if (!rc) rc = references(&r, &reference, e);
    if (!rc) rc = draw_all(&r, e);
    if (!rc) rc = collectives_agree(t->ranks, measure(&r, reference, e), e);
    out->seconds = seconds_now() - begin;
    free(reference);
    run_close(&r);
    if (rc) evaluation_fini(out);
    return rc;
}

/* Pictures of concept k that are drawn for a rank's share of one: now, before (once for a class word), at its own commit. */
static int times_drawn(const struct run *r, int k)
{
    return 1 + (same_before(r, k) < 0) + (k < r->t->n - 1);
}

enum code evaluate_cost(const struct evaluate_task *t, struct pace *pace, struct evaluate_cost *out,
                        struct err *e)
{
    struct run r = {.t = t};
    struct cost picture = {0}, image = {0}, text = {0};
    const struct settings *s = &t->settings;
    size_t P = (size_t)t->clip->vision.projection, S = (size_t)t->clip->vision.image_size;
    int mine = 0, seen = 0, texts = 0;
    *out = (struct evaluate_cost){0};
    enum code rc = check(t, e);
    if (!rc) rc = gallery_open(&r.g, t, e);
    if (!rc) rc = clip_image_cost(t->clip, t->kernels, pace, &image, e);
    if (!rc) rc = clip_text_cost(t->clip, t->kernels, pace, &text, e);
    if (!rc)
        rc = sampler_cost(t->model, t->kernels, r.g.side, r.g.side, t->n, (int)s->sample_steps,
                          (float)s->sample_guidance, pace, &picture, e);
    for (int k = 0; !rc && k < t->n; k++) {
        const struct portrait *p = &r.g.portrait[k];
        int times = times_drawn(&r, k);
        out->pictures += times * p->n_pictures;
        if (p->n_pictures > out->busy) out->busy = p->n_pictures;
        mine += times * gallery_share(&r.g, k);
        seen += times * gallery_share(&r.g, k) + t->concept[k].n_references / t->ranks->size + 1;
        texts += p->n_patterns;
    }
    size_t side2 = (size_t)r.g.side * (size_t)r.g.side, n = (size_t)t->n, slots = (size_t)r.g.slots;
    out->arena = picture.arena + (image.arena > text.arena ? image.arena : text.arena);
    if (!rc)
        out->own = sampler_bytes(t->model, r.g.side, r.g.side, t->n) + 9 * side2 +
                   slots * S * S * 3 + S * S * 3 * sizeof(float) +
                   VIEWS * n * (slots + EVALUATE_PICTURES) * P * sizeof(float);
    if (out->busy > t->ranks->size) out->busy = t->ranks->size;
    out->seconds = mine * picture.seconds + seen * image.seconds + texts * text.seconds;
    gallery_close(&r.g);
    return rc;
}

void evaluation_fini(struct evaluation *v)
{
    free(v->concept);
    free(v->iou);
    *v = (struct evaluation){0};
}
