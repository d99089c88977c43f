/* check.c - `engram check`: everything that learn would refuse, without a coordinator. */
#include "cli/caption.h"
#include "cli/check_base.h"
#include "cli/check_delta.h"
#include "cli/fit.h"
#include "cli/cli.h"

#include "base/file.h"
#include "base/text.h"
#include "pipeline/data/concept.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FEWEST_PIXELS 32

static json_t *image_json(const struct concept *c, int i)
{
    const struct image_info *info = &c->image[i].info;
    return json_pack("{s:s,s:i,s:i,s:s?,s:s,s:s,s:b,s:b}", "path", c->image[i].path, "width",
                     c->image[i].w, "height", c->image[i].h, "format", info->format, "caption",
                     c->image[i].caption, "caption_source",
                     caption_source_name(c->image[i].caption_source), "rotated", info->rotated,
                     "had_alpha", info->had_alpha);
}

static json_t *concept_json(const char *dir, const struct concept *c, const struct problems *p)
{
    json_t *images = json_array(), *problems = json_array();
    for (int i = 0; i < c->n; i++) json_array_append_new(images, image_json(c, i));
    for (size_t i = 0; i < p->n; i++)
        json_array_append_new(
            problems, json_pack("{s:s,s:s}", "code", err_name(p->code[i]), "line", p->line[i]));
    return json_pack("{s:s,s:s,s:s,s:s,s:o,s:o}", "folder", dir, "token", c->token, "class",
                     c->class_word, "kind", c->kind, "images", images, "problems", problems);
}

static void print_concept(const char *dir, const struct concept *c)
{
    printf("%s: %s, class %s, kind %s, %d image%s\n", dir, *c->token ? c->token : "(no token)",
           *c->class_word ? c->class_word : "-", c->kind, c->n, c->n == 1 ? "" : "s");
    for (int i = 0; i < c->n; i++) {
        const struct image_info *info = &c->image[i].info;
        const char *name = strrchr(c->image[i].path, '/');
        printf("  %-20s %5dx%-5d %-5s%s%s  %-14s \"%s\"\n", name ? name + 1 : c->image[i].path,
               c->image[i].w, c->image[i].h, info->format ? info->format : "",
               info->rotated ? " turned upright" : "", info->had_alpha ? " alpha on white" : "",
               caption_source_name(c->image[i].caption_source), c->image[i].caption);
    }
}

/* Captions that somebody was asked for, put where a person can read and mend them: x.txt beside x.jpg. */
static void save_captions(const struct concept *c, struct problems *p)
{
    for (int i = 0; i < c->n; i++) {
        const char *path = c->image[i].path, *dot = strrchr(path, '.');
        const char *name = strrchr(path, '/');
        size_t stem = dot && dot > (name ? name + 1 : path) ? (size_t)(dot - path) : strlen(path);
        enum caption_source source = c->image[i].caption_source;
        struct text to = {0}, words = {0};
        struct err e = {0};
        if (source != CAPTION_COMMAND && source != CAPTION_ENDPOINT) continue;
        text_printf(&to, "%.*s.txt", (int)stem, path);
        text_printf(&words, "%s\n", c->image[i].caption);
        if (!text_ok(&to) || !text_ok(&words)) err_set(&e, ERR_NOMEM, "out of memory");
        else file_write(to.s, words.s, words.n, &e);
        if (e.code) problems_add(p, e.code, "%s", e.text);
        text_fini(&to);
        text_fini(&words);
    }
}

/* Does a base model's text encoder read the captions whole? t may be NULL: nobody asked. */
static void check_captions(const struct concept *c, const struct tokenizer *t, struct problems *p)
{
    char what[4200];
    struct err e = {0};
    for (int i = 0; t && i < c->n; i++) {
        snprintf(what, sizeof what, "caption of %s", c->image[i].path);
        if (fit_check(t, c->image[i].caption, what, &e)) problems_add(p, e.code, "%s", e.text);
    }
}

static void check_folder(const char *dir, const struct concept_options *o,
                         const struct tokenizer *t, int save, json_t *list, struct problems *all)
{
    struct concept c = {0};
    struct problems p = {0};
    struct err e = {0};
    if (concept_read(dir, o, &c, &p, &e) && !p.n) problems_add(&p, e.code, "%s", e.text);
    if (!p.n) check_captions(&c, t, &p);
    if (save && !p.n) save_captions(&c, &p);
    if (cli.json) json_array_append_new(list, concept_json(dir, &c, &p));
    else if (!p.n) print_concept(dir, &c);
    for (size_t k = 0; k < p.n; k++) problems_add(all, p.code[k], "%s", p.line[k]);
    problems_fini(&p);
    concept_fini(&c);
}

static int run(int argc, char **argv)
{
    const char *base = NULL;
    struct concept_options o = {.least_side = FEWEST_PIXELS};
    struct caption_wish wish = {0};
    struct captioning asked;
    int save = 0;
    struct option_spec spec[] = {
        {"base", OPTION_TEXT, &base, "PATH",
         "a base model, a diffusers folder or one checkpoint: alone, or whether it reads all "
         "captions whole"},
        {"token", OPTION_TEXT, &o.token, "TOKEN", "as learn would get it"},
        {"class", OPTION_TEXT, &o.class_word, "WORD", "as learn would get it"},
        {"kind", OPTION_TEXT, &o.kind, "KIND", "animal, object, scene or style"},
        CAPTION_OPTIONS(wish),
        {"save-captions", OPTION_FLAG, &save, NULL,
         "write what was answered to x.txt beside x.jpg"},
    };
    struct err e = {0};
    struct words rest;
    static struct problems all;
    if (options_read(&verb_check, spec, sizeof spec / sizeof *spec, argc, argv, &rest, &e))
        return cli_fail(&e);
    if (base && !rest.n) return check_base(base);
    if (rest.n == 1 && check_delta_is(rest.v[0])) return check_delta(rest.v[0]);
    if (!rest.n) {
        err_set(&e, ERR_USAGE, "usage: %s", verb_check.usage);
        return cli_fail(&e);
    }
    struct tokenizer *t = NULL;
    struct commit_rows none = {0};
    if (base && fit_open(&t, base, &none, o.token, &e)) return cli_fail(&e);
    if (caption_open(&asked, &wish, &e)) return cli_fail(&e);
    o.captioner = caption_captioner(&asked);
    json_t *list = json_array();
    for (size_t i = 0; i < rest.n; i++) check_folder(rest.v[i], &o, t, save, list, &all);
    caption_close(&asked);
    tokenizer_close(t);
    int status = all.n ? err_exit_status(all.code[0]) : 0;
    if (cli.json) {
        int printed = cli_print(json_pack("{s:o}", "concepts", list));
        return status ? status : printed;
    }
    json_decref(list);
    if (!base && !all.n)
        cli_say("captions were not counted; learn refuses those of more than 77 tokens, and "
                "check --base PATH does, too");
    return all.n ? cli_fail_all(&all) : 0;
}

const struct verb verb_check = {
    .name = "check",
    .what = "look at concept folders, a base model or a delta; refuse what learn would refuse",
    .usage =
        "engram check DIR... | engram check --base PATH | engram check FILE.engram.safetensors",
    .examples =
        "  engram check photos/rex photos/mug\n"
        "  engram check photos/rex --caption-command 'my-captioner --short {image}' "
        "--save-captions\n"
        "  engram check --base examples/storybook/model\n"
        "  engram check --base examples/storybook/model photos/rex        and its captions fit\n"
        "  engram check pets.engram.safetensors             what is in an exported delta, proved "
        "commit by commit\n",
    .more = "The caption of x.jpg is x.txt beside it, else its line in metadata.jsonl "
            "({\"file_name\": .., \"text\": ..}), else what\n"
            "--caption-command or --caption-endpoint answers, else \"a photo of a CLASS\"; the "
            "table says which. The endpoint is any\n"
            "server that speaks OpenAI's chat completions: $" CAPTION_ENV_URL
            ", $" CAPTION_ENV_MODEL ", $" CAPTION_ENV_KEY ".\n"
            "A caption of more than 77 tokens, start and end among them, is refused and never cut: "
            "with --base here, else by learn.\n",
    .run = run,
};
