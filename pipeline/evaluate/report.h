/* report.h - the whole story of a lineage as one HTML file: pictures and plots inline, no script, no outside address.
 *
 *     report_write("report.html", &r, &e);
 *
 * For each concept: its photos, what the base model drew for the class word, what it draws now; the forgetting heat map
 * (concept x commit), curves of CLIP-I and CLIP-T, mask densities and overlap, the learning curve, and a gallery of
 * prompts that mix concepts. Plots are SVG. Opens by mail and on an air-gapped cluster, in light, dark and on paper.
 *
 * Same input, same bytes: no date, no machine. What a commit lacks (evaluation, densities, losses) is left out of the page; a
 * picture that is no longer in the store leaves an empty frame.
 */
#ifndef EVALUATE_REPORT_H
#define EVALUATE_REPORT_H

#include "base/err.h"
#include "base/objects.h"
#include "pipeline/evaluate/evaluate.h"

struct report_commit {
    struct hash commit;
    const char *token, *class_word, *kind;
    const struct hash *photo;           /* reference images */
    int n_photos;
    struct hash evaluation;             /* object: JSON of evaluate.h; zero if absent */
    const char *made;                   /* the commit's own record: steps, densities, losses (JSON); NULL: not known */
    double seconds;                     /* score and train together; 0: not known */
};
struct report_sample { const char *prompt; struct hash picture[16]; int n; };
struct report {
    const char *title, *lineage, *base_model;
    struct objects *store;
    const struct report_commit *commit;
    int n;
    const struct report_sample *sample;
    int n_samples;
};
enum code report_write(const char *path, const struct report *r, struct err *e);
/* The same figures for programs, as JSON: {"v": 1, "lineage", "base_model", "forgetting": {"concepts", "clip_i_when_learned",
 * "clip_i_now", "drift"} or null, "commits": [{"commit", "token", "class", "kind", "method", "steps", "seconds", "densities":
 * {"base", "general", "concept", "reg"}, "concepts": [figures of evaluate.h for this and every earlier concept]}]}. */
enum code report_summary(const char *path, const struct report *r, struct err *e);

#endif
