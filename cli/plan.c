/* plan.c - `engram plan`: what learning a folder would take and touch, before anything is spent. No worker group is needed; with
 * --base not even a coordinator.
 */
#include "cli/outlook.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FEWEST_PIXELS 32
/* Between these times the estimate lies where it was measured (docs/plan.md). */
#define QUICK 0.7
#define SLOW 2.2

struct planning {
    const char *lineage, *base, *token, *class_word, *kind, *config, *memory;
    struct words set, preview;
    int64_t ranks;
    int no_evaluate;
    struct lineage_row row;
    struct concept concept;
    struct settings settings;
    const char *settings_json;
    struct problems problems;
    struct outlook_options options;
    struct outlook o;
    struct arena arena;
};

/* ---- reading -------------------------------------------------------------------------------------------------------- */

static enum code find_lineage(struct planning *p, struct err *e)
{
    struct outlook_options *x = &p->options;
    x->base = p->base;
    if (!p->lineage) return OK;
    enum code rc = cli_lineage(p->lineage, &p->arena, &p->row, e);
    if (!rc) rc = cli_commits(p->lineage, &p->arena, &x->commits, e);
    if (!rc) rc = cli_home(&x->home, e);
    if (!rc) rc = cli_objects(&x->store, e);
    x->base = p->row.base_path;
    x->base_hash = p->row.base_hash;
    for (size_t i = 0; !rc && i < x->commits.n; i++)
        rc = cli_bring(x->store, (struct origin){.job = x->commits.v[i].job},
                       &x->commits.v[i].commit, 1, e);
    for (size_t i = 0; !rc && i < x->commits.n; i++)
        if (!strcmp(x->commits.v[i].token, p->concept.token))
            rc = err_set(e, ERR_EXISTS,
                         "token %s is taken in lineage %s (commit %" PRIu64 "); choose another",
                         p->concept.token, p->lineage, x->commits.v[i].number);
    return rc;
}

static void read_all(struct planning *p, const char *dir)
{
    struct err e = {0};
    struct outlook_options *x = &p->options;
    struct concept_options o = {.token = p->token,
                                .class_word = p->class_word,
                                .kind = p->kind,
                                .least_side = FEWEST_PIXELS};
    cli_settings(p->config, &p->set, &p->settings, &p->settings_json, &p->arena, &p->problems, &e);
    if (concept_read(dir, &o, &p->concept, &p->problems, &e) && !p->problems.n)
        problems_add(&p->problems, e.code, "%s", e.text);
    if (p->memory && outlook_bytes(p->memory, &x->memory, &e))
        problems_add(&p->problems, e.code, "%s", e.text);
    if (p->ranks < 1 || p->ranks > 4096)
        problems_add(&p->problems, ERR_USAGE, "--ranks %" PRId64 ": expected 1 to 4096", p->ranks);
    if (!p->problems.n && find_lineage(p, &e)) problems_add(&p->problems, e.code, "%s", e.text);
    x->concept = &p->concept;
    x->settings = &p->settings;
    x->ranks = (int)p->ranks;
    x->previews = (int)p->preview.n;
    x->evaluate = !p->no_evaluate;
    x->score = x->clock = 1;
}

/* ---- as a table ----------------------------------------------------------------------------------------------------- */

static void print_range(double seconds, char out[80])
{
    char low[32], high[32];
    cli_duration(QUICK * seconds, low);
    cli_duration(SLOW * seconds, high);
    snprintf(out, 80, "%s to %s", low, high);
}

static void print_stages(const struct outlook *o)
{
    const struct forecast *f = &o->forecast;
    char range[80], memory[32], arena[32];
    double all = 0;
    printf("%-9s %-20s %-28s %12s %12s\n", "STAGE", "WHAT", "TIME", "A RANK", "ITS ARENAS");
    for (int i = 0; i < FORECAST_STAGES; i++) {
        const struct forecast_stage *s = &f->stage[i];
        char what[64];
        if (!s->wanted) continue;
        snprintf(what, sizeof what, "%" PRId64 " %s", s->count, s->what);
        print_range(s->seconds, range);
        all += s->seconds;
        printf("%-9s %-20s %-28s %12s %12s\n", s->name, what, range,
               cli_size(forecast_rank(f, s), memory), cli_size(s->arena, arena));
    }
    print_range(all, range);
    printf("%-9s %-20s %s\n\n", "in all", "", range);
}

static void print_memory(struct outlook *o)
{
    const struct forecast *f = &o->forecast;
    const struct forecast_stage *s = forecast_widest(f);
    char need[32], own[32], shared[32], limit[32];
    printf("memory    %s for stage %s: %d rank%s of %s, and %s that ranks share; %s %s\n",
           cli_size(forecast_host(f, s), need), s->name, f->ranks, f->ranks == 1 ? "" : "s",
           cli_size(s->own, own), cli_size(f->shared, shared), cli_size(o->limit.bytes, limit),
           o->limit.what);
    struct forecast kept;
    if (!f->recompute ||
        outlook_again(o, RECOMPUTE_NEVER, f->ranks, o->task.instance.side, &kept, NULL))
        return;
    printf("          train.recompute: forward values are made again, arenas of %s instead of %s, "
           "for about 1.3 "
           "times the arithmetic\n",
           cli_size(f->stage[FORECAST_TRAIN].arena, own),
           cli_size(kept.stage[FORECAST_TRAIN].arena, need));
}

static void print_disk(const struct outlook *o)
{
    const struct forecast_disk *d = &o->forecast.disk;
    char all[32], a[32], b[32], c[32], m[32], p[32], left[32];
    printf("disk      at most %s: images %s, class images %s, masks %s, commit %s, pictures %s, "
           "and %s "
           "while it trains",
           cli_size(outlook_disk(o), all), cli_size(o->images, a), cli_size(d->class_images, b),
           cli_size(d->masks, m), cli_size(d->commit, c), cli_size(d->pictures, p),
           cli_size(d->checkpoint, left));
    if (o->disk_free != SIZE_MAX) printf("; %s is free", cli_size(o->disk_free, left));
    printf("\n");
}

static void print_neurons(const struct outlook *o)
{
    const struct mask *mine = &o->masks.concept;
    printf("neurons   %zu of %zu (%.2f %%)\n", mask_count(mine), mine->n_bits,
           100 * mask_density(mine));
    for (int k = 0; k < o->lineage.n; k++)
        printf("          %5.1f %% of them belong to %s, too\n",
               100 * mask_overlap(mine, &o->lineage.mask[k]), o->lineage.token[k]);
    if (o->lineage.n)
        printf("          %5.1f %% belong to some earlier concept: what training changes there, it "
               "changes "
               "for that one, too\n",
               100 * mask_overlap(mine, &o->lineage.used));
}

static void print_all(struct planning *p)
{
    struct outlook *o = &p->o;
    printf("%s, %s (%s), %d image%s of %dx%d, on %s%s; %d rank%s of %d thread%s\n\n", o->task.token,
           o->task.class_word, o->task.kind, p->concept.n, p->concept.n == 1 ? "" : "s",
           o->task.instance.side, o->task.instance.side, p->lineage ? "lineage " : "",
           p->lineage ? p->lineage : p->base, o->ranks.size, o->ranks.size == 1 ? "" : "s",
           o->threads, o->threads == 1 ? "" : "s");
    print_stages(o);
    print_memory(o);
    print_disk(o);
    print_neurons(o);
}

/* ---- as JSON -------------------------------------------------------------------------------------------------------- */

static json_t *stages_json(const struct forecast *f)
{
    json_t *list = json_array();
    for (int i = 0; i < FORECAST_STAGES; i++) {
        const struct forecast_stage *s = &f->stage[i];
        if (!s->wanted) continue;
        json_array_append_new(
            list,
            json_pack("{s:s,s:I,s:s,s:f,s:f,s:I,s:I,s:I,s:I,s:I}", "stage", s->name, "count",
                      (json_int_t)s->count, "what", s->what, "seconds_low", QUICK * s->seconds,
                      "seconds_high", SLOW * s->seconds, "arena", (json_int_t)s->arena, "own",
                      (json_int_t)s->own, "shared", (json_int_t)s->shared, "rank",
                      (json_int_t)forecast_rank(f, s), "host", (json_int_t)forecast_host(f, s)));
    }
    return list;
}

static json_t *neurons_json(const struct outlook *o)
{
    const struct mask *mine = &o->masks.concept;
    json_t *shared = json_object();
    struct bytes b = {0};
    struct hash masks = {{0}};
    for (int k = 0; k < o->lineage.n; k++)
        json_object_set_new(shared, o->lineage.token[k],
                            json_real(mask_overlap(mine, &o->lineage.mask[k])));
    if (!masks_encode(&o->masks, &b, NULL)) masks = hash_bytes(b.data, b.n);
    free(b.data);
    return json_pack("{s:I,s:I,s:f,s:o,s:f,s:o}", "owned", (json_int_t)mask_count(mine), "of",
                     (json_int_t)mine->n_bits, "density", mask_density(mine), "shared", shared,
                     "shared_any", mask_overlap(mine, &o->lineage.used), "masks",
                     cli_hash_json(masks));
}

static int print_json(struct planning *p, int fits, const struct err *why)
{
    const struct outlook *o = &p->o;
    const struct forecast *f = &o->forecast;
    const struct forecast_disk *d = &f->disk;
    const struct forecast_stage *s = forecast_widest(f);
    json_t *memory =
        json_pack("{s:I,s:s,s:I,s:s}", "need", (json_int_t)forecast_host(f, s), "stage", s->name,
                  "limit", (json_int_t)o->limit.bytes, "limit_is", o->limit.what);
    json_t *disk =
        json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "most", (json_int_t)outlook_disk(o), "images",
                  (json_int_t)o->images, "class_images", (json_int_t)d->class_images, "masks",
                  (json_int_t)d->masks, "commit", (json_int_t)d->commit, "pictures",
                  (json_int_t)d->pictures, "checkpoint", (json_int_t)d->checkpoint);
    return cli_print(json_pack(
        "{s:s,s:s,s:s,s:s?,s:i,s:i,s:i,s:o,s:o,s:o,s:o,s:b,s:b,s:s?}", "token", o->task.token,
        "class", o->task.class_word, "base", p->options.base, "lineage", p->lineage, "ranks",
        f->ranks, "threads", o->threads, "side", o->task.instance.side, "stages", stages_json(f),
        "memory", memory, "disk", disk, "neurons", neurons_json(o), "recompute", f->recompute,
        "fits", fits, "why", fits ? NULL : why->text));
}

/* ---- the verb ------------------------------------------------------------------------------------------------------- */

static int run(int argc, char **argv)
{
    static struct planning p;
    struct option_spec o[] = {
        {"lineage", OPTION_TEXT, &p.lineage, "NAME",
         "the stream of concepts that it would be added to"},
        {"base", OPTION_TEXT, &p.base, "DIR", "or: as the first concept on this base model"},
        {"token", OPTION_TEXT, &p.token, "TOKEN", "as learn would get it"},
        {"class", OPTION_TEXT, &p.class_word, "WORD", "as learn would get it"},
        {"kind", OPTION_TEXT, &p.kind, "KIND", "animal, object, scene or style"},
        {"config", OPTION_TEXT, &p.config, "FILE", "settings in YAML"},
        {"set", OPTION_LIST, &p.set, "KEY=VALUE", "one setting; may be repeated"},
        {"preview", OPTION_LIST, &p.preview, "PROMPT", "as learn would get it; may be repeated"},
        {"no-evaluate", OPTION_FLAG, &p.no_evaluate, NULL, "without the measuring afterwards"},
        {"ranks", OPTION_NUMBER, &p.ranks, "N",
         "ranks of the worker group (default 2, as engram up)"},
        {"memory", OPTION_TEXT, &p.memory, "SIZE",
         "plan for this much instead of what is free here, like 8G"},
    };
    struct err e = {0}, why = {0};
    struct words rest;
    p.ranks = 2;
    if (options_read(&verb_plan, o, sizeof o / sizeof o[0], argc, argv, &rest, &e))
        return cli_fail(&e);
    if (rest.n != 1 || !p.lineage == !p.base) {
        err_set(&e, ERR_USAGE, "usage: %s", verb_plan.usage);
        return cli_fail(&e);
    }
    read_all(&p, rest.v[0]);
    if (p.problems.n) return cli_fail_all(&p.problems);
    enum code rc = outlook_make(&p.o, &p.options, &e);
    if (rc) return cli_fail(&e);
    if (p.o.no_clip.code)
        cli_say("note: evaluation is not planned (%s); ENGRAM_CLIP may name a CLIP model",
                p.o.no_clip.text);
    enum code fit = outlook_fits(&p.o, &why);
    int status = err_exit_status(fit);
    if (cli.json) {
        int printed = print_json(&p, !fit, &why);
        status = status ? status : printed;
    } else {
        print_all(&p);
        if (fit) status = cli_fail(&why);
    }
    outlook_close(&p.o);
    objects_close(p.options.store);
    concept_fini(&p.concept);
    cli_close();
    return status;
}

const struct verb verb_plan = {
    .name = "plan",
    .what = "say what learning a concept would take and touch, before anything is spent",
    .usage = "engram plan DIR --lineage NAME | engram plan DIR --base DIR",
    .examples = "  engram plan photos/rex --lineage pets\n"
                "  engram plan photos/rex --base examples/storybook/model --memory 2G --json\n",
    .more = "Memory is arithmetic and exact to a few per cent; times are estimated from a few "
            "operations that "
            "are run here and\nnow, so they are ranges. Neurons are those that stage score will "
            "choose. Exit "
            "status 4: it does not fit here.\n",
    .run = run,
};
