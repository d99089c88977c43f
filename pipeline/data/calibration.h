/* calibration.h - diverse prompts that find the neurons every prompt uses (M_general, equation 5).
 *
 * A model directory may bring its own in calibration.txt (one prompt a line), as Storybook does: a model that knows a small world
 * needs prompts of that world. Otherwise the hundred of calibration.def are used. The first general.k of them count.
 */
#ifndef DATA_CALIBRATION_H
#define DATA_CALIBRATION_H

#include "pipeline/data/concept.h"

enum code calibration_read(const char *model_dir, struct prompts *out, struct err *e);      /* prompts_fini frees */

#endif
