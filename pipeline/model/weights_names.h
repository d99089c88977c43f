/* weights_names.h - one spelling for tensors that published files spell in two ways. Private to weights.c.
 *
 *     *.attentions.N.query|key|value|proj_attn.*         ->  to_q | to_k | to_v | to_out.0    (VAE files before 2023)
 *     embeddings.*, encoder.layers.*, final_layer_norm.* ->  text_model. before them          (text encoders without it)
 *     *.position_ids                                     ->  left out: a list of 0, 1, 2 ... that carries nothing
 */
#ifndef MODEL_WEIGHTS_NAMES_H
#define MODEL_WEIGHTS_NAMES_H

#include <stddef.h>

#define WEIGHTS_NAME_MOST 512
#define WEIGHTS_TEXT_LEVEL "text_model."

/* Writes the one spelling of name; 0 if it does not fit. is_bare_text: the file has no "text_model." level. */
int weights_names_write(int is_bare_text, const char *name, char out[WEIGHTS_NAME_MOST]);
int weights_names_is_left_out(const char *name);
int weights_names_has_level(const char *name);       /* begins with "text_model." */
int weights_names_lacks_level(const char *name);     /* begins like a text encoder's tensor without it */

#endif
