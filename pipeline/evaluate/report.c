/* report.c - the page, from top to bottom: title, strip, concepts, forgetting, neurons, learning, gallery, all figures.
 *
 * Everything that came from a person goes through text_add_html; everything else is ours. */
#include "pipeline/evaluate/report.h"

#include "base/file.h"
#include "pipeline/data/image.h"
#include "pipeline/evaluate/report_plots.h"
#include "pipeline/evaluate/report_style.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 192, PIXELATED = 128, PHOTOS = 6, PICTURES = 6, WIDEST = 16 };

/* ---- pictures ---- */

static enum code picture_png(const struct report *r, struct hash h, int *side, struct bytes *png)
{
    struct bytes b = {0};
    struct image im = {0};
    char name[HASH_TEXT];
    enum code rc = objects_get(r->store, h, IMAGE_FILE_BYTES, &b, NULL);
    if (!rc) rc = image_decode(b.data, b.n, hash_text(h, name), &im, NULL, NULL);
    int shorter = im.w < im.h ? im.w : im.h;
    *side = shorter < SHOWN ? shorter : SHOWN;
    if (!rc) rc = image_square(&im, *side, NULL);
    if (!rc) rc = image_encode_png(&im, NULL, png, NULL);
    image_fini(&im);
    free(b.data);
    return rc;
}

/* A picture that cannot be shown is an empty frame: the figures are still worth reading. */
static void picture(struct text *out, const struct report *r, struct hash h, const char *what)
{
    struct bytes png = {0};
    int side;
    if (hash_is_zero(h) || picture_png(r, h, &side, &png)) {
        text_add(out, "<div class=\"lost\">not kept</div>");
        return;
    }
    text_printf(out, "<img%s alt=\"", side <= PIXELATED ? " class=\"px\"" : "");
    text_add_html(out, what);
    text_add(out, "\" src=\"data:image/png;base64,");
    text_add_base64(out, png.data, png.n);
    text_add(out, "\">");
    free(png.data);
}

static void strip(struct text *out, const struct report *r, const char *title, const char *what,
                  const struct hash *h, int n, int most)
{
    if (n < 1) return;
    text_add(out, "<div class=\"strip\"><div class=\"frame\">");
    text_add_html(out, title);
    text_add(out, "</div><div class=\"row\">\n");
    for (int i = 0; i < n && i < most; i++) {
        /* n pictures are spread evenly over what there is, so that every prompt is seen. */
        picture(out, r, h[n <= most ? i : i * n / most], what);
        text_add(out, "\n");
    }
    text_add(out, "</div></div>\n");
}

/* ---- words ---- */

static const char *name_of(const struct report_commit *c, char out[160])
{
    if (strcmp(c->kind, "style") != 0) snprintf(out, 160, "%s %s", c->token, c->class_word);
    else snprintf(out, 160, "%s style", c->token);
    return out;
}

static void lede(struct text *out, const struct chapters *c)
{
    static const char *const word[] = {"No concept",     "One concept",    "Two concepts",
                                       "Three concepts", "Four concepts",  "Five concepts",
                                       "Six concepts",   "Seven concepts", "Eight concepts",
                                       "Nine concepts",  "Ten concepts"};
    struct forgetting f = forgetting_of(c);
    text_add(out, "<p class=\"lede\">");
    if (c->n <= 10) text_add(out, word[c->n]);
    else text_printf(out, "%d concepts", c->n);
    text_add(out, c->n > 1 ? ", learned one after another by one model. " : " learned. ");
    if (f.n)
        text_printf(out,
                    "The earlier %s likeness to %s photos (CLIP-I) was %.3f when learned and is "
                    "%.3f now; %s pictures "
                    "have drifted by %.3f.",
                    f.n == 1 ? "one\xe2\x80\x99s" : "ones\xe2\x80\x99 mean",
                    f.n == 1 ? "its" : "their", f.then_i, f.now_i, f.n == 1 ? "its" : "their",
                    f.drift);
    text_add(out, "</p>\n");
}

static void head(struct text *out, const struct chapters *c)
{
    const struct report *r = c->r;
    text_add(out,
             "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
             "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>");
    text_add_html(out, r->title);
    text_add(out, "</title>\n<style>\n");
    for (size_t i = 0; i < sizeof report_style / sizeof *report_style; i++) {
        text_add(out, report_style[i]);
        text_add(out, "\n");
    }
    for (int i = 0; i < PLOT_COLOURS; i++)
        text_printf(out, REPORT_STYLE_SERIES "\n", i, i, i, i, i, i, i);
    for (int i = 0; i < 4; i++) text_printf(out, REPORT_STYLE_BAR "\n", i, i, i, i);
    text_add(out, "</style></head>\n<body><main>\n<h1>");
    text_add_html(out, r->title);
    text_add(out, "</h1>\n<div class=\"meta\"><span>lineage <b>");
    text_add_html(out, r->lineage);
    text_add(out, "</b></span><span>base model <b>");
    text_add_html(out, r->base_model);
    text_add(out, "</b></span>");
    char hex[HASH_TEXT];
    if (c->n)
        text_printf(out, "<span>head <code>%.12s</code></span>",
                    hash_text(c->v[c->n - 1].c->commit, hex));
    text_add(out, "</div>\n");
    lede(out, c);
}

static void hero(struct text *out, const struct chapters *c)
{
    char name[160];
    text_add(out, "<div class=\"hero\">\n");
    for (int k = 0; k < c->n; k++) {
        const struct report_commit *x = c->v[k].c;
        const struct concept_score *now = score_now(c, k);
        if (!x->n_photos || !now || !now->n_pictures) continue;
        text_add(out, "<div>");
        picture(out, c->r, x->photo[0], "a photo that was learned");
        text_add(out, "<span class=\"arrow\">\xe2\x86\x92</span>");
        picture(out, c->r, now->picture[0], "a picture drawn now");
        text_add(out, "<div class=\"frame\"><b>");
        text_add_html(out, name_of(x, name));
        text_add(out, "</b>: a photo, and as drawn now</div></div>\n");
    }
    text_add(out, "</div>\n");
}

/* ---- concepts ---- */

/* value and remark are ours. */
static void fact(struct text *out, const char *term, const char *value, const char *remark)
{
    text_printf(out, "<div><dt>%s</dt><dd>%s<small>%s</small></dd></div>\n", term, value, remark);
}

static void facts(struct text *out, const struct chapters *c, int k)
{
    const struct chapter *x = &c->v[k];
    const struct concept_score *now = score_now(c, k);
    char value[64], remark[160];
    text_add(out, "<dl>\n");
    if (now) {
        snprintf(value, sizeof value, "%.3f", now->clip_i);
        snprintf(remark, sizeof remark, "to its photos; base model: %.3f", now->before_i);
        fact(out, "likeness, CLIP\xe2\x80\x91I", value, remark);
        snprintf(value, sizeof value, "%.3f", now->clip_t);
        snprintf(remark, sizeof remark,
                 "base model: %.3f; scaled \xc3\x97"
                 "2.5: %.3f",
                 now->before_t, now->clip_t_scaled);
        fact(out, "prompt obeyed, CLIP\xe2\x80\x91T", value, remark);
        snprintf(value, sizeof value, "%.1f %%", 100 * now->owned);
        snprintf(remark, sizeof remark,
                 "of all K/V weights; %.0f %% of them shared with earlier concepts",
                 100 * now->regularised);
        fact(out, "neurons it owns", value, remark);
        if (k < c->n - 1) {
            snprintf(value, sizeof value, "%.3f", now->drift);
            snprintf(remark, sizeof remark, "of its pictures, %d concept%s later; 0 is none",
                     c->n - 1 - k, c->n - 1 - k == 1 ? "" : "s");
            fact(out, "drift since learned", value, remark);
        }
    }
    if (x->c->seconds > 0 || x->made.steps) {
        int minutes = x->c->seconds >= 90;
        snprintf(value, sizeof value, "%.*f %s", minutes,
                 minutes ? x->c->seconds / 60 : x->c->seconds, minutes ? "min" : "s");
        snprintf(remark, sizeof remark, "%lld steps", (long long)x->made.steps);
        fact(out, "learned in", x->c->seconds > 0 ? value : remark,
             x->c->seconds > 0 && x->made.steps ? remark : "");
    }
    text_add(out, "</dl>\n");
}

static int same_pictures(const struct concept_score *a, const struct concept_score *b)
{
    return a->n_pictures == b->n_pictures &&
           !memcmp(a->picture, b->picture, (size_t)a->n_pictures * sizeof *a->picture);
}

static void card(struct text *out, const struct chapters *c, int k)
{
    const struct report_commit *x = c->v[k].c;
    const struct concept_score *now = score_now(c, k), *then = score_then(c, k);
    char name[160], title[240];
    name_of(x, name);
    text_printf(out, "<section class=\"card\"><header><i class=\"dotkey s%d\"></i><h3>",
                k % PLOT_COLOURS);
    text_add_html(out, name);
    text_add(out, "</h3><span class=\"kind\">");
    text_add_html(out, x->kind);
    text_printf(out, ", number %d</span></header>\n", k + 1);
    strip(out, c->r, x->n_photos == 1 ? "The photo it was given" : "Photos it was given", "a photo",
          x->photo, x->n_photos, PHOTOS);
    if (now) {
        snprintf(title, sizeof title,
                 "Before: what the base model makes of \xe2\x80\x9c%.100s%s\xe2\x80\x9d",
                 x->class_word, strcmp(x->kind, "style") != 0 ? "" : " style");
        strip(out, c->r, title, "drawn by the base model", now->before, now->n_pictures, PICTURES);
        if (then && then != now && !same_pictures(then, now))
            strip(out, c->r, "When it was learned", "drawn when it was learned", then->picture,
                  then->n_pictures, PICTURES);
        int later = c->n - 1 - k;
        if (later)
            snprintf(title, sizeof title, "Now, %d concept%s later: %s", later,
                     later == 1 ? "" : "s", name);
        else snprintf(title, sizeof title, "Now: %s", name);
        strip(out, c->r, title, "drawn now", now->picture, now->n_pictures, PICTURES);
    }
    facts(out, c, k);
    text_add(out, "</section>\n");
}

/* ---- the rest ---- */

static void gallery(struct text *out, const struct report *r)
{
    if (!r->n_samples) return;
    text_add(out, "<h2>Together</h2>\n<p>Prompts that mix what was learned, drawn with the newest "
                  "model.</p>\n");
    for (int i = 0; i < r->n_samples; i++)
        strip(out, r, r->sample[i].prompt, r->sample[i].prompt, r->sample[i].picture,
              r->sample[i].n, WIDEST);
}

static void table_row(struct text *out, const char *after, const struct concept_score *s, int first)
{
    text_printf(out, "<tr%s><td>", first ? " class=\"first\"" : "");
    text_add_html(out, first ? after : "");
    text_add(out, "</td><td class=\"t\">");
    text_add_html(out, s->token);
    text_printf(out,
                "</td><td>%.4f</td><td>%.4f</td><td>%.4f</td><td>%.4f</td><td>%.4f</td><td>%.4f</"
                "td><td>%.4f</td>"
                "<td>%.4f</td></tr>\n",
                s->clip_i, s->before_i, s->clip_t, s->before_t, s->clip_t_scaled,
                s->before_t_scaled, s->drift, s->pixel_drift);
}

static void figures(struct text *out, const struct chapters *c)
{
    int any = 0;
    for (int i = 0; i < c->n; i++) any |= c->v[i].evaluation.n;
    if (!any) return;
    text_add(out, "<h2>All figures</h2>\n<div class=\"scroll\"><table><thead><tr><th>after</th><th "
                  "class=\"t\">concept</th>"
                  "<th>CLIP-I</th><th>before</th><th>CLIP-T</th><th>before</th><th>\xc3\x97"
                  "2.5</th><th>before</th>"
                  "<th>drift</th><th>pixels</th></tr></thead><tbody>\n");
    for (int i = 0; i < c->n; i++)
        for (int k = 0; k < c->v[i].evaluation.n; k++)
            table_row(out, c->v[i].c->token, score_at(c, i, k), k == 0);
    text_add(out, "</tbody></table></div>\n");
}

static void foot(struct text *out)
{
    text_add(
        out,
        "<footer><p class=\"note\"><b>CLIP-I</b> is the mean cosine between CLIP features of drawn "
        "pictures and of "
        "the photos; <b>CLIP-T</b> that between a picture and its prompt with the token taken out. "
        "\xc3\x97"
        "2.5 is "
        "2.5 times that cosine, never below zero, as published tables print it. Figures of "
        "different CLIP models do "
        "not compare.</p>\n<p class=\"note\"><b>Before</b> is the base model, the class word and "
        "the same noise. "
        "<b>Drift</b> is one minus the mean cosine between features of a picture now and of the "
        "same picture "
        "(same prompt, same noise) drawn by the model as it was when the concept was learned; "
        "<b>pixels</b> is their "
        "mean absolute difference, 1 from black to white.</p></footer>\n</main></body></html>\n");
}

static enum code page(struct text *out, const struct chapters *c, struct err *e)
{
    head(out, c);
    hero(out, c);
    if (c->n) text_add(out, "<h2>Concept by concept</h2>\n");
    for (int k = 0; k < c->n; k++) card(out, c, k);
    enum code rc = report_plots(out, c, e);
    gallery(out, c->r);
    figures(out, c);
    foot(out);
    if (rc || text_ok(out)) return rc;
    return err_set(e, ERR_NOMEM, "out of memory for a report");
}

enum code report_write(const char *path, const struct report *r, struct err *e)
{
    struct chapters c;
    struct text html = {0};
    enum code rc = chapters_read(&c, r, e);
    if (rc) return rc;
    rc = page(&html, &c, e);
    if (!rc) rc = file_write(path, html.s, html.n, e);
    text_fini(&html);
    chapters_fini(&c);
    return rc;
}
