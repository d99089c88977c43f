/* modelspec.h - what the header of an exported file says about it: ModelSpec 1.0.1 and Engram's own keys. Private.
 *
 * The list is in docs/formats.md, "Exports". Texts only, as the container wants it.
 */
#ifndef EXCHANGE_MODELSPEC_H
#define EXCHANGE_MODELSPEC_H

#include "pipeline/exchange/exchange.h"

enum modelspec_kind { MODELSPEC_CHECKPOINT, MODELSPEC_DELTA };
/* key, value, ..., NULL; in the arena. */
enum code modelspec_make(const struct exchange *x, enum modelspec_kind kind, struct arena *a, const char *const **out,
                         struct err *e);
/* "<rex> dog", a style alone: "<ink>". What to write into a prompt. */
const char *modelspec_phrase(const struct exchange_concept *c, struct arena *a);      /* NULL: no memory */
/* Last component of the base's path, without .safetensors. */
const char *modelspec_base_name(const struct exchange *x, struct arena *a);           /* NULL: no memory */

#endif
