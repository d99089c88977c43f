/* report_plots.h - forgetting, neurons and learning as plots with a few words each. Internal to evaluate/. */
#ifndef EVALUATE_REPORT_PLOTS_H
#define EVALUATE_REPORT_PLOTS_H

#include "base/text.h"
#include "pipeline/evaluate/plot.h"
#include "pipeline/evaluate/report_data.h"

/* Chapters without figures are left out. */
enum code report_plots(struct text *out, const struct chapters *c, struct err *e);

#endif
