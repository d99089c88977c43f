/* plot.c - axes with round numbers, and what stands between them. */
#include "pipeline/evaluate/plot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Pixels of a page at its full width; text is 12 of them high in either size. */
enum { LEFT = 66, RIGHT = 12, TOP = 14, BOTTOM = 50, TICKS = 6 };

struct area {
    double w, h;
};

static struct area area_of(const struct plot_frame *f)
{
    return f->wide ? (struct area){912, 300} : (struct area){448, 270};
}

struct scale {
    double least, most;
}; /* of the data */

static void extend(struct scale *s, double v)
{
    if (!isfinite(v)) return;
    if (v < s->least) s->least = v;
    if (v > s->most) s->most = v;
}

/* The largest of 1, 2 and 5 times a power of ten that gives at most TICKS steps. */
static double round_step(double range)
{
    double power = pow(10, floor(log10(range / TICKS)));
    for (int i = 0; i < 3; i++) {
        static const double factor[] = {1, 2, 5};
        if (range / (power * factor[i]) <= TICKS) return power * factor[i];
    }
    return power * 10;
}

/* Grown to round numbers. A single value gets room around it. */
static double round_scale(struct scale *s)
{
    if (s->least > s->most) *s = (struct scale){0, 1};
    if (s->most - s->least < 1e-9) {
        double room = fmax(fabs(s->most) * 0.05, 1e-3);
        s->least -= s->least > 0 && s->least < room ? s->least : room;
        s->most += room;
    }
    double step = round_step(s->most - s->least);
    s->least = step * floor(s->least / step + 1e-9);
    s->most = step * ceil(s->most / step - 1e-9);
    return step;
}

static double x_at(struct area a, double v, const struct scale *s)
{
    return LEFT + (a.w - LEFT - RIGHT) * (v - s->least) / (s->most - s->least);
}

static double y_at(struct area a, double v, const struct scale *s)
{
    return a.h - BOTTOM - (a.h - BOTTOM - TOP) * (v - s->least) / (s->most - s->least);
}

/* Decimals that a step needs: 0.05 two, 20 none. */
static int decimals(double step)
{
    int n = 0;
    while (n < 6 && fabs(step - round(step)) > 1e-6 * step) {
        step *= 10;
        n++;
    }
    return n;
}

static void words(struct text *out, double x, double y, const char *kind, const char *s)
{
    text_printf(out, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, kind);
    text_add_html(out, s);
    text_add(out, "</text>\n");
}

/* At most `most` bytes and an ellipsis; names of ours are ASCII, others are cut at a character. */
static const char *shorten(const char *s, int most, char out[64])
{
    int n = (int)strlen(s);
    if (n <= most) return s;
    for (n = most - 1; n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80;) n--;
    snprintf(out, 64, "%.*s\xe2\x80\xa6", n > 60 ? 60 : n, s);
    return out;
}

static void open_svg(struct text *out, const struct plot_frame *f, double width, double height)
{
    text_add(out, "<figure class=\"plot\"><figcaption>");
    text_add_html(out, f->title);
    text_printf(out, "</figcaption>\n<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"",
                width, height);
    text_add_html(out, f->title);
    text_add(out, "\">\n");
}

static void close_svg(struct text *out)
{
    text_add(out, "</svg></figure>\n");
}

static void y_axis(struct text *out, const struct plot_frame *f, const struct scale *s, double step)
{
    struct area a = area_of(f);
    char number[32];
    int n = (int)lround((s->most - s->least) / step), digits = decimals(step);
    for (int i = 0; i <= n; i++) {
        double v = s->least + i * step, y = y_at(a, v, s);
        text_printf(out, "<line x1=\"%d\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>\n",
                    LEFT, a.w - RIGHT, y, y);
        snprintf(number, sizeof number, "%.*f", digits, fabs(v) < step * 1e-6 ? 0 : v);
        words(out, LEFT - 8, y + 4, "tick end", number);
    }
    double middle = TOP + (a.h - BOTTOM - TOP) / 2.0;
    text_printf(out,
                "<text x=\"12\" y=\"%.1f\" transform=\"rotate(-90 12 %.1f)\" class=\"axis mid\">",
                middle, middle);
    text_add_html(out, f->y);
    text_add(out, "</text>\n");
}

static void x_title(struct text *out, const struct plot_frame *f)
{
    struct area a = area_of(f);
    words(out, LEFT + (a.w - LEFT - RIGHT) / 2.0, a.h - 10, "axis mid", f->x);
}

static void x_axis(struct text *out, const struct plot_frame *f, const struct scale *s, double step)
{
    struct area a = area_of(f);
    char number[64];
    int room = f->n_x > 6 ? 8 : 14, digits = decimals(step);
    if (f->x_name)
        for (int i = 0; i < f->n_x; i++)
            words(out, x_at(a, i, s), a.h - BOTTOM + 18, "tick mid",
                  shorten(f->x_name[i], room, number));
    else
        for (int i = 0; i <= (int)lround((s->most - s->least) / step); i++) {
            double v = s->least + i * step;
            snprintf(number, sizeof number, "%.*f", digits, v);
            words(out, x_at(a, v, s), a.h - BOTTOM + 18, "tick mid", number);
        }
    x_title(out, f);
}

/* ---- lines ---- */

static void legend(struct text *out, const struct plot_line *line, int n)
{
    text_add(out, "<p class=\"legend\">");
    for (int i = 0; i < n; i++) {
        int said = 0;
        for (int j = 0; j < i; j++) said |= !strcmp(line[i].label, line[j].label);
        if (said) continue;
        text_printf(out, "<span><i class=\"key %ss%d\"></i>", line[i].dashed ? "dash " : "",
                    line[i].colour % PLOT_COLOURS);
        text_add_html(out, line[i].label);
        text_add(out, "</span>");
    }
    text_add(out, "</p>\n");
}

static void one_line(struct text *out, struct area a, const struct plot_line *l,
                     const struct scale *x, const struct scale *y, int marks)
{
    int pen = 0;
    text_printf(out, "<path class=\"line s%d%s\" d=\"", l->colour % PLOT_COLOURS,
                l->dashed ? " dashed" : "");
    for (int i = 0; i < l->n; i++) {
        int drawn = isfinite(l->x[i]) && isfinite(l->y[i]);
        if (drawn)
            text_printf(out, "%c%.1f %.1f", pen ? 'L' : 'M', x_at(a, l->x[i], x),
                        y_at(a, l->y[i], y));
        pen = drawn;
    }
    text_add(out, "\"/>\n");
    for (int i = 0; marks && i < l->n; i++)
        if (isfinite(l->x[i]) && isfinite(l->y[i]))
            text_printf(out, "<circle class=\"dot s%d\" r=\"3.5\" cx=\"%.1f\" cy=\"%.1f\"/>\n",
                        l->colour % PLOT_COLOURS, x_at(a, l->x[i], x), y_at(a, l->y[i], y));
}

void plot_lines(struct text *out, const struct plot_frame *f, const struct plot_line *line, int n)
{
    struct area a = area_of(f);
    struct scale x = {HUGE_VAL, -HUGE_VAL}, y = x;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < line[i].n; j++) {
            extend(&x, line[i].x[j]);
            extend(&y, line[i].y[j]);
        }
    if (f->from_zero) extend(&y, 0);
    if (f->x_name)
        x = (struct scale){-0.35,
                           f->n_x - 0.65}; /* names stand under their points, away from the edges */
    double y_step = round_scale(&y), x_step = f->x_name ? 1 : round_scale(&x);
    open_svg(out, f, a.w, a.h);
    y_axis(out, f, &y, y_step);
    x_axis(out, f, &x, x_step);
    for (int i = 0; i < n; i++) one_line(out, a, &line[i], &x, &y, f->x_name && !line[i].dashed);
    text_add(out, "</svg>\n");
    legend(out, line, n);
    text_add(out, "</figure>\n");
}

/* ---- bars ---- */

static void bar_group(struct text *out, struct area a, const struct plot_bars *b, int g,
                      double left, double width, const struct scale *y)
{
    double bar = width / (b->n_series + 0.8), foot = y_at(a, y->least, y);
    char number[32];
    for (int i = 0; i < b->n_series; i++) {
        double v = b->value[g * b->n_series + i], x = left + (i + 0.4) * bar, top;
        if (!isfinite(v)) continue;
        top = y_at(a, v, y);
        text_printf(
            out, "<rect class=\"bar b%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n",
            i % PLOT_COLOURS, x + 1, top, fmax(1, bar - 2), fmax(0.5, foot - top));
        if (bar < 24) continue; /* no room for numbers */
        snprintf(number, sizeof number, v < 10 ? "%.1f" : "%.0f", v);
        words(out, x + bar / 2, top - 5, "value mid", number);
    }
}

void plot_bars(struct text *out, const struct plot_frame *f, const struct plot_bars *b)
{
    struct area a = area_of(f);
    struct scale y = {0, 0};
    char name[64];
    for (int i = 0; i < b->n_groups * b->n_series; i++) extend(&y, b->value[i] * 1.05);
    double step = round_scale(&y),
           width = (double)(a.w - LEFT - RIGHT) / (b->n_groups ? b->n_groups : 1);
    open_svg(out, f, a.w, a.h);
    y_axis(out, f, &y, step);
    for (int g = 0; g < b->n_groups; g++) {
        bar_group(out, a, b, g, LEFT + g * width, width, &y);
        words(out, LEFT + (g + 0.5) * width, a.h - BOTTOM + 18, "tick mid",
              shorten(b->group[g], width < 80 ? 8 : 14, name));
    }
    x_title(out, f);
    text_add(out, "</svg>\n<p class=\"legend\">");
    for (int i = 0; i < b->n_series; i++) {
        text_printf(out, "<span><i class=\"key b%d\"></i>", i % PLOT_COLOURS);
        text_add_html(out, b->series[i]);
        text_add(out, "</span>");
    }
    text_add(out, "</p></figure>\n");
}

/* ---- heat maps ---- */

static void heat_cell(struct text *out, const struct plot_heat *h, double v, double x, double y,
                      double w, double height)
{
    char number[32];
    double shade = (v - h->least) / (h->most - h->least);
    if (!isfinite(v)) {
        text_printf(
            out, "<rect class=\"blank\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n",
            x, y, w, height);
        return;
    }
    shade = fmin(1, fmax(0, shade));
    text_printf(out,
                "<rect class=\"%s\" fill-opacity=\"%.3f\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                "height=\"%.1f\"/>\n",
                h->warm ? "warm" : "cool", 0.06 + 0.86 * shade, x, y, w, height);
    if (w < 30) return;
    snprintf(number, sizeof number, "%.*f", h->decimals, v);
    words(out, x + w / 2, y + height / 2 + 4, shade > 0.7 ? "cell full mid" : "cell mid", number);
}

/* From the clear end to the full one, with both numbers. */
static void heat_key(struct text *out, const struct plot_heat *h, double x, double y)
{
    char number[32];
    enum { STEPS = 24, STEP = 5 };
    snprintf(number, sizeof number, "%.*f", h->decimals, h->least);
    words(out, x - 6, y + 9, "tick end", number);
    for (int i = 0; i < STEPS; i++)
        text_printf(out,
                    "<rect class=\"%s\" fill-opacity=\"%.3f\" x=\"%.1f\" y=\"%.1f\" width=\"%d\" "
                    "height=\"10\"/>\n",
                    h->warm ? "warm" : "cool", 0.06 + 0.86 * i / (STEPS - 1.0), x + i * STEP, y,
                    STEP);
    snprintf(number, sizeof number, "%.*f", h->decimals, h->most);
    words(out, x + STEPS * STEP + 6, y + 9, "tick", number);
}

void plot_heat(struct text *out, const struct plot_frame *f, const struct plot_heat *h)
{
    enum { NAMES = 96, HEAD = 30, CELL_H = 36, KEY = 72, BODY = 344 };
    double cell = h->columns ? fmin(76, (double)BODY / h->columns) : BODY, width = NAMES + BODY + 8;
    double height = HEAD + h->rows * CELL_H + KEY;
    char name[64];
    open_svg(out, f, width, height);
    for (int c = 0; c < h->columns; c++)
        words(out, NAMES + (c + 0.5) * cell, HEAD - 10, "tick mid",
              shorten(h->column[c], (int)(cell / 7), name));
    for (int r = 0; r < h->rows; r++) {
        words(out, NAMES - 10, HEAD + (r + 0.5) * CELL_H + 4, "tick end",
              shorten(h->row[r], 12, name));
        for (int c = 0; c < h->columns; c++)
            heat_cell(out, h, h->value[r * h->columns + c], NAMES + c * cell + 1,
                      HEAD + r * CELL_H + 1, cell - 2, CELL_H - 2);
    }
    double foot = HEAD + h->rows * CELL_H;
    words(out, NAMES, foot + 22, "axis", f->x);
    heat_key(out, h, NAMES + 34, foot + 42);
    close_svg(out);
}
