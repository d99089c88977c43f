/* plot.h - three kinds of plots as inline SVG: lines, grouped bars, heat maps. Drawn with the page's CSS classes, so that they
 * follow light and dark mode; sizes are those of the viewBox, the page scales them down.
 *
 *     plot_lines(&html, &(struct plot_frame){.title = "CLIP-I", .x = "commit", .y = "cosine"}, lines, n);
 *
 * A value that is not finite is not drawn. Colours are numbers 0.. of the page's series (--s0 ..).
 */
#ifndef EVALUATE_PLOT_H
#define EVALUATE_PLOT_H

#include "base/text.h"

#define PLOT_COLOURS 8

struct plot_frame {
    const char *title, *x, *y;        /* names of the axes with their units */
    const char *const *x_name;        /* [n_x] for lines over commits: names of x = 0, 1 ..; NULL: numbers */
    int n_x;
    int from_zero;                    /* 1: the y axis begins at 0 */
    int wide;                         /* 1: the whole width of the page, 0: half of it */
};
struct plot_line { const char *label; const double *x, *y; int n, colour, dashed; };
void plot_lines(struct text *out, const struct plot_frame *f, const struct plot_line *line, int n);

/* value [groups][series], drawn as they are: percent or shares. */
struct plot_bars { const char *const *group, *const *series; const double *value; int n_groups, n_series; };
void plot_bars(struct text *out, const struct plot_frame *f, const struct plot_bars *b);

/* value [rows][columns]; shade runs from `least` (clear) to `most` (full). */
struct plot_heat {
    const char *const *row, *const *column;
    const double *value;
    int rows, columns;
    double least, most;
    int decimals;                     /* of the number in a cell */
    int warm;                         /* 0: the cool hue (more is better), 1: the warm one (more is worse) */
};
void plot_heat(struct text *out, const struct plot_frame *f, const struct plot_heat *h);

#endif
