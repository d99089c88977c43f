/* lesson.c - a folder becomes a request. */
#include "cli/lesson.h"

#include "cli/fit.h"
#include "cli/outlook.h"
#include "pipeline/method/method.h"

#include <stdio.h>
#include <string.h>

#define FEWEST_PIXELS 32 /* a picture smaller than this teaches nothing */

void lesson_read(struct lesson *l, const struct captioner *captioner, struct problems *p)
{
    struct err e = {0};
    struct concept_options o = {.token = l->token,
                                .class_word = l->class_word,
                                .kind = l->kind,
                                .least_side = FEWEST_PIXELS,
                                .captioner = captioner};
    size_t before = p->n + p->n_dropped;
    if (concept_read(l->dir, &o, &l->concept, p, &e) && p->n + p->n_dropped == before)
        problems_add(p, e.code, "%s", e.text);
}

void lesson_fini(struct lesson *l)
{
    concept_fini(&l->concept);
}

/* Captions and previews must fit the text encoder, or masks, training and pictures would silently see a cut text. */
static void check_texts(struct lesson *l, struct target *t, struct problems *p)
{
    struct err e = {0};
    char what[4200];
    target_add_token(t, l->concept.token);
    if (t->no_texts.code) {
        problems_add(p, t->no_texts.code, "%s", t->no_texts.text);
        return;
    }
    for (int i = 0; i < l->concept.n; i++) {
        snprintf(what, sizeof what, "caption of %s", l->concept.image[i].path);
        if (target_fits(t, l->concept.image[i].caption, what, &e))
            problems_add(p, e.code, "%s", e.text);
    }
    for (size_t i = 0; i < l->previews.n; i++) {
        snprintf(what, sizeof what, "preview \"%.60s\"", l->previews.v[i]);
        if (target_fits(t, l->previews.v[i], what, &e)) problems_add(p, e.code, "%s", e.text);
    }
}

void lesson_check(struct lesson *l, struct target *t, struct problems *p)
{
    if (!l->concept.n) return; /* it could not be read, which has been said */
    check_texts(l, t, p);
}

/* ---- room ---- */

/* Ranks of one worker group, as far as the coordinator knows any. */
static int ranks_of_a_group(void)
{
    struct message ask = {.kind = MSG_ping, .ping = {.client = "engram learn"}}, answer;
    struct arena a = {0};
    int ranks = 2;
    if (!cli_ask(&ask, &a, &answer, NULL) && answer.pong.groups) {
        uint64_t n = answer.pong.ranks / answer.pong.groups;
        ranks = n > 0 && n <= 4096 ? (int)n : 1;
    }
    arena_fini(&a);
    return ranks;
}

/* Few checkpoints come with a CLIP. A concept is learned without one; a job that fails after its commit helps nobody. */
static void leave_evaluation_out(struct lesson *l, const struct err *why)
{
    cli_say(
        "note: not evaluated (%s); ENGRAM_CLIP, here and for `engram up`, may name a CLIP model",
        why->text);
    l->no_evaluate = 1;
}

/* What cannot fit is refused before anything is sent (outlook.h). How many neurons the concept gets is supposed, not scored. */
void lesson_room(struct lesson *l, const struct target *t, const char *memory, struct problems *p)
{
    struct err e = {0};
    struct outlook o;
    struct outlook_options x = {.base = t->row.base_path,
                                .base_hash = t->row.base_hash,
                                .commits = t->commits,
                                .concept = &l->concept,
                                .settings = l->settings,
                                .previews = (int)l->previews.n,
                                .evaluate = !l->no_evaluate};
    if (memory && outlook_bytes(memory, &x.memory, &e)) problems_add(p, e.code, "%s", e.text);
    if (p->n) return;
    if (fit_is_elsewhere(t->row.base_path)) {
        cli_say("note: base model %s is not on this machine: memory and lengths of texts are not "
                "checked beforehand",
                t->row.base_path);
        return;
    }
    x.ranks = ranks_of_a_group();
    enum code rc = cli_home(&x.home, &e);
    if (!rc) {
        rc = outlook_make(&o, &x, &e);
        if (!rc) rc = outlook_fits(&o, &e);
        if (!rc && o.forecast.recompute && l->settings->train_recompute == RECOMPUTE_AUTO)
            cli_say("note: memory is short; training makes forward values again (train.recompute)");
        if (!rc && o.no_clip.code) leave_evaluation_out(l, &o.no_clip);
        outlook_close(&o);
    }
    if (rc) problems_add(p, rc, "%s", e.text);
}

void lesson_say_captions(const struct lesson *l)
{
    for (int i = 0; i < l->concept.n; i++) {
        const char *path = l->concept.image[i].path, *caption = l->concept.image[i].caption;
        enum caption_source source = l->concept.image[i].caption_source;
        if (source == CAPTION_CLASS)
            cli_say("note: %s has no caption (.txt beside it); using \"%s\"", path, caption);
        else if (source == CAPTION_COMMAND || source == CAPTION_ENDPOINT)
            cli_say("note: %s, by the %s: \"%s\"", path, caption_source_name(source), caption);
    }
}

/* ---- the request ---- */

static unsigned wants_of(const struct lesson *l)
{
    int prior = l->settings->prior_weight > 0.0 && l->settings->prior_count > 0;
    return (unsigned)WANT_SCORE | (prior ? (unsigned)WANT_PRIOR : 0u) |
           (l->previews.n ? (unsigned)WANT_SAMPLE : 0u) |
           (l->no_evaluate ? 0u : (unsigned)WANT_EVALUATE);
}

enum code lesson_message(const struct lesson *l, const struct target *t, struct arena *a,
                         struct msg_learn *m, struct err *e)
{
    size_t n = (size_t)l->concept.n;
    struct hash *image = arena_alloc(a, (n + 1) * sizeof *image);
    const char **caption = arena_alloc(a, (n + 1) * sizeof *caption);
    uint64_t seed = (uint64_t)l->settings->seed_value;
    enum code rc = OK;
    if (!image || !caption) return err_set(e, ERR_NOMEM, "out of memory for %zu images", n);
    for (size_t i = 0; !rc && i < n; i++) {
        rc = hash_file(l->concept.image[i].path, &image[i], NULL, e);
        caption[i] = l->concept.image[i].caption;
    }
    *m = (struct msg_learn){.lineage = t->name,
                            .token = l->concept.token,
                            .class_word = l->concept.class_word,
                            .kind = proto_parse_concept_kind(l->concept.kind),
                            .wants = wants_of(l),
                            .images = {n, image},
                            .captions = {n, caption},
                            .seed = seed,
                            .preview_prompts = {l->previews.n, l->previews.v},
                            .settings = l->settings_json,
                            .priority = l->priority};
    if (m->wants & WANT_PRIOR)
        m->prior_key =
            prior_key(t->row.base_hash, l->settings, m->class_word, l->concept.kind, seed);
    return rc;
}

enum code lesson_upload(const struct lesson *l, const struct hashes *images, struct objects *store,
                        struct err *e)
{
    struct hash h;
    enum code rc = OK;
    for (int i = 0; !rc && i < l->concept.n; i++) {
        const char *path = l->concept.image[i].path;
        rc = cli_send(store, path, &h, e);
        if (!rc && !hash_equal(h, images->v[i]))
            rc = err_set(e, ERR_INPUT, "%s has changed since it was looked at", path);
    }
    return rc;
}
