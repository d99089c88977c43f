/* report_plots.c - the chapters of a report that are drawn from figures. */
#include "pipeline/evaluate/report_plots.h"

#include "base/arena.h"

#include <math.h>
#include <stdlib.h>

struct canvas { /* scratch of the plots */
    const struct chapters *c;
    const char **token; /* owned, [n] */
    double *grid, *x;   /* owned, [n][n] and [2 n] */
};

/* pick of concept k as commit i saw it; NaN where it did not. Returns how many there are. */
static int grid_fill(struct canvas *v, double (*pick)(const struct concept_score *),
                     struct plot_heat *h)
{
    int n = v->c->n, found = 0;
    h->least = HUGE_VAL, h->most = -HUGE_VAL;
    for (int k = 0; k < n; k++)
        for (int i = 0; i < n; i++) {
            const struct concept_score *s = i >= k ? score_at(v->c, i, k) : NULL;
            double value = s ? pick(s) : (double)NAN;
            v->grid[k * n + i] = value;
            if (!s) continue;
            h->least = fmin(h->least, value);
            h->most = fmax(h->most, value);
            found++;
        }
    *h = (struct plot_heat){.row = v->token,
                            .column = v->token,
                            .value = v->grid,
                            .rows = n,
                            .columns = n,
                            .least = h->least,
                            .most = h->most,
                            .decimals = 2};
    return found;
}

static double pick_i(const struct concept_score *s)
{
    return s->clip_i;
}
static double pick_t(const struct concept_score *s)
{
    return s->clip_t;
}
static double pick_drift(const struct concept_score *s)
{
    return s->drift;
}
static double pick_before_i(const struct concept_score *s)
{
    return s->before_i;
}

/* One line per concept from its commit on, and with `before` its dashed level in the base model. */
static void curves(struct text *out, struct canvas *v, const char *title,
                   double (*pick)(const struct concept_score *),
                   double (*before)(const struct concept_score *))
{
    int n = v->c->n, lines = 0;
    struct plot_heat h;
    struct plot_line *line = mem_alloc(2 * (size_t)n, sizeof *line);
    double *level = mem_alloc((size_t)n * (size_t)n, sizeof *level);
    if (!line || !level || !grid_fill(v, pick, &h)) goto done;
    for (int i = 0; i < n; i++) v->x[i] = i;
    for (int k = 0; k < n; k++)
        line[lines++] = (struct plot_line){
            .label = v->token[k], .x = v->x, .y = v->grid + k * n, .n = n, .colour = k};
    for (int k = 0; before && k < n && n <= 4;
         k++) { /* more dashed lines would hide what they explain */
        for (int i = 0; i < n; i++)
            level[k * n + i] = score_at(v->c, i, k) ? before(score_at(v->c, i, k)) : (double)NAN;
        line[lines++] = (struct plot_line){.label = "its class word, base model",
                                           .x = v->x,
                                           .y = level + k * n,
                                           .n = n,
                                           .colour = k,
                                           .dashed = 1};
    }
    plot_lines(out,
               &(struct plot_frame){.title = title,
                                    .x = "after learning",
                                    .y = "mean cosine",
                                    .x_name = v->token,
                                    .n_x = n},
               line, lines);
done:
    free(line);
    free(level);
}

static void forgetting(struct text *out, struct canvas *v)
{
    struct plot_heat h;
    if (!grid_fill(v, pick_i, &h)) return;
    text_add(
        out,
        "<h2>Does it forget?</h2>\n<p>Each row is a concept, each column the model after one more "
        "was learned. A "
        "row that keeps its shade to the right was not forgotten.</p>\n<div class=\"plots\">\n");
    h.least = floor(h.least * 20) / 20, h.most = ceil(h.most * 20) / 20;
    plot_heat(out,
              &(struct plot_frame){.title = "Likeness to its photos (CLIP-I)",
                                   .x = "after learning \xe2\x86\x92"},
              &h);
    grid_fill(v, pick_drift, &h);
    h.warm = 1, h.least = 0, h.most = fmax(0.1, ceil(h.most * 20) / 20);
    plot_heat(out,
              &(struct plot_frame){.title = "Drift from its own pictures when learned",
                                   .x = "after learning \xe2\x86\x92"},
              &h);
    curves(out, v, "Likeness to its photos (CLIP-I)", pick_i, pick_before_i);
    curves(out, v, "Obeys the prompt (CLIP-T, raw cosine)", pick_t, NULL);
    text_add(out, "</div>\n");
}

static void overlap(struct text *out, const struct canvas *v, const struct evaluation *last)
{
    struct plot_heat h = {.row = v->token,
                          .column = v->token,
                          .value = last->iou,
                          .rows = last->n,
                          .columns = last->n,
                          .least = 0,
                          .most = 1,
                          .decimals = 2};
    plot_heat(out,
              &(struct plot_frame){.title = "Overlap of masks (intersection over union)",
                                   .x = "1: the same weights, 0: none in common"},
              &h);
}

static void neurons(struct text *out, struct canvas *v)
{
    static const char *const series[4] = {
        "base: selected by every caption", "general: selected by any prompt",
        "concept: base without general, what is trained", "reg: of it, shared with earlier"};
    const struct chapters *c = v->c;
    const struct evaluation *last = NULL;
    double *value = mem_alloc(4 * (size_t)c->n + 1, sizeof *value);
    int found = 0;
    for (int i = 0; i < c->n; i++) {
        if (c->v[i].evaluation.n > 1) last = &c->v[i].evaluation;
        for (int s = 0; value && s < 4; s++) {
            value[i * 4 + s] = 100 * c->v[i].made.density[s];
            found += isfinite(value[i * 4 + s]) != 0;
        }
    }
    if (found || last)
        text_add(out, "<h2>Which neurons</h2>\n<p>A concept changes only a chosen share of the "
                      "weights that turn words into "
                      "keys and values. Where two concepts choose the same ones, training pulls "
                      "them back towards what "
                      "they were.</p>\n<div class=\"plots\">\n");
    if (found)
        plot_bars(out,
                  &(struct plot_frame){
                      .title = "Size of the masks", .x = "concept", .y = "% of K/V weights"},
                  &(struct plot_bars){v->token, series, value, c->n, 4});
    if (last) overlap(out, v, last);
    if (found || last) text_add(out, "</div>\n");
    free(value);
}

static void learning(struct text *out, struct canvas *v)
{
    const struct chapters *c = v->c;
    int lines = 0, points = 0;
    for (int i = 0; i < c->n; i++) points += c->v[i].made.n_losses;
    double *x = mem_alloc((size_t)points + 1, sizeof *x);
    struct plot_line *line = mem_alloc((size_t)c->n + 1, sizeof *line);
    for (int i = 0, at = 0; x && line && i < c->n; i++) {
        const struct made *m = &c->v[i].made;
        double steps = m->steps ? (double)m->steps : m->n_losses;
        if (!m->n_losses) continue;
        for (int j = 0; j < m->n_losses; j++) x[at + j] = steps * (j + 0.5) / m->n_losses;
        line[lines++] = (struct plot_line){
            .label = v->token[i], .x = x + at, .y = m->loss, .n = m->n_losses, .colour = i};
        at += m->n_losses;
    }
    if (lines) {
        text_add(out, "<h2>How it learned</h2>\n<p>The loss of each concept while it was trained. "
                      "Noise levels are drawn at "
                      "random, so a restless line is normal; its level matters.</p>\n");
        plot_lines(
            out,
            &(struct plot_frame){
                .title = "Training loss", .x = "step", .y = "loss", .from_zero = 1, .wide = 1},
            line, lines);
    }
    free(x);
    free(line);
}

enum code report_plots(struct text *out, const struct chapters *c, struct err *e)
{
    struct canvas v = {.c = c};
    size_t n = (size_t)c->n;
    v.token = mem_alloc(n + 1, sizeof *v.token);
    v.grid = mem_alloc(n * n + 1, sizeof *v.grid);
    v.x = mem_alloc(n + 1, sizeof *v.x);
    int there = v.token && v.grid && v.x;
    for (size_t i = 0; there && i < n; i++) v.token[i] = c->v[i].c->token;
    if (there) {
        forgetting(out, &v);
        neurons(out, &v);
        learning(out, &v);
    }
    free(v.token);
    free(v.grid);
    free(v.x);
    return there ? OK : err_set(e, ERR_NOMEM, "out of memory for a report");
}
