/* cns.h - Concept Neuron Selection, the paper's method: entry of the method table, and the pieces that others test. */
#ifndef METHOD_CNS_H
#define METHOD_CNS_H

#include "pipeline/method/method.h"

extern const struct method method_cns;

/* First value of the new token's row by settings token.init (A17). out [hidden]. */
enum code token_init(const struct task *t, float *out, struct err *e);

/* The instance prompt of image i (A16): the pattern of the task's kind, or the image's caption with the token put before
 * the class word (a style's caption gets ", in <token> style"). out at least 2048 bytes. */
void instance_prompt(const struct task *t, int i, char *out, size_t bytes);

#endif
